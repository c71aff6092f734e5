"""Counters are conserved: those of every row that is neither stock nor points, as of an application of a user's own."""

from collections.abc import Iterator
from typing import Final

from stockade.lab.checkers.indexed_history import IndexedHistory
from stockade.lab.checkers.rows.conserved import conserved
from stockade.lab.checkers.rows.points_conserved import is_account
from stockade.lab.checkers.rows.stock_conserved import is_stock
from stockade.lab.checkers.violation import Violation

RULE: Final = "counters-conserved"


def check(history: IndexedHistory) -> Iterator[Violation]:
    """See `conserved`."""
    return conserved(history, RULE, lambda key: not is_account(key) and not is_stock(key))
