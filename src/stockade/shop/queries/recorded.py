"""SQL conditions on recorded outcomes of the shop's commands; `service.recorded` has the general ones."""

from sqlalchemy import ColumnElement, or_

from stockade.service.recorded import REFUSED, begins_with
from stockade.shop.model import constants


def rejected_order() -> ColumnElement[bool]:
    """The request was an order, rejected because of stock or points, not because of wrong content."""
    starts = [REFUSED + f'"{code}","data":{{"order_id":'.encode() for code in constants.ORDER_REFUSALS]
    return or_(*map(begins_with, starts))
