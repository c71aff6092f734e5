"""The limits of the shop, and pure checks of a request before any row is read.

Commands call these first in `problem()`; HTTP calls `problem()` and answers 400 without executing the command.
Money is a whole number of won, and every product of a price and a quantity is compared with MAX_AMOUNT as a Python
integer, which cannot overflow; the sums then fit the database's 64 bits and JSON's 53 bits with room to spare.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Final
from unicodedata import category

MAX_AMOUNT: Final = 1_000_000_000_000  # won: a price, a total, a charge, and the balance a charge may reach
MAX_QUANTITY: Final = 1_000_000  # units in one line
MAX_LINES: Final = 100  # lines in one order
MAX_STOCK: Final = 1_000_000_000  # units of one SKU that an adjustment may reach
MAX_SKUS: Final = 100  # SKUs of one product
MAX_ID: Final = 64  # characters, as the id columns
MAX_NAME: Final = 200
MAX_CATEGORY: Final = 100
MAX_REASON: Final = 200
MAX_RESERVE_MS: Final = 7 * 24 * 3_600_000
_NO_TEXT: Final = frozenset({"Cc", "Cs", "Zl", "Zp"})  # Unicode's general categories: control, surrogate, separators


def range_problem(what: str, number: int, least: int, most: int) -> str | None:
    """A sentence when the number lies outside `least` … `most`, else None."""
    if least <= number <= most:
        return None
    return f"{what} must be {least} to {most}, not {number}"


def text_problem(what: str, text: str, longest: int, least: int = 1) -> str | None:
    """A sentence when a text is too short or long, or holds characters that cannot be stored or shown, else None.

    Lengths are in characters. Control characters, line breaks and halves of surrogate pairs are refused: PostgreSQL
    has no NUL, no database has half a pair. Joiners and all kinds of spaces are allowed: emoji and many scripts need
    them.
    """
    if not least <= len(text) <= longest:
        return f"{what} must have {least} to {longest} characters, not {len(text)}"
    if not is_text(text):
        return f"{what} holds a character that cannot be printed"
    return None


def is_text(text: str) -> bool:
    """Whether every database can hold the text and a line of text can show it."""
    return text.isprintable() or all(category(character) not in _NO_TEXT for character in text)


def id_problem(what: str, text: str) -> str | None:
    """A sentence when a text cannot be an id, else None."""
    if text and len(text) <= MAX_ID and text.isprintable():
        return None
    return text_problem(what, text, MAX_ID)


def amount_problem(what: str, amount: int, least: int = 1) -> str | None:
    """A sentence when an amount of money is out of range, else None."""
    return range_problem(what, amount, least, MAX_AMOUNT)


def quantity_problem(what: str, quantity: int) -> str | None:
    """A sentence when a number of units is out of range, else None."""
    return range_problem(what, quantity, 1, MAX_QUANTITY)


def lines_problem(lines: Sequence[tuple[str, int]]) -> str | None:
    """A sentence when the lines (SKU, quantity) cannot make an order, else None.

    The same SKU in two lines is refused and not merged, because it is likely a mistake of the client.
    """
    if not 1 <= len(lines) <= MAX_LINES:
        return f"an order must have 1 to {MAX_LINES} lines, not {len(lines)}"
    for sku_id, quantity in lines:
        if not 1 <= quantity <= MAX_QUANTITY:
            return quantity_problem("quantity", quantity)
        if not sku_id or len(sku_id) > MAX_ID or not sku_id.isprintable():
            return id_problem("sku_id", sku_id)
    if len(lines) > 1 and len({sku_id for sku_id, _ in lines}) < len(lines):
        twice = sorted(sku_id for sku_id, count in Counter(sku_id for sku_id, _ in lines).items() if count > 1)
        return f"each SKU may stand in one line only; repeated: {', '.join(twice)}"
    return None
