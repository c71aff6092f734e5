"""Pages of a list: a bounded number of items in a stable order, and an opaque cursor that names the last one.

A cursor is the sort key of the last item. So a page costs the same at any depth, and rows inserted or deleted meanwhile
do not shift the pages (keyset pagination: Winand, "SQL Performance Explained", 2012, ch. 7).
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Generic, TypeVar

import msgspec
from msgspec import Meta
from sqlalchemy import ColumnElement, and_, or_

from stockade.shop.model.fields import NextCursor

T = TypeVar("T")
R = TypeVar("R")

MAX_LIMIT = 100
_MAX_CURSOR = 400  # characters; no cursor of ours is longer
_MAX_NUMBER = 2**63 - 1


class BadQuery(ValueError):
    """A parameter of a query is not allowed; the message says which and why."""


class Page(msgspec.Struct, Generic[T], frozen=True):
    """Items of one page; `next_cursor` is None on the last one."""

    items: Annotated[list[T], Meta(description="At most `limit` items, in the order of the list.")]
    next_cursor: NextCursor = None


def check_limit(limit: int) -> None:
    """Raise BadQuery unless 1 <= limit <= MAX_LIMIT."""
    if not 1 <= limit <= MAX_LIMIT:
        raise BadQuery(f"limit must be 1 to {MAX_LIMIT}, not {limit}")


def encode_cursor(scope: str, key: Sequence[str | int]) -> str:
    """The cursor after the item with this sort key; `scope` names the list and its order."""
    return urlsafe_b64encode(msgspec.json.encode([scope, *key])).decode().rstrip("=")


def decode_cursor(cursor: str | None, scope: str, *types: type[str | int]) -> tuple[Any, ...] | None:
    """The sort key inside a cursor, None without a cursor.

    Args:
        cursor: as the client sent it.
        scope: of the list that it must belong to.
        types: of the parts of its sort key.

    Raises:
        BadQuery: it is not a cursor of this list.
    """
    if cursor is None:
        return None
    wrong = BadQuery("cursor is not one that this list gave out")
    if len(cursor) > _MAX_CURSOR or not cursor.isascii():
        raise wrong
    try:
        found, *key = msgspec.json.decode(urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)), type=list[str | int])
    except (ValueError, msgspec.MsgspecError) as error:  # not base64, not JSON, not such a list, or an empty one
        raise wrong from error
    if found != scope or len(key) != len(types):
        raise wrong
    for part, type_ in zip(key, types, strict=True):
        if type(part) is not type_ or (isinstance(part, int) and abs(part) > _MAX_NUMBER):
            raise wrong
        if isinstance(part, str) and not part.isprintable():
            raise wrong
    return tuple(key)


def after(
    columns: Sequence[ColumnElement[Any]], key: Sequence[Any], *, descending: bool = False
) -> ColumnElement[bool]:
    """The rows after a sort key of two columns; every optimizer turns the first condition into a range of the index."""
    (first, second), (x, y) = columns, key
    if descending:
        return and_(first <= x, or_(first < x, second < y))
    return and_(first >= x, or_(first > x, second > y))


def page(
    rows: Sequence[R], limit: int, item: Callable[[R], T], scope: str, key: Callable[[R], Sequence[str | int]]
) -> Page[T]:
    """A page of at most `limit` items from up to `limit + 1` rows: the extra row shows that there are more."""
    cursor = encode_cursor(scope, key(rows[limit - 1])) if len(rows) > limit else None
    return Page([item(row) for row in rows[:limit]], cursor)
