"""A column of the lab's table, and how its cells are written. Pure functions.

Neighbours: `columns.py` and `payment_columns.py` choose the columns.
"""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rich.text import Text

from stockade.lab.reporting.summary import RunSummary
from stockade.lab.reporting.verdict import AS_PROMISED

WIDE = 123  # characters of a terminal that shows every column in full
NARROW = 80  # below, only what the verdict rests on is shown
Cell = str | Text


@dataclass(frozen=True, slots=True)
class Column:
    """One column.

    Attributes:
        head: its name; it fits `width`.
        width: in characters.
        cell: returns the text for a run.
        left: aligned left (words) instead of right (numbers).
    """

    head: str
    width: int
    cell: Callable[[RunSummary], Cell]
    left: bool = False


def verdict(run: RunSummary) -> Text:
    """The verdict in green if as promised, in yellow if broken as it must be, otherwise in red."""
    judgement = run.judgement
    usual = "green" if judgement.verdict == AS_PROMISED else "yellow"
    return Text(judgement.verdict, style=usual if judgement.kept else "bold red")


def short(ms: float) -> str:
    """Milliseconds in few characters."""
    return f"{ms:.0f}" if ms >= 10 else f"{ms:.1f}"


def spread(samples: Sequence[float]) -> str:
    """Median and range, in milliseconds."""
    return f"{short(statistics.median(samples))} ({short(min(samples))}-{short(max(samples))})"
