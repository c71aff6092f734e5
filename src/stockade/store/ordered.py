"""Read the next rows in the order of an index, whatever the planner knows of the table.

Without statistics PostgreSQL expects few rows behind a place, so it fetches them all and sorts them: for every batch of
a job again. Neighbours: the sweeper and the purge read in batches.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection

_WALK = "SELECT set_config('enable_bitmapscan', 'off', false), set_config('enable_sort', 'off', false)"
_AS_BEFORE = ("RESET enable_bitmapscan", "RESET enable_sort")


@contextmanager
def in_index_order(connection: Connection) -> Iterator[None]:
    """Walk an index meanwhile, and sort only what stands at one place of it; of no effect but on PostgreSQL."""
    if connection.dialect.name != "postgresql":
        yield
        return
    try:
        connection.exec_driver_sql(_WALK)
        yield
        for statement in _AS_BEFORE:
            connection.exec_driver_sql(statement)
    except BaseException:
        connection.invalidate()  # it would go back to its pool as it is
        raise
