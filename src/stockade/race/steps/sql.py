"""Reads by SQL, on connections that cannot write: SQLite opened read-only, read-only transactions elsewhere.

A variable is a parameter of the statement, never a part of its text. Neighbours: `reads.py` asks it; `model/select.py`
takes the statement apart; `drivers` connects.
"""

import asyncio
import sqlite3
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote

from stockade.core.secrets import hide_password
from stockade.drivers.failures import AccessRefused, ConnectFailed, describe
from stockade.race.errors import RaceError
from stockade.race.model.select import Select

MOST_ROWS = 100_000
_STEPS_BETWEEN_LOOKS = 10_000  # of SQLite's machine, between two looks at the clock


async def select(url: str, sql: str, timeout_s: float, variables: Mapping[str, Any] | None = None) -> Any:
    """The value of a SELECT of one column: of one row the value, else the list of all.

    Args:
        url: `sqlite:///file`, `postgresql://…`, `mysql://…` or `mariadb://…`.
        sql: one statement, with placeholders.
        timeout_s: longest time in seconds, the connection included.
        variables: for its placeholders.

    Raises:
        RaceError: it cannot be read, it would write, or it has not one column; one line.
    """
    scheme = url.partition(":")[0].partition("+")[0]
    read = {"sqlite": _sqlite, "postgresql": _postgres, "postgres": _postgres, "mysql": _mysql, "mariadb": _mysql}
    if scheme not in read:
        raise RaceError(
            f"database {hide_password(url)}: must begin with sqlite:///, postgresql://, mysql:// or mariadb://"
        )
    statement = Select.parse(sql)
    values = statement.values(variables or {})
    try:
        async with asyncio.timeout(timeout_s):
            rows = await read[scheme](url, statement, values, timeout_s)
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
    found = [row[0] for row in rows]
    return found[0] if len(found) == 1 else found


async def _sqlite(url: str, statement: Select, values: Sequence[Any], timeout_s: float) -> Sequence[Sequence[Any]]:
    name = url.partition(":///")[2]

    def read() -> list[tuple[Any, ...]]:
        if not Path(name).is_file():
            raise RaceError(f"database {url}: there is no file {name}")
        over = _deadline(timeout_s)
        with closing(sqlite3.connect(f"file:{quote(name)}?mode=ro", uri=True, timeout=timeout_s)) as connection:
            connection.set_progress_handler(over, _STEPS_BETWEEN_LOOKS)
            connection.execute("PRAGMA query_only = 1")
            return connection.execute(statement.sql(lambda _: "?"), values).fetchmany(MOST_ROWS + 1)

    return await asyncio.to_thread(read)


def _deadline(timeout_s: float) -> Any:
    """A function that says whether the time is over; SQLite ends a statement then."""
    end_s = time.monotonic() + timeout_s
    return lambda: time.monotonic() > end_s


async def _postgres(url: str, statement: Select, values: Sequence[Any], timeout_s: float) -> Sequence[Sequence[Any]]:
    from stockade.drivers.postgres import PostgresAddress

    connection = await PostgresAddress.parse(url).connect(timeout_s=timeout_s)
    try:
        # not `async with`: its end would wait for ROLLBACK, without a bound, on a server that does not answer
        await connection.transaction(readonly=True).start()
        await connection.execute(f"SET LOCAL statement_timeout = {round(timeout_s * 1000)}")
        cursor = await connection.cursor(statement.sql(lambda at: f"${at}"), *values)
        return [tuple(row) for row in await cursor.fetch(MOST_ROWS + 1)]
    finally:
        connection.terminate()  # nothing was written


async def _mysql(url: str, statement: Select, values: Sequence[Any], timeout_s: float) -> Sequence[Sequence[Any]]:
    from stockade.drivers.mysql import MySQLAddress, abort

    connection = await MySQLAddress.parse(url).connect(timeout_s=timeout_s)
    names = [f"@race_{at}" for at in range(len(values))]
    try:
        async with connection.cursor() as cursor:
            await cursor.execute("SET SESSION TRANSACTION READ ONLY")  # DROP would end the transaction, and then work
            await cursor.execute("START TRANSACTION READ ONLY")
            for name, value in zip(names, values, strict=True):
                await cursor.execute(f"SET {name} = %s", (value,))
            # asyncmy lets the server take several statements at once; PREPARE takes one (manual, 15.5.1)
            await cursor.execute("PREPARE race FROM %s", (statement.sql(lambda _: "?"),))
            await cursor.execute(f"EXECUTE race{' USING ' if names else ''}{', '.join(names)}")
            return [tuple(row) for row in await cursor.fetchmany(MOST_ROWS + 1)]
    finally:
        abort(connection)
