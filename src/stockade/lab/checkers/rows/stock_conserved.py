"""Stock is conserved: deliveries, reservations, sales and cancellations of each SKU make its stock, and that of all."""

from collections.abc import Iterator
from typing import Final

from stockade.lab.checkers.indexed_history import IndexedHistory
from stockade.lab.checkers.rows.conserved import conserved
from stockade.lab.checkers.violation import Violation

RULE: Final = "stock-conserved"
STOCK: Final = "stock:"


def check(history: IndexedHistory) -> Iterator[Violation]:
    """See `conserved`."""
    return conserved(history, RULE, is_stock)


def is_stock(key: str) -> bool:
    """Whether the row is the stock of a SKU."""
    return key.startswith(STOCK)
