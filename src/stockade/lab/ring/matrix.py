"""The matrix of a ring: contenders by faults, what was claimed against what was observed. Pure functions.

A contender met most faults in several cells, and several in one cell: an entry is the worst verdict of all cells that
had both. Neighbours: `expectation.py` has the verdicts, `reporting` of the command prints the lines.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from stockade.lab.ring.cell import NO_FAULT, CellResult
from stockade.lab.ring.expectation import (
    AS_CLAIMED,
    BROKEN_AS_CLAIMED,
    FAILED,
    LATE,
    NOT_CAUGHT,
    NOT_EXPOSED,
    NOT_RUN,
    VIOLATED,
    WORST_FIRST,
)

MARKS = {
    AS_CLAIMED: "ok",
    BROKEN_AS_CLAIMED: "caught",
    VIOLATED: "VIOLATED",
    LATE: "late",
    NOT_CAUGHT: "MISSED",
    NOT_EXPOSED: "unmet",
    FAILED: "ERROR",
    NOT_RUN: "-",
}
LEGEND = (
    "ok: no violation, as claimed; caught: violated, as claimed; VIOLATED: against the claim; late: played twice, and "
    "all that was broken the last time is about time; MISSED: a control that was not caught; unmet: a fault did not "
    "act; ERROR: not recorded; -: not run"
)
GAP = "  "


class NotRun(NamedTuple):
    """A contender that cannot meet a fault on any database, and why."""

    contender: str
    fault: str
    reason: str


class Matrix(NamedTuple):
    """Verdicts by contender and fault.

    Attributes:
        contenders: in the order of the registry.
        faults: the same; `no-fault` first.
        verdicts: by contender and fault; a pair without a cell is missing.
        not_run: the pairs that have no cell, with the reason.
    """

    contenders: tuple[str, ...]
    faults: tuple[str, ...]
    verdicts: Mapping[tuple[str, str], str]
    not_run: tuple[NotRun, ...] = ()

    def mark(self, contender: str, fault: str) -> str:
        """What the table shows of a pair."""
        return MARKS[self.verdicts.get((contender, fault), NOT_RUN)]


def matrix_of(
    results: Iterable[CellResult], contenders: Sequence[str], faults: Sequence[str], not_run: Sequence[NotRun] = ()
) -> Matrix:
    """Collect the worst verdict of each pair.

    Args:
        results: of all cells.
        contenders: names, in the order to show; those that no cell has are left out.
        faults: names, in the order to show; the same.
        not_run: pairs that cannot be.
    """
    verdicts: dict[tuple[str, str], str] = {}
    for result in results:
        for fault in result.cell.faults or (NO_FAULT,):
            pair = (result.cell.contender, fault)
            worst = verdicts.get(pair, NOT_RUN)
            verdicts[pair] = min(worst, result.verdict, key=WORST_FIRST.index)
    shown = {name for name, _ in verdicts}
    met = {fault for _, fault in verdicts}
    return Matrix(
        tuple(name for name in contenders if name in shown),
        tuple(fault for fault in (NO_FAULT, *faults) if fault in met),
        verdicts,
        tuple(each for each in not_run if each.contender in shown and (each.contender, each.fault) not in verdicts),
    )


def text_table(matrix: Matrix, width: int) -> list[str]:
    """The matrix as lines: a fault a line, as many contenders side by side as have room, then the reasons."""
    first = max(len(each) for each in (*matrix.faults, "fault"))
    lines: list[str] = []
    for group in _groups(matrix.contenders, width - first):
        lines.append(GAP.join(["fault".ljust(first), *group]).rstrip())
        for fault in matrix.faults:
            marks = [matrix.mark(name.rstrip(), fault).ljust(len(name)) for name in group]
            lines.append(GAP.join([fault.ljust(first), *marks]).rstrip())
        lines.append("")
    return [*lines, LEGEND, *reasons(matrix)]


def reasons(matrix: Matrix) -> list[str]:
    """Why pairs were not run: one line for those with the same contenders and the same reason."""
    by_fault: dict[tuple[str, str], list[str]] = {}
    for contender, fault, reason in matrix.not_run:
        by_fault.setdefault((fault, reason), []).append(contender)
    found: dict[tuple[str, str], list[str]] = {}
    for (fault, reason), contenders in by_fault.items():
        found.setdefault((", ".join(contenders), reason), []).append(fault)
    return [f"not run: {', '.join(faults)} with {names}: {reason}" for (names, reason), faults in found.items()]


def _groups(names: Sequence[str], room: int) -> list[list[str]]:
    """The names in groups that fit beside each other; at least one in each."""
    groups: list[list[str]] = []
    left = 0
    for name in names:
        if not groups or left < len(GAP) + max(len(name), len(MARKS[VIOLATED])):
            groups.append([])
            left = room
        groups[-1].append(name.ljust(len(MARKS[VIOLATED])))
        left -= len(GAP) + len(groups[-1][-1])
    return groups
