"""Writes what documents of the lab show into docs/evidence.md: `python -m tests.lab.evidence ring.json@COMMIT …`.

Each kind of document has a region of the page between two comments; the prose around it stays. The mutants have a
region too, which `tests/lab/mutants` writes.
"""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from textwrap import wrap

from stockade.lab.claims import CLAIMS
from stockade.lab.faults import FAULTS
from stockade.lab.reporting.checkout import commit_in
from stockade.lab.ring.cell import CellResult
from stockade.lab.ring.expectation import FAILED, FAILURES, HELD, MUST_BREAK, NOT_CAUGHT, NOT_EXPOSED
from stockade.lab.ring.matrix import LEGEND, Matrix, NotRun, reasons
from tests.docs.site import ROOT

PAGE = ROOT / "docs" / "evidence.md"
KINDS = ("ring", "deadlock", "claims")
COLUMNS = 119
DEADLOCK_HEAD = ("| experiment | condition taken away | expected | observed | as expected |", "|---|---|---|---|---|")
LOAD_HEAD = (
    (
        "| way to take the rows | condition taken away | baskets/s | deadlocks | time-outs | conflicts | refused "
        "| repeated | wasted | as expected |"
    ),
    "|---|---|---:|---:|---:|---:|---:|---:|---:|---|",
)
LOAD_FIGURES = ("deadlocks", "timeouts", "conflicts", "refused", "retried")
COUNTED = (
    "In brackets: how many cells the entry stands for, each played with one seed; 1 of 2: in one of two cells every "
    "fault acted, the other says nothing. The verdict is that of the worst."
)
CLAIMS_HEAD = ("| the report says | verdict | measured |", "|---|---|---|")


def region(text, kind, body):
    """The page with another body in the region of this kind.

    Raises:
        ValueError: the page has no such region.
    """
    begin, end = f"<!-- {kind}: begin -->", f"<!-- {kind}: end -->"
    if text.count(begin) != 1 or text.count(end) != 1:
        raise ValueError(f"the page needs the lines {begin} and {end}, once each")
    before, _, rest = text.partition(begin)
    return f"{before}{begin}\n\n{body}\n\n{end}{rest.partition(end)[2]}"


def origin(document, command):
    """Where figures come from, as lines: the command, the date, the machine, the commit."""
    environment = document["environment"]
    where = f"{environment['os']}, {environment['cpu_count']} cores, Python {environment['python']}"
    text = f"`{command}`, {environment['date'][:10]}, {where}, commit `{document['commit']}`"
    return wrap(text, COLUMNS, break_long_words=False, break_on_hyphens=False)


def commit():
    """The commit that is checked out."""
    words = ["git", "rev-parse", "--short", "HEAD"]
    return subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()


def ring(documents):
    """The matrix, the controls and what failed, of the newest ring."""
    document = documents[-1]
    results = [CellResult.from_json(each) for each in document["cells"]]
    settings = document["settings"]
    command = (
        settings.get("command") or f"stockade lab ring --seed {settings['seed']} --seconds {settings['seconds']:g}"
    )
    found = matrix_of_document(document)
    bad = [each for each in results if each.verdict in (*FAILURES, NOT_EXPOSED)]
    lines = [
        *origin(document, command),
        "",
        *wrap(_sums(results), COLUMNS),
        "",
        *markdown_table(found, _tested(results)),
        "",
        *wrap(f"{LEGEND}. {COUNTED}", COLUMNS),
        "",
        *(line for reason in reasons(found) for line in wrap(f"- {reason}", COLUMNS, subsequent_indent="  ")),
        "",
        "| control | cell | seed | caught by |",
        "|---|---|---|---|",
        *(_control(each) for each in results if each.expected == MUST_BREAK),
    ]
    twice = [each for each in results if each.reason and each not in bad]
    if twice:
        lines += [
            "",
            "| cell that was played again | verdict | the tries before |",
            "|---|---|---|",
            *(map(_again, twice)),
        ]
    if bad:
        lines += ["", "| cell that failed | verdict | seed | why |", "|---|---|---|---|", *(map(_failure, bad))]
    return "\n".join(lines)


def markdown_table(matrix, tested):
    """The matrix for a page; beside each verdict, the worst of its cells, how many cells it stands for."""

    def mark(name, fault):
        cells, said = tested.get((name, fault), (0, 0))
        count = f"{said} of {cells}" if said < cells else f"{cells}"
        return f"{matrix.mark(name, fault)}{f' ({count})' if cells else ''}"

    head = f"| fault | {' | '.join(f'`{name}`' for name in matrix.contenders)} |"
    rows = [(fault, [mark(name, fault) for name in matrix.contenders]) for fault in matrix.faults]
    return [head, "|---" * (len(matrix.contenders) + 1) + "|", *(f"| {f} | {' | '.join(marks)} |" for f, marks in rows)]


def _sums(results):
    operations = Counter()
    for each in results:
        operations.update(each.operations)
    counts = ", ".join(f"{count:,} {kind}" for kind, count in sorted(operations.items()))
    claimed = [each for each in results if each.expected == HELD]
    exposed = [each for each in claimed if each.verdict not in (NOT_EXPOSED, FAILED)]
    clean, silent = sum(not each.violations for each in exposed), len(claimed) - len(exposed)
    minutes = sum(each.wall_s for each in results) / 60
    return (
        f"{len(results)} cells in {minutes:.0f} minutes, {sum(operations.values()):,} operations ({counts}). "
        f"{len(claimed)} cells hold a strategy to a claim. In {len(exposed)} of them every fault acted, and {clean} of "
        f"these are without a violation{f'; what says nothing: {silent}' if silent else ''}."
    )


