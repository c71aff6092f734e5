"""Read rows in the order of an index, even if the planner has no statistics of the table.

Without statistics PostgreSQL expects few rows after a sort key, so it would read all of them and sort, for every batch.
SQLite has none until somebody says ANALYZE, and prefers any index for a condition to one for the order.
Neighbours: the shop's sweeper and the purge of `service` read in batches; `shop.queries.products` reads pages.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import ColumnElement, Connection, UnaryExpression
from sqlalchemy.sql.operators import custom_op

from stockade.store.postgres.local_settings import local_settings

_WALK = {"enable_bitmapscan": "off", "enable_sort": "off"}


@contextmanager
def in_index_order(connection: Connection) -> Iterator[None]:
    """Make PostgreSQL scan an index instead of sorting, inside the block; other databases need nothing."""
    if connection.dialect.name != "postgresql":
        yield
        return
    with local_settings(connection, _WALK):
        yield


def without_index(connection: Connection, column: ColumnElement[str]) -> ColumnElement[str]:
    """A column for a condition that SQLite must not look up by an index, so that the order decides which one it reads.

    Source: "The SQLite Query Optimizer Overview", 9.2: the unary `+` disqualifies a term.

    Args:
        connection: other databases get the column itself.
        column: of text.
    """
    if connection.dialect.name != "sqlite":
        return column
    return UnaryExpression(column, operator=custom_op("+"), type_=column.type)
