"""A given engine over MariaDB or MySQL: variables of the session are set back before a connection is given back.

The isolation level is set for the next transaction alone, so that it needs no setting back.
Neighbour: `store.engine.adopt`.
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar

from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncConnection

from stockade.core import NotSupported
from stockade.drivers.mysql import CHARSET
from stockade.store.engine.dialect import Dialect
from stockade.store.mysql.dialect import MariaDialect, MysqlDialect

_SESSION = text("SELECT @@SESSION.autocommit, @@SESSION.sql_mode, @@SESSION.character_set_client")


class _GivenSession(MysqlDialect):
    """What both databases have in common."""

    migrates_in_steps: ClassVar[bool] = False  # the session keeps nothing

    def before_begin(self, connection: Connection, left_s: float) -> None:
        return None

    def after_begin(self, connection: Connection, left_s: float, advisory: Sequence[str]) -> None:
        # the server's begins with the next statement; `isolate` may set another level before that
        _execute(connection, "SET TRANSACTION ISOLATION LEVEL READ COMMITTED")

    @contextmanager
    def holding(self, connection: Connection, advisory: Sequence[str], left_s: float) -> Iterator[None]:
        seconds = str(max(1, math.ceil(left_s)))
        with _variable(connection, "innodb_lock_wait_timeout", seconds), super().holding(connection, advisory, left_s):
            yield

    @contextmanager
    def reading(self, connection: Connection, limit_s: float) -> Iterator[None]:
        self.after_begin(connection, limit_s, ())
        name, _, value = self.limit(limit_s).removeprefix("SET SESSION ").partition(" = ")
        with _variable(connection, name, value):
            yield


class GivenMysqlDialect(_GivenSession):
    """MySQL."""


class GivenMariaDialect(_GivenSession, MariaDialect):
    """MariaDB."""


@contextmanager
def _variable(connection: Connection, name: str, value: str) -> Iterator[None]:
    """Set a variable of the session meanwhile.

    A connection that cannot set it back is thrown away, without an error: what was committed meanwhile stays so.
    Nobody else changes the variable while the store has the connection.
    """
    before = _scalar(connection, f"SELECT @@SESSION.{name}")
    _execute(connection, f"SET SESSION {name} = {value}")
    try:
        yield
    finally:
        if not connection.invalidated:
            try:
                _execute(connection, f"SET SESSION {name} = {before}")
            except Exception:  # noqa: BLE001 - whatever it was, this connection is of no more use
                connection.invalidate()
            except BaseException:
                connection.invalidate()
                raise


def _execute(connection: Connection, statement: str) -> None:
    """Below SQLAlchemy's connection, which would begin its transaction with it."""
    cursor = connection.connection.cursor()
    try:
        cursor.execute(statement)
    finally:
        cursor.close()


def _scalar(connection: Connection, statement: str) -> Any:
    cursor = connection.connection.cursor()
    try:
        cursor.execute(statement)
        return cursor.fetchall()[0][0]
    finally:
        cursor.close()


async def dialect_of(connection: AsyncConnection, wait_s: float) -> Dialect:
    """The dialect for the engine of this connection.

    Raises:
        NotSupported: the engine or its sessions do not fit; the message says how to make one that does.
    """
    sql = connection.sync_engine.dialect
    maria = bool(getattr(sql, "is_mariadb", False))
    if maria and sql.name != "mariadb":  # it names other collations
        raise NotSupported(f"the server is MariaDB: make the engine with mariadb+{sql.driver}://")
    try:
        await connection.execute(text("SELECT :sent"), {"sent": b"\x00"})
    except TypeError as error:  # aiomysql 0.3 takes the place of bytes from PyMySQL, which has moved it
        raise NotSupported(
            f"{sql.driver} cannot send bytes here ({error}): install 'pymysql<1.2', or use asyncmy"
        ) from None
    autocommit, mode, charset = (await connection.execute(_SESSION)).one()
    if autocommit:
        raise NotSupported("each statement of the engine commits by itself: make it without AUTOCOMMIT")
    if "STRICT_" not in mode:
        raise NotSupported(
            f"the sessions of the engine have sql_mode={mode!r}, under which the server cuts what does not fit: make it"
            " with connect_args={'init_command': \"SET SESSION sql_mode='STRICT_TRANS_TABLES'\"}"
        )
    if charset != CHARSET:
        raise NotSupported(f"the sessions of the engine use {charset}, which loses letters: add ?charset={CHARSET}")
    return GivenMariaDialect(sql) if maria else GivenMysqlDialect(sql)
