"""Connections to MariaDB and MySQL over asyncmy: one pool for transactions, one for queries.

Neighbour: `dialect` has the statements.
"""

import logging

from sqlalchemy.engine import URL

from stockade.drivers.failures import reaching
from stockade.drivers.mysql import MySQLAddress, abort
from stockade.store.engine.address import DatabaseAddress
from stockade.store.engine.backends import AsyncBackend, DatabaseBackend
from stockade.store.engine.pools import Link, Pool
from stockade.store.mysql.dialect import MariaDialect, MysqlDialect

# Prepared statements of a connection. The driver then sends values in binary form, many rows at once to MariaDB
# (COM_STMT_BULK_EXECUTE), where it would else escape each into the text of a statement that the server parses anew.
PREPARED = 128
# Whatever the server's is: one that is not strict cuts texts and numbers that do not fit, without an error; others
# change what a quotation mark or a backslash means.
SQL_MODE = "STRICT_TRANS_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION"


def _pool(url: URL, address: MySQLAddress, size: int, isolation: str) -> Pool:
    link = Link(
        # FOUND_ROWS and the like, which the dialect counts on
        connect=lambda given: address.connect(
            client_flag=given.get("client_flag", 0), stmt_cache_size=PREPARED, sql_mode=f"'{SQL_MODE}'"
        ),
        broken=lambda driver: bool(driver._stream_broken),  # noqa: SLF001 - asyncmy has no public word for it
        end=lambda driver: driver.ensure_closed(),
        kill=abort,
    )
    # every transaction here ends by commit or rollback: another rollback on return would be a round trip for nothing
    return Pool(url, link, size, isolation_level=isolation, pool_reset_on_return=None)


async def connect(target: DatabaseAddress, pool_size: int, wait_s: float) -> tuple[URL, DatabaseBackend]:
    """Two pools; a `mysql://` URL that leads to a MariaDB server gets the dialect of MariaDB."""
    url, address = target
    assert isinstance(address, MySQLAddress)
    # its notes (a skipped duplicate, the name of a primary key) say nothing that an operator could use
    logging.getLogger("asyncmy").setLevel(logging.ERROR)
    writers = _pool(url, address, pool_size, "READ COMMITTED")
    try:
        async with reaching("MariaDB or MySQL", address.place, address.connect_timeout_s), writers.engine.connect():
            pass
    except BaseException:
        await writers.close()
        raise
    if url.get_backend_name() == "mysql" and getattr(writers.engine.dialect, "is_mariadb", False):
        await writers.close()
        return await connect(DatabaseAddress(url.set(drivername="mariadb+asyncmy"), address), pool_size, wait_s)
    sql = writers.engine.dialect
    dialect = MariaDialect(sql) if url.get_backend_name() == "mariadb" else MysqlDialect(sql)
    reader_count = max(2, min(pool_size, 8))
    return url, AsyncBackend(dialect, writers, _pool(url, address, reader_count, "AUTOCOMMIT"), reader_count)
