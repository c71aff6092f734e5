"""A given engine over PostgreSQL: every setting belongs to one transaction, as behind a pooler.

Neighbour: `store.engine.adopt`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import AsyncConnection

from stockade.store.postgres.connect import check_encoding
from stockade.store.postgres.dialect import BOUNDS, STATEMENT_GRACE_MS, PooledPostgresDialect


class GivenPostgresDialect(PooledPostgresDialect):
    """No statement here is a transaction of its own: a wait for a lock in it would have no bound but the session's."""

    @contextmanager
    def reading(self, connection: Connection, limit_s: float) -> Iterator[None]:
        self.before_begin(connection, limit_s)
        ms = max(1, int(min(limit_s, self._wait_s) * 1000))
        connection.exec_driver_sql(BOUNDS, (str(ms), str(ms + STATEMENT_GRACE_MS)))  # begins the transaction
        yield


async def dialect_of(connection: AsyncConnection, wait_s: float) -> GivenPostgresDialect:
    """The dialect for the engine of this connection.

    Raises:
        NotSupported: the database cannot hold every text.
    """
    raw: Any = await connection.get_raw_connection()
    check_encoding(raw)
    return GivenPostgresDialect(connection.sync_engine.dialect, wait_s)
