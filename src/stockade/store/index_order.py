"""Read rows in the order of an index, even if the planner has no statistics of the table.

Without statistics PostgreSQL expects few rows after a sort key, so it would read all of them and sort, for every batch.
Neighbours: the shop's sweeper and the purge of `service` read in batches.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection

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
