"""SQL conditions on recorded outcomes, by the bytes that `store.outcome_codec` writes; a test compares the two."""

from typing import Any

from sqlalchemy import ColumnElement, LargeBinary, func, literal, or_

from stockade.shop.model import constants
from stockade.store.schema.tables import requests

REFUSED = b'{"code":'
MOVED_NOTHING = b'"versions":{}}'


def rejected() -> ColumnElement[bool]:
    """The request was rejected."""
    return _part(1, len(REFUSED)) == literal(REFUSED, LargeBinary)


def rejected_order() -> ColumnElement[bool]:
    """The request was an order, rejected because of stock or points, not because of wrong content."""
    starts = [REFUSED + f'"{code}","data":{{"order_id":'.encode() for code in constants.ORDER_REFUSALS]
    return or_(*(_part(1, len(start)) == literal(start, LargeBinary) for start in starts))


def moved_nothing() -> ColumnElement[bool]:
    """The request was accepted and changed no protected row, e.g. a change of a cart."""
    size = len(MOVED_NOTHING)
    return _part(func.length(requests.c.outcome) - size + 1, size) == literal(MOVED_NOTHING, LargeBinary)


def _part(start: Any, size: int) -> ColumnElement[bytes]:
    return func.substr(requests.c.outcome, start, size, type_=LargeBinary)
