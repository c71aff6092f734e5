"""Stock is conserved; and so is the counter of every other row but an account of points."""

from collections.abc import Iterator
from typing import Final

from stockade.lab.checkers.indexed_history import IndexedHistory
from stockade.lab.checkers.rows.conserved import conserved
from stockade.lab.checkers.rows.points_conserved import is_account
from stockade.lab.checkers.violation import Violation

RULE: Final = "stock-conserved"


def check(history: IndexedHistory) -> Iterator[Violation]:
    """See `conserved`."""
    return conserved(history, RULE, lambda key: not is_account(key))
