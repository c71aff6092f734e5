"""The store's tables under a prefix or in a schema of their own, beside tables that have their names."""

from dataclasses import replace

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import BigInteger, Column, MetaData, Table, inspect, select, text

from stockade.core import Accepted, Decision, Event, Guard, Insert, Key, NotSupported
from stockade.store import STORE, STORE_SCHEMA, Database, Resource, SqlStore, StoreTables, guarded, text_id
from stockade.store.consumer_offsets import ConsumerOffsets
from stockade.store.guards_in_use import Use
from stockade.store.outbox import DeliveryReport, Outbox
from stockade.store.registration import Registration
from stockade.store.schema.rights import missing_rights
from stockade.store.schema.tables import DEFAULT
from tests.store.commands import rid
from tests.store.conftest import soon
from tests.store.test_own_tables import SEATS, BookSeat, SeatState, own

PREFIXED = StoreTables(prefix="stockade_")
THEIRS = ("CREATE TABLE requests (id BIGINT PRIMARY KEY, subject VARCHAR(40))", "CREATE TABLE orders (no BIGINT)")


async def run(database, *statements):
    await database.transaction(lambda c: [c.execute(text(each)) for each in statements], deadline=soon(30))


async def rows(database, table):
    return await database.read(lambda c: [tuple(each) for each in c.execute(select(table))])


@pytest.fixture
async def opened():
    """Function that opens a database under some names; all are closed at the end."""
    found = []

    async def open_(url, names=DEFAULT):
        found.append(await Database.open(url, tables=names))
        return found[-1]

    yield open_
    for each in found:
        await each.close()


class EmittingSeat(BookSeat):
    """As BookSeat, and an event leaves."""

    def decide(self, loaded):
        return replace(BookSeat.decide(self, loaded), events=[Event("seat.booked", self.keys[0], {})])


async def assert_all_of_the_store_works(database):
    """Orders, a repeated one, the outbox, offsets, registration and rights."""
    tables, show = database.tables, "a"
    store = SqlStore(database, [SEATS])
    answers = [(await store.transact([EmittingSeat(rid(n), show)], Guard.ROW, deadline=soon()))[0] for n in range(6)]
    assert [each.accepted for each in answers] == [True] * 5 + [False]
    (again,) = await store.transact([EmittingSeat(rid(0), show)], Guard.ROW, deadline=soon())
    assert again.replayed
    assert len(await rows(database, tables.requests)) == 6
    assert len(await rows(database, tables.ledger)) == 5
    outbox = Outbox(database)
    await outbox.open()
    leased = await outbox.exchange(None, 10, 1)
    assert len(leased.events) == 6
    await outbox.exchange(DeliveryReport(leased, tuple(each.id for each in leased.events)), 0, 1)
    assert await outbox.purge(10) == 6
    offsets = ConsumerOffsets(database, "topic")
    moved = (await offsets.take(0, 7))._replace(new=8)
    await store.transact([BookSeat(rid("read"), show)], Guard.ROW, deadline=soon(), offsets=[moved])
    assert await offsets.read() == {0: 8}
    registration = Registration(database)
    await registration.open(Use("pessimistic", "row", "rows"), unguarded=False)
    assert len(await rows(database, tables.guards_in_use)) == 1
    await registration.close()
    await database.check_writable()
    assert await database.read(lambda c: missing_rights(c, tables.metadata.sorted_tables)) == []


async def test_a_prefix_beside_tables_of_these_names(opened, database_url):
    """A project with tables `requests` and `orders` of its own has the store's beside them, and loses nothing."""
    database = await opened(database_url, PREFIXED)
    await run(database, *THEIRS, "INSERT INTO requests VALUES (1, 'mine')")
    await STORE_SCHEMA.migrate(database)
    await database.transaction(own.create_all, deadline=soon(20))
    await assert_all_of_the_store_works(database)
    names = await database.read(lambda c: set(inspect(c).get_table_names()))
    assert names == {"requests", "orders", "seats"} | PREFIXED.names
    assert await database.read(lambda c: c.execute(text("SELECT * FROM requests")).all()) == [(1, "mine")]
    assert await STORE_SCHEMA.is_current(database)


