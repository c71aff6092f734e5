"""Writes docs/comparison.md, a report of a real comparison: `python -m tests.docs.comparison [FILE[@COMMIT]…]`.

Without a file it measures first: every strategy on PostgreSQL, a sweep, recordings under a fault, aimed faults, a small
ring, deadlocks, payments and claims, about twenty minutes on two cores that nothing else needs. All of it is of one
commit: a checkout with changes is refused, and so is one in which another commit is checked out meanwhile. With files
it shows what is in them.
Neighbours: `stockade.lab.report` makes the report, `tests/lab/evidence.py` writes another page.
"""

import subprocess
import sys

from stockade.lab.report.build import build
from stockade.lab.report.documents import read_sources
from stockade.lab.report.markdown import markdown
from stockade.lab.report.pictures import write_pictures
from stockade.strategies import registry
from tests.docs.site import ROOT

PAGE = ROOT / "docs" / "comparison.md"
FOLDER = ROOT / "docs" / "comparison"
MEASURED = ROOT / ".stockade" / "comparison"  # the documents stay there, to be drawn again
TITLE = "A comparison, measured"
HEAD = """\

This page is a [report](report.md) of documents of the lab, written by `python -m tests.docs.comparison`, which
measures and draws it in one go. Figures are those of one small machine, which other work may have shared: the spread of
the repeats shows how much. Compare the ranking, and measure on your own. [Evidence](evidence.md) has the rings,
[Benchmarks](benchmarks.md) what the service does under load.
"""
FAULT = "database-kill"
RECORDED = ("pessimistic", "sequencer", "unprotected")  # the last one must fail
SWEPT = (  # those about which a question is asked, or which need no other server
    *("sequencer", "conditional", "pessimistic", "optimistic", "in-process"),
    *("redis-spin", "redis-pubsub", "kafka"),
)
STRUCK = ("unprotected", "pessimistic", "sequencer", "redis-pubsub", "redis-pubsub:fence", "redis-pubsub:bare")
RINGED = ("unprotected", "pessimistic", "sequencer", "redis-pubsub", "redis-pubsub:bare", "kafka")
RING_FAULTS = (
    *("process-kill-at-point", "process-pause-at-point", "database-kill", "jitter"),
    *("redis-failover", "worker-kill"),
)
PAYING = ("pessimistic", "sequencer", "version-with-key", "version-no-key", "lock-over-call")
MEASUREMENTS = {  # file: words of `stockade lab`; each writes it into the present folder
    "lab.json": ("--database", "postgres", "--strategies", ",".join(registry.names()), "--json", "lab.json"),
    "sweep.json": (
        *("sweep", "--database", "postgres", "--buyers", "5,30,120", "--keys", "1,30", "--section", "0,10"),
        *("--processes", "1,4", "--strategies", ",".join(SWEPT), "--json", "sweep.json"),
    ),
    "faults.json": (
        *("--database", "postgres", "--fault", "all", "--strategies", ",".join(STRUCK)),
        *("--json", "faults.json"),
    ),
    "ring.json": (
        *("ring", "--databases", "postgres", "--strategies", ",".join(RINGED), "--faults", ",".join(RING_FAULTS)),
        *("--json", "ring.json"),
    ),
    "payments.json": (
        *("--database", "postgres", "--preset", "payment-once,payment-lost-reply,payment-slow-gateway"),
        *("--strategies", ",".join(PAYING), "--json", "payments.json"),
    ),
    "deadlock.json": ("deadlock", "--database", "postgres", "--json", "deadlock.json"),
    "claims.json": ("claims", "--database", "postgres", "--json", "claims.json"),
    **{
        f"{name}.jsonl": (
            *("record", "--database", "postgres", "--strategies", name, "--fault", FAULT, "--seconds", "6"),
            *("--history", f"{name}.jsonl"),
        )
        for name in RECORDED
    },
}


def measure(folder, lab=None):
    """Measure everything; the files, with the commit.

    Args:
        folder: for the files.
        lab: runs `stockade lab` with these words in this folder, and returns its exit code.

    Raises:
        SystemExit: the code is of no commit, or not of the same one all the time, or a file was not written.
    """
    lab = lab or in_process_of_its_own
    commit = clean_commit()
    for name, words in MEASUREMENTS.items():
        (folder / name).unlink(missing_ok=True)
        require(commit, f"before {name} was measured")
        say(f"measuring {name} at {commit}: stockade lab {' '.join(words)}")
        code = lab(words, folder)
        if code not in (0, 1) or not (folder / name).exists():  # 1: a promise was broken, which is shown
            raise SystemExit(f"{name} could not be measured")
        require(commit, f"while {name} was measured")
    return [f"{folder / name}@{commit}" for name in MEASUREMENTS]


def in_process_of_its_own(words, folder):
    """Run `stockade lab`; its exit code."""
    command = [sys.executable, "-m", "stockade", "lab", *words]
    return subprocess.run(command, cwd=folder, stdout=subprocess.DEVNULL, check=False).returncode


def clean_commit():
    """The commit that is checked out.

    Raises:
        SystemExit: files differ from it, so that figures would be of no commit.
    """
    changed = git("status", "--porcelain").splitlines()
    if changed:
        more = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
        raise SystemExit(f"nothing is measured with changes that are in no commit: {changed[0].strip()}{more}")
    return git("rev-parse", "--short=10", "HEAD").strip()


def require(commit, when):
    """Refuse another commit than the one at the beginning.

    Raises:
        SystemExit: it is another one, or files differ from it.
    """
    if (now := clean_commit()) != commit:
        raise SystemExit(f"the commit changed from {commit} to {now} {when}: measure again")


def git(*words):
    """What git says of the checkout."""
    return subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=True).stdout


def say(text):
    """What goes on, to standard error."""
    sys.stderr.write(f"{text}\n")


def text_of(report):
    """The page of a report, whose pictures lie in `FOLDER`."""
    made = markdown(report, lambda figure: f"{FOLDER.name}/{figure.name}.svg")
    title, _, rest = made.partition("\n")
    return f"{title}\n{HEAD}{rest}"


def write(names):
    """Write the page and its pictures; pictures of the page before are removed."""
    report = build(read_sources(names), TITLE)
    for path in FOLDER.glob("*.svg"):
        path.unlink()
    write_pictures(report, FOLDER, ("svg",), headed=False)
    PAGE.write_text(text_of(report))
    say(f"{PAGE.relative_to(ROOT)}: {len(report.figures)} charts")


def main(names):
    """Measure unless files are named, and write."""
    if names:
        write(names)
        return
    MEASURED.mkdir(parents=True, exist_ok=True)
    write(measure(MEASURED))


if __name__ == "__main__":
    main(sys.argv[1:])
