"""Steps of a migration beside which orders go on: each statement commits, none holds a lock on a table for long.

A migration whose module says `in_steps = True` uses them. Where the database or the connection cannot (SQLite, a
pooler, an engine of the caller), the same migration runs in one transaction. Interrupted, it is done again from its
beginning, so each step must find what is there already.
Neighbours: `schema.migrate` runs the migrations, `shop.migrations` has some in steps.
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from sqlalchemy import Connection, String, column, inspect, select, table, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.util import await_only

from stockade.core import Busy
from stockade.drivers.failures import Failure, classify, describe

BATCH = 5_000  # keys of which one statement changes the rows
LOCK_WAIT_S = 0.5  # how long orders may queue behind a statement that waits for a table; MariaDB counts whole seconds
PAUSE_S = 0.5  # for the orders that have queued meanwhile
LOCK_TRIES = 600


def are_steps(connection: Connection) -> bool:
    """Whether each statement of this connection is a transaction of its own."""
    return connection.get_execution_options().get("isolation_level") == "AUTOCOMMIT"


@contextmanager
def long_statements(connection: Connection) -> Iterator[None]:
    """Let a statement take longer than one of an order may; the connection is thrown away after an error."""
    postgres = connection.dialect.name == "postgresql"
    if postgres:
        connection.exec_driver_sql("SELECT set_config('statement_timeout', '0', false)")
        connection.exec_driver_sql("SELECT set_config('lock_timeout', '0', false)")
    try:
        yield
    except BaseException:
        connection.invalidate()
        raise
    for name in ("statement_timeout", "lock_timeout") if postgres else ():
        connection.exec_driver_sql(f"RESET {name}")


def alter(connection: Connection, statement: Callable[[], object]) -> None:
    """Carry out a statement that needs a table for itself for a moment.

    Orders queue behind it while it waits for a long transaction, so it waits briefly, makes room, and tries again.

    Args:
        connection: of the migration.
        statement: carries it out.

    Raises:
        Busy: `LOCK_TRIES` were in vain.
    """
    if not are_steps(connection):
        statement()
        return
    for _ in range(LOCK_TRIES):
        try:
            with _short_wait(connection):
                statement()
        except DBAPIError as error:
            if classify(error) is not Failure.TIMEOUT:
                raise
            last = error
            await_only(asyncio.sleep(PAUSE_S))
        else:
            return
    text_ = "another transaction keeps a table that the migration alters: end it and migrate again"
    raise Busy(f"{text_} ({describe(last)})") from last


@contextmanager
def _short_wait(connection: Connection) -> Iterator[None]:
    if connection.dialect.name == "postgresql":
        short, rest = f"lock_timeout = '{LOCK_WAIT_S}s'", "lock_timeout = 0"
    else:  # the second one for tables that a foreign key joins: InnoDB locks them by itself
        names = ("lock_wait_timeout", "innodb_lock_wait_timeout")
        short, rest = (", ".join(f"{name} = {value}" for name in names) for value in ("1", "DEFAULT"))
        connection.info.pop("lock_wait_s", None)  # what the dialect has set, and sets again for the next transaction
    connection.exec_driver_sql(f"SET SESSION {short}")
    try:
        yield
    finally:
        if not connection.invalidated:
            connection.exec_driver_sql(f"SET SESSION {rest}")


def key_ranges(connection: Connection, name: str, size: int | None = None) -> Iterator[tuple[str, str]]:
    """The keys of a table in order, as ranges `(after, last)` of a bounded number of rows.

    Args:
        connection: of the migration.
        name: of a table whose primary key is a text `id`.
        size: rows of a range; None: `BATCH`.
    """
    keys = table(name, column("id", String)).c.id
    some = select(keys).order_by(keys).limit(size or BATCH)
    after = ""
    while found := connection.execute(some.where(keys > after)).scalars().all():
        yield after, found[-1]
        after = found[-1]


def has_index(connection: Connection, name: str, of: str) -> bool:
    """Whether a table has an index, finished or not.

    Args:
        connection: of the migration.
        name: of the index.
        of: the table.
    """
    if connection.dialect.name == "postgresql":
        return _is_valid(connection, name) is not None
    return name in {each["name"] for each in inspect(connection).get_indexes(of)}


def add_index(connection: Connection, of: str, names: Sequence[str]) -> None:
    """Add an index while rows are written; one that an interruption left unfinished is made again.

    Args:
        connection: of the migration.
        of: the table.
        names: its columns, in order.
    """
    from alembic import op  # late: slow to import, and `shop.model.name_parts` imports this module

    name = f"ix_{of}_{'_'.join(names)}"
    if connection.dialect.name != "postgresql":
        if not has_index(connection, name, of):
            alter(connection, lambda: op.execute(_creation(connection, name, of, names)))
        return
    concurrently = are_steps(connection)
    if _is_valid(connection, name) is False:
        op.execute(f"DROP INDEX {'CONCURRENTLY ' if concurrently else ''}{name}")
    if not has_index(connection, name, of):
        op.create_index(name, of, list(names), postgresql_concurrently=concurrently)


def _creation(connection: Connection, name: str, of: str, names: Sequence[str]) -> str:
    # the options: refused by MariaDB and MySQL where the statement would have to stop writers
    options = "" if connection.dialect.name == "sqlite" else " ALGORITHM=INPLACE LOCK=NONE"
    return f"CREATE INDEX {name} ON {of} ({', '.join(names)}){options}"


def _is_valid(connection: Connection, name: str) -> bool | None:
    """Whether an index of PostgreSQL is finished; None: there is none."""
    asked = text("SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(:name)")
    found: bool | None = connection.execute(asked, {"name": name}).scalar_one_or_none()
    return found