async def test_without_a_prefix_one_error_names_the_table(opened, database_url):
    """The control: the migration is refused before it changes anything, in one line that proposes a prefix."""
    database = await opened(database_url)
    await run(database, *THEIRS)
    for make in (STORE_SCHEMA.migrate, STORE_SCHEMA.create_all):
        with pytest.raises(NotSupported) as caught:
            await make(database)
        assert str(caught.value) == (
            "a table requests exists, and is not the store's: it has no column fingerprint, outcome, created_ms; give "
            "the store's tables a prefix, tables=StoreTables(prefix='stockade_'), or rename or drop that table"
        )
        assert caught.value.__cause__ is None
    assert await database.read(lambda c: set(inspect(c).get_table_names())) == {"requests", "orders"}


async def test_tables_that_no_migration_made_are_named(opened, database_url):
    """After `create_all` a migration says so, instead of failing at the first table."""
    database = await opened(database_url, PREFIXED)
    await STORE_SCHEMA.create_all(database)
    await STORE_SCHEMA.create_all(database)  # it may be repeated
    with pytest.raises(NotSupported, match="no migration of the store is recorded: create_all made it"):
        await STORE_SCHEMA.migrate(database)


@pytest.mark.parametrize("names", [PREFIXED, StoreTables("s_", "shelf")], ids=["prefix", "schema"])
async def test_migrations_equal_the_metadata(opened, database_url, names):
    """Under each name the migrations build what `StoreTables.metadata` says: Alembic finds nothing to change."""
    if names.schema and database_url.startswith("sqlite"):
        return
    database = await opened(database_url, names)
    place = f"{names.schema}_{database.url.database}" if database.dialect.name != "postgres" else names.schema
    if names.schema:
        await run(database, f"CREATE SCHEMA {place}")
        names = StoreTables(names.prefix, place)
        database = await opened(database_url, names)
    await STORE_SCHEMA.migrate(database)

    def difference(connection):
        options = {"compare_type": True, "include_schemas": True, "include_name": included}
        return compare_metadata(MigrationContext.configure(connection, opts=options), names.metadata)

    def included(name, type_, parents):
        wanted = {"schema": {names.schema}, "table": names.names - {names.version_table}}
        return name in wanted.get(type_, {name})

    try:
        assert await database.read(difference) == []
    finally:
        if names.schema:
            await run(database, f"DROP SCHEMA {place}" + (" CASCADE" if database.dialect.name == "postgres" else ""))


@pytest.mark.postgres
async def test_a_schema_of_its_own(opened, postgres_database):
    """Tables of the same names stand in the schema of the connection and in that of the store; one of them is a
    resource."""
    theirs = MetaData()
    requests = Table(
        "requests", theirs, Column("id", text_id(), primary_key=True), Column("free", BigInteger), *guarded()
    )
    database = await opened(postgres_database, StoreTables(schema="shelf"))
    with pytest.raises(NotSupported, match="no schema 'shelf': create it first"):
        await STORE_SCHEMA.migrate(database)
    await run(database, "CREATE SCHEMA shelf")
    await database.transaction(theirs.create_all, deadline=soon())
    await STORE_SCHEMA.migrate(database)
    await run(database, "CREATE TABLE stockade_schema (version_num text)")  # of a shop in the connection's schema
    await run(database, "GRANT SELECT ON stockade_schema TO pg_monitor")
    await STORE_SCHEMA.migrate(database)  # again: its readers are no readers of a table in `shelf`
    await database.transaction(own.create_all, deadline=soon())
    await assert_all_of_the_store_works(database)
    store = SqlStore(database, [Resource("seats", requests, SeatState, counters=("free",), zero=SeatState(5))])
    (answer,) = await store.transact([BookSeat(rid("in requests"), "b")], Guard.ROW, deadline=soon())
    assert answer.data == {"left": 4}
    assert [each[:2] for each in await rows(database, requests)] == [("b", 4)]


@pytest.mark.mariadb
async def test_a_schema_of_mariadb_is_a_database(opened, mariadb_database):
    """There the store's tables may stand in another database of the same server."""
    database = await opened(mariadb_database)
    place = f"{database.url.database}_store"
    await run(database, f"CREATE DATABASE {place}")
    database = await opened(mariadb_database, StoreTables(schema=place))
    try:
        await STORE_SCHEMA.migrate(database)
        await database.transaction(own.create_all, deadline=soon())
        await assert_all_of_the_store_works(database)
    finally:
        await run(database, f"DROP DATABASE {place}")


