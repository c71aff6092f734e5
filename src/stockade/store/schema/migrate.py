"""The tables of a database and the histories of migrations that make them.

Each owner of tables has one history: the store, the shop, and a project with tables of its own.
Each has its own folder of Alembic migrations and its own version table (docs/adr/0016).
Neighbours: `stockade.shop.migrations` is the schema of a shop; `migrations/env.py` is Alembic's entry.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from sqlalchemy import Connection, MetaData, String, Table, column, inspect, select, table, text

from stockade.core import Busy, NotSupported
from stockade.store.engine.backends import TransactionRun
from stockade.store.engine.database import Database
from stockade.store.engine.dialect import MIGRATION_LOCK, MigrationRuns
from stockade.store.schema.collisions import refuse_collisions
from stockade.store.schema.tables import DEFAULT, StoreTables, is_version_table

if TYPE_CHECKING:  # Alembic takes a third of a second to import, and only some commands need it
    from alembic.config import Config
    from alembic.script import ScriptDirectory

MIGRATE_WAIT_S = 3_600.0  # how long one migration may wait for another process's, and then take: it may copy tables
_MOST_HISTORIES = 16  # whose migrations are kept; a program has two or three
_LOOK_AGAIN_S = 0.2  # while another process migrates
_ENVIRONMENT = Path(__file__).parent / "migrations"

# Up to revision 0004 one history made the tables of the store and of the shop. Its version table is the shop's today.
_COMMON_TABLE = "stockade_schema"
_COMMON_REVISIONS = frozenset({"0001", "0002", "0003", "0004"})

_READERS = text(
    "SELECT DISTINCT grantee FROM information_schema.role_table_grants WHERE table_schema = current_schema()"
    " AND table_name = :table AND privilege_type = 'SELECT' AND grantee <> current_user"
)

Revisions = Mapping[str, str | None]
T = TypeVar("T")


@dataclass(frozen=True)
class History:
    """The tables of one owner and the migrations that make them.

    Attributes:
        name: of the owner, as people see it.
        metadata: the tables as they are after the last migration.
        folder: Alembic migrations, one file each, in one line without branches.
        version_table: where the revision of a database is kept.
        own: the names of the store's tables, in the store's own history; None in every other one.
    """

    name: str
    metadata: MetaData
    folder: Path
    version_table: str
    own: StoreTables | None = None

    def under(self, names: StoreTables) -> "History":
        """The store's own history for tables of these names; every other history as it is."""
        if self.own is None or self.own == names:
            return self
        return replace(self, metadata=names.metadata, version_table=names.version_table, own=names)

    @property
    def schema(self) -> str | None:
        """The schema that has the version table; None: the one that the connection uses."""
        return None if self.own is None else self.own.schema


STORE = History("store", DEFAULT.metadata, _ENVIRONMENT / "versions", DEFAULT.version_table, DEFAULT)
"""The store's tables: requests, ledger, outbox, inbox and those that processes coordinate by.

In a database that was opened with other names of these tables, this history makes them by those names.
"""


