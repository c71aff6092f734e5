"""Reads by SQL, on connections that cannot write: SQLite opened read-only, read-only transactions elsewhere.

Neighbours: `reads.py` asks it; `model/checks.py` has refused what is no SELECT; `drivers` connects.
"""

import asyncio
import sqlite3
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote

from stockade.core.secrets import hide_password
from stockade.drivers.failures import AccessRefused, ConnectFailed, describe
from stockade.race.errors import RaceError

MOST_ROWS = 100_000
_STEPS_BETWEEN_LOOKS = 10_000  # of SQLite's machine, between two looks at the clock


async def select(url: str, sql: str, timeout_s: float) -> Any:
    """The value of a SELECT of one column: of one row the value, else the list of all.

    Args:
        url: `sqlite:///file`, `postgresql://…`, `mysql://…` or `mariadb://…`.
        sql: one statement.
        timeout_s: longest time in seconds, the connection included.

    Raises:
        RaceError: it cannot be read, it would write, or it has not one column; one line.
    """
    scheme = url.partition(":")[0].partition("+")[0]
    read = {"sqlite": _sqlite, "postgresql": _postgres, "postgres": _postgres, "mysql": _mysql, "mariadb": _mysql}
    if scheme not in read:
        raise RaceError(
            f"database {hide_password(url)}: must begin with sqlite:///, postgresql://, mysql:// or mariadb://"
        )
    try:
        async with asyncio.timeout(timeout_s):
            rows = await read[scheme](url, sql, timeout_s)
    except TimeoutError:
        raise RaceError(f"{sql}: took more than {timeout_s:g} s") from None
    except (ConnectFailed, AccessRefused, ValueError) as error:
        raise RaceError(f"database {hide_password(url)}: {error}") from None
    except RaceError:
        raise
    except Exception as error:  # noqa: BLE001 - of three drivers, whose errors share no class
        raise RaceError(f"{sql}: the database refuses it: {describe(error)}") from None
    if len(rows) > MOST_ROWS:
        raise RaceError(f"{sql}: has more than {MOST_ROWS:,} rows: count or sum them there")
    if any(len(row) != 1 for row in rows):
        raise RaceError(f"{sql}: has {len(rows[0])} columns, must have one")
    values = [row[0] for row in rows]
    return values[0] if len(values) == 1 else values


async def _sqlite(url: str, sql: str, timeout_s: float) -> Sequence[Sequence[Any]]:
    name = url.partition(":///")[2]

    def read() -> list[tuple[Any, ...]]:
        if not Path(name).is_file():
            raise RaceError(f"database {url}: there is no file {name}")
        over = _deadline(timeout_s)
        with closing(sqlite3.connect(f"file:{quote(name)}?mode=ro", uri=True, timeout=timeout_s)) as connection:
            connection.set_progress_handler(over, _STEPS_BETWEEN_LOOKS)
            connection.execute("PRAGMA query_only = 1")
            return connection.execute(sql).fetchmany(MOST_ROWS + 1)

    return await asyncio.to_thread(read)


def _deadline(timeout_s: float) -> Any:
    """A function that says whether the time is over; SQLite ends a statement then."""
    end_s = time.monotonic() + timeout_s
    return lambda: time.monotonic() > end_s


async def _postgres(url: str, sql: str, timeout_s: float) -> Sequence[Sequence[Any]]:
    from stockade.drivers.postgres import PostgresAddress

    connection = await PostgresAddress.parse(url).connect(timeout_s=timeout_s)
    try:
        async with connection.transaction(readonly=True):
            cursor = await connection.cursor(sql)
            return [tuple(row) for row in await cursor.fetch(MOST_ROWS + 1)]
    finally:
        connection.terminate()  # nothing was written


async def _mysql(url: str, sql: str, timeout_s: float) -> Sequence[Sequence[Any]]:
    from stockade.drivers.mysql import MySQLAddress, abort

    connection = await MySQLAddress.parse(url).connect(timeout_s=timeout_s)
    try:
        async with connection.cursor() as cursor:
            await cursor.execute("SET SESSION TRANSACTION READ ONLY")
            await cursor.execute("START TRANSACTION READ ONLY")
            await cursor.execute(sql)
            return [tuple(row) for row in await cursor.fetchmany(MOST_ROWS + 1)]
    finally:
        abort(connection)