def test_names_that_cannot_be():
    """Prefixes and schemas that a database would change or cut are refused with what is allowed."""
    for prefix in ("Stock", "a-", "1_", "x" * 33, None):
        with pytest.raises(ValueError, match="must have at most 32 small letters, digits and _"):
            StoreTables(prefix)
    with pytest.raises(ValueError, match="must be the name of one"):
        StoreTables(schema='a"b')
    longest = StoreTables("p" * 32)
    indexes = [index.name for table in longest.metadata.tables.values() for index in table.indexes]
    assert max(map(len, [*longest.names, *indexes])) <= 63
    assert STORE.version_table not in StoreTables("stockade_").names


async def test_a_command_writes_none_of_the_stores_tables(opened, database_url):
    """An insert into one of them is refused by its name, and one into a table of the same name reaches that."""
    theirs = MetaData()
    free = [Column("id", text_id(), primary_key=True), Column("free", BigInteger, nullable=False), *guarded()]
    halls = Resource("halls", Table("halls", theirs, *free), SeatState)
    Table("requests", theirs, Column("id", text_id(), primary_key=True))
    database = await opened(database_url, PREFIXED)
    await STORE_SCHEMA.migrate(database)
    await database.transaction(theirs.create_all, deadline=soon())
    store = SqlStore(database, [halls])

    class Writes(BookSeat):
        table = "stockade_requests"

        @property
        def keys(self):
            return (Key("halls", "h"),)

        def decide(self, loaded):
            return Decision(Accepted({}), inserts=[Insert(self.table, {"id": self.request_id})])

    (refused,) = await store.transact([Writes(rid(1), "h")], Guard.ROW, deadline=soon())
    assert "stockade_requests, which only the store itself writes" in str(refused)


async def test_two_tables_of_one_name_are_refused(opened, database_url):
    """A resource in a table that has the name of one of the store's is refused when the store is made."""
    taken = Table(
        "ledger", MetaData(), Column("id", text_id(), primary_key=True), Column("free", BigInteger), *guarded()
    )
    database = await opened(database_url)
    with pytest.raises(ValueError, match="two tables are named ledger, yours and the store's: give the store's tables"):
        SqlStore(database, [Resource("seats", taken, SeatState)])


async def test_sqlite_has_no_schema(tmp_path):
    """The message says what to use instead."""
    with pytest.raises(ValueError, match="SQLite has no schema 'x': give the store's tables a prefix"):
        await Database.open(f"sqlite:///{tmp_path}/a.sqlite", tables=StoreTables(schema="x"))


async def test_a_store_that_was_never_migrated(opened, database_url):
    """The first command, and the first relay, say in one line what to run."""
    database = await opened(database_url, PREFIXED)
    store = SqlStore(database, [SEATS])
    await database.transaction(own.create_all, deadline=soon(20))
    (answer,) = await store.transact([BookSeat(rid(1), "a")], Guard.ROW, deadline=soon())
    assert isinstance(answer, NotSupported)
    for error in (answer, await error_of(Outbox(database).open()), await error_of(Outbox(database).lag())):
        assert "is not in this database: run `await STORE_SCHEMA.migrate(database)` first" in str(error)


async def error_of(call):
    with pytest.raises(NotSupported) as caught:
        await call
    return caught.value


@pytest.mark.parametrize("schema", [None, "nowhere"])
async def test_a_resource_without_its_table(opened, database_url, schema):
    """A command on a table that was never made, or is in no such schema, says which one."""
    if schema and not database_url.startswith("postgres"):
        return
    columns = [Column("id", text_id(), primary_key=True), Column("free", BigInteger, nullable=False), *guarded()]
    halls = Resource("seats", Table("halls", MetaData(schema=schema), *columns), SeatState, zero=SeatState(5))
    database = await opened(database_url, PREFIXED)
    await STORE_SCHEMA.migrate(database)
    for guard in (Guard.ROW, Guard.VERSION):
        (answer,) = await SqlStore(database, [halls]).transact([BookSeat(rid(1), "a")], guard, deadline=soon())
        name = f"{schema}.halls" if schema else "halls"
        assert f"the table {name} of the resource 'seats' is not in this database: make it" in str(answer)
