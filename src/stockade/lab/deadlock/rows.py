"""The table of a bench: rows that are locked, with a version and a second index in the opposite direction.

It has a name that no other run uses, and is dropped at the end. Neighbours: `session.py`, `arms.py`.
"""

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from stockade.lab.deadlock.session import Session, open_session


@dataclass(frozen=True, slots=True)
class Rows:
    """A table with the ids 1 to `count`.

    Attributes:
        table: its name.
        count: how many rows it has.
        database: `postgres`, `mariadb` or `mysql`.
    """

    table: str
    count: int
    database: str

    def lock(self, id_: int, *, nowait: bool = False) -> str:
        """The statement that locks one row."""
        more = " NOWAIT" if nowait else ""
        return f"SELECT n FROM {self.table} WHERE id = {id_} FOR UPDATE{more}"  # noqa: S608 - our own name and numbers

    def change(self, id_: int, version: int | None = None) -> str:
        """The statement that changes one row, if it still has this version."""
        only = "" if version is None else f" AND version = {version}"
        return f"UPDATE {self.table} SET n = n + 1, version = version + 1 WHERE id = {id_}{only}"  # noqa: S608

    def read(self, ids: tuple[int, ...]) -> str:
        """The query of the versions, without a lock."""
        return f"SELECT id, version FROM {self.table} WHERE id IN ({_list(ids)})"  # noqa: S608

    def lock_all(self, ids: tuple[int, ...], *, downwards: bool, ordered: bool, primary: bool) -> str:
        """One statement that locks all of these rows.

        Args:
            ids: of the rows.
            downwards: finds them by the second index, which counts from the other end.
            ordered: with ORDER BY the key.
            primary: MariaDB and MySQL: must read the primary key, whatever the condition.
        """
        hint = ""
        if self.database != "postgres":
            hint = " FORCE INDEX (PRIMARY)" if primary or not downwards else f" FORCE INDEX ({self.table}_down)"
        values = _list(tuple(-id_ for id_ in ids)) if downwards else _list(ids)
        where = f"{'down' if downwards else 'id'} IN ({values})"
        order = " ORDER BY id" if ordered else ""
        return f"SELECT n FROM {self.table}{hint} WHERE {where}{order} FOR UPDATE"  # noqa: S608


@asynccontextmanager
async def open_rows(url: str, database: str, count: int) -> AsyncIterator[Rows]:
    """Make the table, and drop it at the end."""
    rows = Rows(f"lab_{secrets.token_hex(4)}", count, database)
    admin = await open_session(url)
    try:
        more = "" if database == "postgres" else " ENGINE=InnoDB"
        await admin.run(
            f"CREATE TABLE {rows.table} (id INTEGER NOT NULL PRIMARY KEY, down INTEGER NOT NULL, n INTEGER NOT NULL,"
            f" version INTEGER NOT NULL){more}"
        )
        try:
            await _fill(admin, rows)
            yield rows
        finally:
            await admin.run(f"DROP TABLE {rows.table}")
    finally:
        await admin.close()


async def _fill(admin: Session, rows: Rows) -> None:
    values = ", ".join(f"({id_}, {-id_}, 0, 0)" for id_ in range(1, rows.count + 1))
    await admin.run(f"INSERT INTO {rows.table} (id, down, n, version) VALUES {values}")  # noqa: S608
    await admin.run(f"CREATE INDEX {rows.table}_down ON {rows.table} (down)")


def _list(numbers: tuple[int, ...]) -> str:
    return ", ".join(map(str, numbers))
