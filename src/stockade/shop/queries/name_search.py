"""Which products have a text in their names: by the index of name parts, or None where the list is read faster.

Neighbours: `model.name_parts` keeps the index, `queries.products` asks.
"""

from typing import Any

from sqlalchemy import Connection, Select, and_, func, literal, select

from stockade.shop.model.name_parts import KEPT
from stockade.shop.model.tables import product_name_parts as parts

MAX_FOUND = 2_000  # products; a text that more names may have fills a page of the list soon
MAX_PARTS = 12  # of a long text that are looked at
_AFTER = chr(0x10FFFF)  # no name has it: it is no character
_KEPT = select(func.count()).where(parts.c.part == KEPT[0], parts.c.product_id == KEPT[1])
_UNFOLDED = and_(parts.c.part == "", parts.c.product_id != "")


def candidates(conn: Connection, text: str) -> list[str] | None:
    """Ids of products that alone may have a text in their names; some of them may not have it.

    Args:
        conn: a connection to read on.
        text: folded, not empty.

    Returns:
        At most MAX_FOUND ids; None if there may be more, or if this database has no such index.
    """
    if not conn.execute(_KEPT).scalar_one():
        return None
    unfolded = _few(conn, select(parts.c.product_id).where(_UNFOLDED))
    found = _few(conn, _having(conn, text))
    return None if unfolded is None or found is None else unfolded + found


def _having(conn: Connection, text: str) -> Select[Any]:
    """The products with the part that the fewest have, or with all parts if many have each."""
    if len(text) == 1:
        return select(parts.c.product_id).where(parts.c.part >= text, parts.c.part < text + _AFTER).distinct()
    pairs = sorted({text[at : at + 2] for at in range(len(text) - 1)})[:MAX_PARTS]
    counts = {pair: conn.execute(_bounded_count(pair)).scalar_one() for pair in pairs}
    rarest = min(pairs, key=counts.__getitem__)
    if counts[rarest] <= MAX_FOUND:
        return select(parts.c.product_id).where(parts.c.part == rarest)
    return _with_all(pairs)


def _few(conn: Connection, statement: Select[Any]) -> list[str] | None:
    found = list(conn.execute(statement.limit(MAX_FOUND + 1)).scalars())
    return found if len(found) <= MAX_FOUND else None


def _bounded_count(pair: str) -> Select[Any]:
    some = select(literal(1).label("one")).where(parts.c.part == pair).limit(MAX_FOUND + 1).subquery()
    return select(func.count()).select_from(some)


def _with_all(pairs: list[str]) -> Select[Any]:
    """The products that have all of these parts, each of which many have."""
    first = parts.alias("part_0")
    statement = select(first.c.product_id).where(first.c.part == pairs[0])
    for number, pair in enumerate(pairs[1:], 1):
        other = parts.alias(f"part_{number}")
        statement = statement.join(other, and_(other.c.product_id == first.c.product_id, other.c.part == pair))
    return statement
