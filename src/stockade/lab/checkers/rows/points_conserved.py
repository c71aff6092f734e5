"""Points are conserved: charges, payments and refunds of each account make its balance, and that of all accounts."""

from collections.abc import Iterator
from typing import Final

from stockade.lab.checkers.indexed_history import IndexedHistory
from stockade.lab.checkers.rows.conserved import conserved
from stockade.lab.checkers.violation import Violation

RULE: Final = "points-conserved"
ACCOUNT: Final = "points:"


def check(history: IndexedHistory) -> Iterator[Violation]:
    """See `conserved`."""
    return conserved(history, RULE, is_account)


def is_account(key: str) -> bool:
    """Whether the row is an account of points."""
    return key.startswith(ACCOUNT)