def _tested(results):
    """By contender and fault, how many cells, and in how many of these the verdict says something."""
    found = {}
    for each in results:
        for fault in each.cell.faults or ("no-fault",):
            cells, said = found.get((each.cell.contender, fault), (0, 0))
            found[each.cell.contender, fault] = cells + 1, said + (each.verdict not in (NOT_EXPOSED, FAILED))
    return found


def matrix_of_document(document):
    """The matrix as the document has it."""
    known = {(each["strategy"], each["fault"]): each for each in document["matrix"]}
    contenders, faults = (tuple(dict.fromkeys(pair[at] for pair in known)) for at in (0, 1))
    verdicts = {pair: each["verdict"] for pair, each in known.items() if not each.get("reason")}
    met = {fault for _, fault in verdicts}
    order = ["no-fault", *FAULTS]
    return Matrix(
        tuple(name for name in contenders if name in {pair[0] for pair in verdicts}),
        tuple(sorted((fault for fault in faults if fault in met), key=order.index)),
        verdicts,
        tuple(NotRun(*pair, each["reason"]) for pair, each in known.items() if each.get("reason")),
    )


def _control(result):
    rules = ", ".join(dict.fromkeys(f"`{each.rule}`" for each in result.violations))
    caught = "not caught" if result.verdict == NOT_CAUGHT else rules
    return f"| {result.cell.contender} | `{result.cell.id}` | {result.seed} | {caught} |"


def _again(result):
    return f"| `{result.cell.id}` | {result.verdict} | {result.reason.removeprefix('before: ').replace('|', '/')} |"


def _failure(result):
    why = "; ".join([*(f"`{each.rule}`: {each.detail}" for each in result.violations[:1]), result.reason]).strip("; ")
    return f"| `{result.cell.id}` | {result.verdict} | {result.seed} | {why.replace('|', '/')} |"


def deadlock(documents):
    """On each database: expected against observed, what each way costs under load, and who waited for whom."""
    lines = []
    for document in documents:
        found = document["deadlock"]
        command = f"stockade lab deadlock --database {found['database']}"
        load = [each for each in found["experiments"] if each["part"] == "load"]
        others = [each for each in found["experiments"] if each["part"] != "load"]
        lines += [*origin(document, command), "", *DEADLOCK_HEAD, *map(_experiment, others), ""]
        if load:
            lines += [*LOAD_HEAD, *map(_under_load, load), ""]
        for name, graph in found["graphs"].items():
            if graph["circular"]:
                lines += [f"Who waits, {name}:", "", "```text", *graph["drawing"].splitlines(), "```", ""]
        lines += _left_out(found["left_out"])
    return "\n".join(lines).rstrip()


def _experiment(each):
    values = (f"{each['part']}: {each['name']}", each["removed"] or "none", each["expected"], each["observed"])
    return _row(*values, "yes" if each["held"] else "NO")


def _under_load(each):
    figures = each["figures"]
    costs = (f"{figures['baskets_s']:.1f}", *(figures[name] for name in LOAD_FIGURES), f"{figures['wasted_share']:.0%}")
    return _row(each["name"], each["removed"] or "none", *costs, "yes" if each["held"] else "NO")


def _row(*values):
    return f"| {' | '.join(map(str, values))} |"


def _left_out(reasons):
    """What was not played, as a paragraph; nothing if nothing was left out."""
    return [*wrap(f"Left out: {'; '.join(reasons)}.", COLUMNS), ""] if reasons else []


def claims(documents):
    """Each statement of the reports: the verdict and what was measured."""
    lines = []
    for document in documents:
        found = [each for each in document["claims"] if not each["left_out"]]
        named = [each["name"] for each in document["claims"]]
        names = "" if len(named) == len(CLAIMS) else f"{','.join(named)} "
        command = f"stockade lab claims {names}--database {found[0]['database']}"
        rows = [_row(each["says"], each["verdict"], "; ".join(each["measured"])) for each in found]
        missing = [f"{each['name']}: {each['left_out']}" for each in document["claims"] if each["left_out"]]
        lines += [*origin(document, command), "", *CLAIMS_HEAD, *rows, "", *_left_out(missing)]
    return "\n".join(lines).rstrip()


MEMBER = {"ring": "cells", "deadlock": "deadlock", "claims": "claims"}
WRITERS = {"ring": ring, "deadlock": deadlock, "claims": claims}


def page(text, documents):
    """The page with what these documents show.

    Args:
        text: of the page.
        documents: of the lab; several of one kind are shown in their order.
    """
    for kind in KINDS:
        if some := [each for each in documents if MEMBER[kind] in each]:
            text = region(text, kind, WRITERS[kind](some))
    return text


def with_commit(document, of=""):
    """A document with the commit that measured it: as it says itself, or as it is named for one that does not."""
    recorded = commit_in(str(document["environment"].get("stockade", "")))
    if recorded and of and not (recorded.startswith(of) or of.startswith(recorded)):
        raise SystemExit(f"the document was measured by commit {recorded}, and not by {of}")
    return document | {"commit": recorded or of or commit()}


def main(names):
    """Write the page from these files; FILE@COMMIT names the commit of a document that does not say it itself."""
    documents = []
    for name in names:
        file, _, of = name.partition("@")
        documents.append(with_commit(json.loads(Path(file).read_text()), of))
    PAGE.write_text(page(PAGE.read_text(), documents))


if __name__ == "__main__":
    main(sys.argv[1:])
