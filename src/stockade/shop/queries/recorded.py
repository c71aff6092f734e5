"""What a recorded outcome was, told in SQL by how `store.codec` writes it; a test holds the two together."""

from typing import Any

from sqlalchemy import ColumnElement, LargeBinary, func, literal, or_

from stockade.shop.model import constants
from stockade.store.schema.tables import requests

REFUSED = b'{"code":'
MOVED_NOTHING = b'"versions":{}}'


def refused() -> ColumnElement[bool]:
    """The request was refused."""
    return _part(1, len(REFUSED)) == literal(REFUSED, LargeBinary)


def refused_order() -> ColumnElement[bool]:
    """The request was an order, and refused for what the shop has or the buyer has (not for its form)."""
    starts = [REFUSED + f'"{code}","data":{{"order_id":'.encode() for code in constants.ORDER_REFUSALS]
    return or_(*(_part(1, len(start)) == literal(start, LargeBinary) for start in starts))


def moved_nothing() -> ColumnElement[bool]:
    """The request was accepted without changing a protected row, such as a cart's."""
    size = len(MOVED_NOTHING)
    return _part(func.length(requests.c.outcome) - size + 1, size) == literal(MOVED_NOTHING, LargeBinary)


def _part(start: Any, size: int) -> ColumnElement[bytes]:
    return func.substr(requests.c.outcome, start, size, type_=LargeBinary)