class Schema:
    """All tables that one program needs in its database.

    Args:
        histories: in the order in which they are migrated: a table comes after those that it refers to.
    """

    def __init__(self, *histories: History) -> None:
        self.histories = histories

    @property
    def metadata(self) -> list[MetaData]:
        """The tables of each history."""
        return [each.metadata for each in self.histories]

    @property
    def tables(self) -> list[Table]:
        """All tables, each after those that it refers to."""
        return [table for each in self.metadata for table in each.sorted_tables]

    def create(self, connection: Connection, names: StoreTables = DEFAULT) -> None:
        """Create the tables without migrations: for tests and throw-away databases.

        Args:
            connection: in a transaction.
            names: of the store's tables.

        Raises:
            NotSupported: a table of such a name exists and has other columns.
        """
        for each in self._under(names):
            refuse_collisions(connection, each.name, each.metadata, each.own, may_exist=True)
            each.metadata.create_all(connection)

    def newest(self) -> Revisions:
        """The revision of each history that this version of the program needs."""
        return {each.name: _script(each).get_current_head() for each in self.histories}

    def unknown(self, revisions: Revisions) -> dict[str, str]:
        """The revisions that this version of the program does not know: a newer one has made them."""
        return {
            each.name: revision
            for each in self.histories
            if (revision := revisions[each.name])
            and revision not in {script.revision for script in _script(each).walk_revisions()}
        }

    def can_serve(self, revisions: Revisions) -> bool:
        """Whether running processes of this version may go on: a newer version migrates first, and its schema serves
        them until they are replaced.

        Args:
            revisions: of the database.
        """
        wanted = self.newest()
        newer = self.unknown(revisions) if revisions != wanted else {}
        return all(revisions[name] == revision or name in newer for name, revision in wanted.items())

    async def revisions(self, database: Database, *, timeout_s: float = 5.0) -> Revisions:
        """The revision of each history in the database, None where it has no tables of it.

        Args:
            database: to look at.
            timeout_s: as for `Database.read`, whose errors it raises.
        """
        return await database.read(
            lambda c: {each.name: _revision(c, each) for each in self._under(database.tables)}, timeout_s=timeout_s
        )

    async def is_current(self, database: Database) -> bool:
        """Whether the schema is the one this program needs."""
        return await self.revisions(database) == self.newest()

    async def migrate(self, database: Database, revision: str = "head") -> Revisions:
        """Upgrade the schema; of two processes at once the second waits, and finds nothing to do.

        Args:
            database: the database to change.
            revision: where to bring each history; `head` is its newest.

        Returns:
            The revisions before.

        Raises:
            Busy: another migration did not end within `MIGRATE_WAIT_S`.
            NotSupported: the schema of the database, or `revision`, is unknown to this program; or a table exists by
                the name of one of these. The message says what to do.
        """
        before = await self.revisions(database)  # which fails soon where the database cannot be reached
        deadline = time.monotonic() + MIGRATE_WAIT_S
        stepwise = database.dialect.migrates_in_steps and any(before.values())  # nobody orders in an empty database

        def at_once(connection: Connection) -> None:
            with database.dialect.migrating(connection):
                for history in self._under(database.tables):
                    target = _last_at_once(history, revision) if stepwise else revision
                    if target is not None:
                        _upgrade(connection, history, target)

        def in_steps(connection: Connection, run: TransactionRun) -> None:
            from stockade.store.schema.steps import long_statements

            with long_statements(connection), database.dialect.migrating(connection):
                run.committing = True
                for history in self._under(database.tables):
                    _upgrade(connection, history, revision)

        # MariaDB and MySQL wait for the lock on the server; PostgreSQL's migration would wait for who waits there
        advisory = (MIGRATION_LOCK,) if database.dialect.name in ("mysql", "mariadb") else ()
        await _in_turn(lambda: database.transaction(at_once, deadline=deadline, advisory=advisory), deadline)
        if stepwise and await self._is_behind(database, revision):
            await _in_turn(lambda: database.autocommit(in_steps, deadline=deadline), deadline)
        return before

    async def _is_behind(self, database: Database, revision: str) -> bool:
        """Whether steps are left: `_last_at_once` of a history is not the revision that is wanted."""
        found = await self.revisions(database)
        wanted = {each.name: _wanted(each, revision) for each in self.histories}
        return any(
            _last_at_once(each, revision) != revision and found[each.name] != wanted[each.name]
            for each in self.histories
        )

    async def create_all(self, database: Database) -> None:
        """`create` in a transaction of its own, with the names of the database's `tables`."""
        await database.write(lambda c: self.create(c, database.tables), timeout_s=MIGRATE_WAIT_S)

    def _under(self, names: StoreTables) -> Sequence[History]:
        return [each.under(names) for each in self.histories]


STORE_SCHEMA = Schema(STORE)
"""The store's tables alone: for a project that has its own tables and migrates them itself."""


def shown(revisions: Revisions) -> str:
    """Revisions in words, e.g. `store 0004, shop 0003`; `none` where there is no table of any history."""
    if not any(revisions.values()):
        return "none"
    return ", ".join(f"{name} {revision or 'none'}" for name, revision in revisions.items())


