"""A text without its case, so that a search finds it in capitals and small letters of any alphabet.

It is computed here and not by the databases: SQLite folds ASCII only, PostgreSQL folds by the locale of the database,
and MariaDB by the collation. Neighbours: `shop.commands.create_product` stores it, `shop.queries.products` compares it.
"""

from typing import Final
from unicodedata import normalize

MAX_GROWTH: Final = 3  # characters that one character can become: its longest full case folding, fully decomposed


def folded(text: str) -> str:
    """The text for a comparison that ignores case: full case folding, then composed.

    The Turkish letters of i are one letter with i, with and without its dot, because which one is the capital of which
    depends on the language of the reader.

    Args:
        text: any; the answer is at most `MAX_GROWTH` times as long.

    Source: The Unicode Standard, section 3.13, "Default Caseless Matching" (toCasefold), and section 5.18.
    """
    return normalize("NFC", text.casefold()).replace("i\u0307", "i").replace("\u0131", "i")
