"""Runs under aimed faults: each strategy under each fault, kept or broken."""

from collections.abc import Sequence
from typing import Final

from stockade.lab.charts import Cell as Square
from stockade.lab.charts import Spec, matrix
from stockade.lab.report.documents import Run, Source
from stockade.lab.report.groups import Group, groups
from stockade.lab.report.numbers import ms
from stockade.lab.report.page import Figure, Missing, Section, Table, slug
from stockade.lab.report.proof import broken_as_meant, promises, verdict_cell
from stockade.lab.reporting.verdict import AS_PROMISED, BROKEN

WORST_FIRST: Final = ("bad", "meant", "nothing", "good")
MISSING: Final = Missing(
    "strategies under aimed faults", "stockade lab --database postgres --fault all --json faults.json"
)


def section(sources: Sequence[Source]) -> Section | None:
    """Of all runs that had a fault."""
    found = [each for each in groups(sources) if each.fault and not any(run.payments for run in each.runs)]
    if not found:
        return None
    text = (
        "The fault strikes while a command is being carried out. A wall time under a fault is mostly the fault's own."
    )
    return Section("faults", "Under aimed faults", (text,), (_figure(found),))


def _figure(found: Sequence[Group]) -> Figure:
    several = len({(each.preset, each.database) for each in found}) > 1
    runs = [(_fault(group, several), run, group.proof) for group in found for run in group.runs]
    squares = _squares(runs)
    bad = sum(_mark(run, proof=proof)[1] == "bad" for _, run, proof in runs)
    proved = sum(proof for _, _, proof in runs)
    return Figure(
        slug("faults", *dict.fromkeys(each.source.name.rpartition(".")[0] for each in found)),
        "Strategies under aimed faults",
        f"A matrix of {len(runs)} runs: {bad} broke a promise. Beside {proved} of them a negative control failed.",
        lambda width: _drawn(squares, width),
        Table(
            "Runs under faults",
            ("strategy", "fault", "accepted", "rejected", "failed", "broken rules", "ms", "verdict"),
            tuple(
                (
                    run.strategy,
                    fault,
                    str(run.accepted),
                    str(run.rejected),
                    str(run.failed),
                    ", ".join(dict.fromkeys(each.rule for each in run.violations)) or "none",
                    ms(run.wall_ms.median),
                    verdict_cell(run, proof=proof),
                )
                for fault, run, proof in runs
            ),
            numbers=frozenset({2, 3, 4, 6}),
            code=True,
        ),
        "ok: as promised, and a negative control failed beside it. not shown: as promised, but none failed. broken: it "
        "promises nothing under this fault. no promise: nor does this one, which was lucky. Of several runs the worst "
        "is shown.",
        wide_only=True,
    )


def _drawn(squares: Sequence[Square], width: int) -> Spec:
    return matrix(squares, width=width)


def _fault(group: Group, several: bool) -> str:
    return f"{group.fault} ({group.preset}, {group.database})" if several else group.fault


def _squares(runs: Sequence[tuple[str, Run, bool]]) -> list[Square]:
    """One for each strategy and fault: of several runs (other loads, other files) the worst."""
    found: dict[tuple[str, str], Square] = {}
    for fault, run, proof in runs:
        square = Square(run.strategy, fault, *_mark(run, proof=proof))
        there = found.setdefault((run.strategy, fault), square)
        if WORST_FIRST.index(square.kind) < WORST_FIRST.index(there.kind):
            found[run.strategy, fault] = square
    return list(found.values())


def _mark(run: Run, *, proof: bool) -> tuple[str, str]:
    if broken_as_meant(run):
        return "broken", "meant"
    if run.verdict != AS_PROMISED or run.violations:
        return ("BROKEN" if run.verdict == BROKEN or run.violations else "NOT OK"), "bad"
    if not promises(run):
        return "no promise", "nothing"
    return ("ok", "good") if proof else ("not shown", "nothing")