def has_store_tables(connection: Connection) -> bool:
    """Whether a store has its tables in the schema that the connection uses, under any prefix.

    Args:
        connection: to look with.
    """
    return any(map(is_version_table, inspect(connection).get_table_names()))


def _config(history: History) -> "Config":
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_ENVIRONMENT).replace("%", "%%"))
    config.set_main_option("path_separator", "newline")
    config.set_main_option("version_locations", str(history.folder).replace("%", "%%"))
    return config


@lru_cache(maxsize=_MOST_HISTORIES)
def _script(history: History) -> "ScriptDirectory":
    """The migrations of a history, which Alembic reads from their files each time that it is asked anew."""
    from alembic.script import ScriptDirectory

    return ScriptDirectory.from_config(_config(history))


def _wanted(history: History, revision: str) -> str | None:
    return _script(history).get_current_head() if revision == "head" else revision


def _last_at_once(history: History, revision: str) -> str | None:
    """The last revision on the way to this one before those that go in steps of a transaction each."""
    line = [*reversed([*_script(history).walk_revisions()])]
    names = [each.revision for each in line]
    wanted = _wanted(history, revision)
    first = next((n for n, each in enumerate(line) if getattr(each.module, "in_steps", False)), len(line))
    if wanted not in names or names.index(wanted) < first:
        return revision
    return names[first - 1] if first else None


async def _in_turn(work: Callable[[], Awaitable[T]], deadline: float) -> T:
    """Begin again and again until no other process migrates.

    Raises:
        Busy: one did until the deadline.
    """
    while True:
        try:
            return await work()
        except MigrationRuns as error:
            if time.monotonic() >= deadline - _LOOK_AGAIN_S:
                raise Busy(f"another migration did not end within {MIGRATE_WAIT_S:.0f} s") from error
        await asyncio.sleep(_LOOK_AGAIN_S)


def _upgrade(connection: Connection, history: History, revision: str) -> None:
    from alembic import command
    from alembic.util import CommandError

    before = _revision(connection, history)
    line = [each.revision for each in _script(history).walk_revisions()]  # the newest first
    if before in line and revision in line and line.index(before) < line.index(revision):
        return  # beyond it
    config = _config(history)
    config.attributes.update(connection=connection, history=history, stockade_tables=history.own)
    if before is None:
        refuse_collisions(connection, history.name, history.metadata, history.own)
    try:
        if before and _stored(connection, history.version_table, history.schema) is None:  # made by the common history
            command.stamp(config, before)
            _copy_readers(connection, history.version_table)
        command.upgrade(config, revision)
    except CommandError as error:  # a schema that a newer program made, or a revision that there is not
        what = f"the {history.name}'s schema {before} cannot be brought to {revision}"
        raise NotSupported(f"{what}: {error}") from error


def _copy_readers(connection: Connection, version_table: str) -> None:
    """Let those read the new version table who read the common one: PostgreSQL grants nobody else a new table."""
    if connection.dialect.name != "postgresql":
        return
    roles = connection.execute(_READERS, {"table": _COMMON_TABLE}).scalars().all()
    for role in map(connection.dialect.identifier_preparer.quote_identifier, roles):
        connection.execute(text(f"GRANT SELECT ON {version_table} TO {role}"))


def _revision(connection: Connection, history: History) -> str | None:
    found = _stored(connection, history.version_table, history.schema)
    if found is None and history is STORE:
        common = _stored(connection, _COMMON_TABLE)
        return common if common in _COMMON_REVISIONS else None
    return found


def _stored(connection: Connection, version_table: str, schema: str | None = None) -> str | None:
    """The revision in a version table, None where there is no row: MariaDB may keep the table and lose the row."""
    if not inspect(connection).has_table(version_table, schema):
        return None
    stored = table(version_table, column("version_num", String), schema=schema)
    found: str | None = connection.execute(select(stored.c.version_num)).scalar_one_or_none()
    return found
