"""SQL conditions on recorded outcomes, by the bytes that `store.outcome_codec` writes; a test compares the two.

Neighbours: the purge deletes by them; the shop adds conditions on its own codes.
"""

from typing import Any

from sqlalchemy import ColumnElement, LargeBinary, Table, func, literal

from stockade.store.schema.tables import DEFAULT

REFUSED = b'{"code":'
MOVED_NOTHING = b'"versions":{}}'


def rejected(requests: Table = DEFAULT.requests) -> ColumnElement[bool]:
    """The request was rejected."""
    return begins_with(REFUSED, requests)


def moved_nothing(requests: Table = DEFAULT.requests) -> ColumnElement[bool]:
    """The request was accepted, changed no guarded row, inserted no record and left no event, e.g. a change of a cart.

    A replacement or a deletion does not count: it can be repeated.
    """
    size = len(MOVED_NOTHING)
    end = _part(requests, func.length(requests.c.outcome) - size + 1, size)
    return end == literal(MOVED_NOTHING, LargeBinary)


def begins_with(start: bytes, requests: Table = DEFAULT.requests) -> ColumnElement[bool]:
    """The recorded outcome begins with these bytes."""
    return _part(requests, 1, len(start)) == literal(start, LargeBinary)


def _part(requests: Table, start: Any, size: int) -> ColumnElement[bytes]:
    return func.substr(requests.c.outcome, start, size, type_=LargeBinary)
