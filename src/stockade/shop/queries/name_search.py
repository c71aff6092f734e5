"""Which products have a text in their names: by the index of name parts, or None where the list is read faster.

Neighbours: `model.name_parts` keeps the index, `queries.products` asks.
"""

from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Select, and_, func, literal, select

from stockade.shop.model.name_parts import KEPT, PART_LENGTH
from stockade.shop.model.tables import product_name_parts as parts

MAX_FOUND = 2_000  # products of one kind; a text that more names may have fills a page of the list soon
MAX_READ = 10_000  # entries of the index for one part
MAX_PARTS = 12  # of a long text that are looked at
JOINED = 2  # parts beside the rarest, where many have that one too
_AFTER = chr(0x10FFFF)  # no name has it: it is no character
_KEPT = select(func.count()).where(parts.c.part == KEPT[0], parts.c.product_id == KEPT[1])
_UNFOLDED = and_(parts.c.part == "", parts.c.product_id != "")


class Candidates(NamedTuple):
    """The products that alone may have a text in their names; some of them may not have it.

    Attributes:
        ids: at most MAX_FOUND of them by the index, and as many whose names it does not have; None: there may be more.
        part: where there are more, the part of the text that the fewest have: the index has them in the order of their
            ids. Empty where it has not all of them.
    """

    ids: list[str] | None
    part: str = ""


def candidates(conn: Connection, text: str) -> Candidates:
    """Look a text up.

    Args:
        conn: a connection to read on.
        text: folded, not empty.
    """
    if not conn.execute(_KEPT).scalar_one():
        return Candidates(None)
    unfolded, (having, part) = _few(conn, select(parts.c.product_id).where(_UNFOLDED)), _having(conn, text)
    found = None if having is None else _few(conn, having)
    if unfolded is None or found is None:
        return Candidates(None, "" if unfolded is None or unfolded else part)
    return Candidates(unfolded + found)


def _having(conn: Connection, text: str) -> tuple[Select[Any] | None, str]:
    """The products with the parts that the fewest have, None if very many have each part of the text; and the rarest
    part, empty for a text that is shorter than a part."""
    if len(text) < PART_LENGTH:
        begins = and_(parts.c.part >= text, parts.c.part < text + _AFTER)
        some = select(parts.c.product_id).where(begins)
        return None if _bounded_count(conn, begins) > MAX_READ else some.distinct(), ""
    pieces = sorted({text[at : at + PART_LENGTH] for at in range(len(text) - PART_LENGTH + 1)})[:MAX_PARTS]
    counts = {piece: _bounded_count(conn, parts.c.part == piece) for piece in pieces}
    rarest, *others = sorted(pieces, key=counts.__getitem__)
    if counts[rarest] > MAX_READ:
        return None, rarest
    return _with_all(rarest, others[:JOINED] if counts[rarest] > MAX_FOUND else []), rarest


def _few(conn: Connection, statement: Select[Any]) -> list[str] | None:
    found = list(conn.execute(statement.limit(MAX_FOUND + 1)).scalars())
    return found if len(found) <= MAX_FOUND else None


def _bounded_count(conn: Connection, which: ColumnElement[bool]) -> int:
    some = select(literal(1).label("one")).where(which).limit(MAX_READ + 1).subquery()
    found: int = conn.execute(select(func.count()).select_from(some)).scalar_one()
    return found


def _with_all(rarest: str, others: list[str]) -> Select[Any]:
    """The products that have all of these parts."""
    first = select(parts.c.product_id).where(parts.c.part == rarest).limit(MAX_READ).subquery("part_0")
    statement = select(first.c.product_id)
    for number, piece in enumerate(others, 1):
        other = parts.alias(f"part_{number}")
        statement = statement.join(other, and_(other.c.product_id == first.c.product_id, other.c.part == piece))
    return statement
