"""The lines that a ring prints: one for each cell, more for one that failed, and the matrix at the end. Pure functions.

Neighbours: `ring.py` and `soak.py` play the cells, `matrix.py` makes the table; the commands print.
"""

from collections.abc import Sequence
from typing import Final

from stockade.lab.ring.cell import CellResult
from stockade.lab.ring.expectation import (
    FAILED,
    FAILURES,
    LATE,
    NOT_CAUGHT,
    NOT_EXPOSED,
    VIOLATED,
    controls_not_caught,
    not_exposed,
)
from stockade.lab.ring.matrix import Matrix, text_table
from stockade.lab.ring.ring import Progress, Ring
from stockade.lab.ring.soak import Round, Soak

SHOWN_VIOLATIONS: Final = 3  # of a cell
SECONDS_OF_A_MINUTE: Final = 60


def cell_lines(progress: Progress, ring: Ring) -> list[str]:
    """What became of a cell; of one that failed also why, its history, and the command that plays it again."""
    result = progress.result
    line = f"[{progress.number}/{progress.total}] {result.cell.id}: {result.verdict} ({_how(progress)})"
    return [line, *failure_lines(result, repeat_command(result, ring.seed, ring.runner.seconds))]


def round_lines(drawn: Round, result: CellResult, soak: Soak, narrowed: str) -> list[str]:
    """What became of a round of a soak.

    Args:
        drawn: the round.
        result: of it.
        soak: that played it.
        narrowed: the options that make the soak smaller, as they were given: the draws depend on them.
    """
    again = f"stockade lab soak --round {drawn.number} --seed {soak.seed} --seconds {soak.runner.seconds:.9g}{narrowed}"
    if result.seed != drawn.seed:
        again += f" --recording-seed {result.seed}"
    return [
        f"round {drawn.number}: {result.cell.id}: {result.verdict} ({_counts(result)})",
        *failure_lines(result, again),
    ]


def failure_lines(result: CellResult, again: str) -> list[str]:
    """Of a cell that failed: why, its history, its seed, and the command that plays it again.

    Of one that was played twice what the first try found; of others nothing.

    Args:
        result: of the cell.
        again: the command.
    """
    if result.verdict not in (*FAILURES, NOT_CAUGHT, NOT_EXPOSED):
        return [f"  {result.reason}"] if result.reason else []
    lines = [f"  {rule}: {detail}" for rule, detail in result.violations[:SHOWN_VIOLATIONS]]
    lines += [f"  {result.reason}"] if result.reason else []
    lines += [f"  history: {result.history}; stockade lab judge {result.history}"] if result.history else []
    return [*lines, f"  seed of the recording {result.seed}; again: {again}"]


def repeat_command(result: CellResult, seed: int, seconds: float) -> str:
    """The command that plays a cell again, with the seed of the recording that its result is of.

    Args:
        result: of the cell.
        seed: of the ring.
        seconds: of load in each cell.
    """
    recording = "" if result.seed == result.cell.seed(seed) else f" --recording-seed {result.seed}"
    return f"stockade lab ring --cell {result.cell.id} --seed {seed} --seconds {seconds:.9g}{recording}"


def closing_lines(matrix: Matrix, results: Sequence[CellResult], left_out: Sequence[str], width: int) -> list[str]:
    """The matrix, what this machine could not run, and the sum.

    Args:
        matrix: of all cells.
        results: of all cells.
        left_out: what could not be started here, with reasons.
        width: columns that there are.
    """
    violated = [each.cell.id for each in results if each.verdict == VIOLATED]
    late = [each.cell.id for each in results if each.verdict == LATE]
    failed = [each.cell.id for each in results if each.verdict == FAILED]
    operations = sum(sum(each.operations.values()) for each in results)
    lines = ["claimed against observed", "", *text_table(matrix, width)]
    lines += [f"left out: {each}" for each in left_out]
    lines += [f"violated: {each}" for each in violated]
    lines += [f"late: {each}" for each in late]
    lines += [f"not recorded: {each}" for each in failed]
    unexposed = not_exposed(results)
    lines += [f"not exposed: {each}" for each in unexposed]
    lines += [f"control not caught: {each}" for each in controls_not_caught(results)]
    cells = f"{len(results):,} cell{'' if len(results) == 1 else 's'}"
    failures = (
        f"{len(violated)} against a claim, {len(late)} late, {len(failed)} not recorded, {len(unexposed)} not exposed"
    )
    return [*lines, f"{cells}, {operations:,} operations, {failures}"]


def _how(progress: Progress) -> str:
    if progress.again:
        return "finished before"
    counts = _counts(progress.result)
    if progress.left_s >= SECONDS_OF_A_MINUTE:
        return f"{counts}, about {progress.left_s / SECONDS_OF_A_MINUTE:.0f} min left"
    return f"{counts}, about {progress.left_s:.0f} s left" if progress.left_s else counts


def _counts(result: CellResult) -> str:
    counts = [f"{count} {kind}" for kind, count in sorted(result.operations.items())]
    return ", ".join([f"{result.wall_s:.1f} s", *counts])
