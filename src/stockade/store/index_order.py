"""Read the next rows in the order of an index, whatever the planner knows of the table.

Without statistics PostgreSQL expects few rows behind a place, so it fetches them all and sorts them: for every batch of
a job again. Neighbours: the sweeper and the purge read in batches.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection

from stockade.store.postgres.local_settings import local_settings

_WALK = {"enable_bitmapscan": "off", "enable_sort": "off"}


@contextmanager
def in_index_order(connection: Connection) -> Iterator[None]:
    """Walk an index meanwhile, and sort only what stands at one place of it; of no effect but on PostgreSQL."""
    if connection.dialect.name != "postgresql":
        yield
        return
    with local_settings(connection, _WALK):
        yield
