"""The one row of the race as somebody sees it: on a buyer's own connection, or from outside."""

from typing import NamedTuple

from sqlalchemy import Connection, select

from stockade.core import JsonValue, Key, Rows
from stockade.shop.model.tables import skus


class RowView(NamedTuple):
    """The row of stock.

    Attributes:
        on_hand: units that are there.
        reserved: of them, promised to orders.
        version: counts the changes of the row.
    """

    on_hand: int
    reserved: int
    version: int

    @property
    def free(self) -> int:
        """Units that nobody was promised."""
        return self.on_hand - self.reserved

    def as_json(self) -> dict[str, JsonValue]:
        """For the page."""
        return {"free": self.free, **self._asdict()}


def read_row(connection: Connection, sku_id: str) -> RowView:
    """The row as this connection sees it now, by a plain read: it locks nothing."""
    query = select(skus.c.on_hand, skus.c.reserved, skus.c.version).where(skus.c.id == sku_id)
    return RowView(*connection.execute(query).one())


def loaded_row(rows: Rows, key: Key) -> RowView:
    """The row as a command was given it to decide on."""
    row = rows[key]
    return RowView(row.state.on_hand, row.state.reserved, row.version)
