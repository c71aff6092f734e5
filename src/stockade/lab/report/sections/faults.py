"""Runs under aimed faults: each strategy under each fault, kept or broken."""

from collections.abc import Sequence
from typing import Final

from stockade.lab.charts import Cell as Square
from stockade.lab.charts import Spec, matrix
from stockade.lab.report.documents import Run, Source
from stockade.lab.report.groups import Group, broken_as_meant, groups
from stockade.lab.report.numbers import ms
from stockade.lab.report.page import Figure, Missing, Section, Table, slug
from stockade.lab.report.sections.comparison import verdict_cell
from stockade.lab.reporting.verdict import AS_PROMISED, BROKEN

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
    runs = [(_fault(group, several), run) for group in found for run in group.runs]
    squares = [Square(run.strategy, fault, *_mark(run)) for fault, run in runs]
    bad = sum(square.kind == "bad" for square in squares)
    return Figure(
        slug("faults", *dict.fromkeys(each.source.name.rpartition(".")[0] for each in found)),
        "Strategies under aimed faults",
        f"A matrix of {len(squares)} runs: {bad} broke a promise.",
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
                    verdict_cell(run),
                )
                for fault, run in runs
            ),
            numbers=frozenset({2, 3, 4, 6}),
            code=True,
        ),
        "ok: as promised. broken: a rule was broken by a strategy that does not claim to survive this fault.",
        wide_only=True,
    )


def _drawn(squares: Sequence[Square], width: int) -> Spec:
    return matrix(squares, width=width)


def _fault(group: Group, several: bool) -> str:
    return f"{group.fault} ({group.preset}, {group.database})" if several else group.fault


def _mark(run: Run) -> tuple[str, str]:
    if run.verdict == AS_PROMISED:
        return "ok", "good"
    if broken_as_meant(run):
        return "broken", "meant"
    return ("BROKEN" if run.verdict == BROKEN else "NOT OK"), "bad"
