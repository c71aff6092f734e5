"""The store's tables and the shop's have a history each; databases of the one history before are taken over."""

from uuid import uuid4

import pytest
from alembic import op
from sqlalchemy import inspect, text

from stockade.core import Guard, NotSupported
from stockade.shop.migrations import SCHEMA, SHOP
from stockade.store import STORE, STORE_SCHEMA, Database, History, Schema, SqlStore
from stockade.store.schema import migrate
from stockade.store.schema.migrate import shown
from stockade.store.schema.tables import metadata
from tests.store.commands import rid
from tests.store.conftest import soon
from tests.store.schema.test_schema import shape
from tests.store.test_own_tables import SEATS, BookSeat, own

COMMON = ("0001", "0002", "0003", "0004")  # revisions of the history that made both
ROWS = {
    "products": {"id": "p", "name": "Ä", "category": "c", "status": "ACTIVE", "created_ms": 1},
    "requests": {"id": "r", "fingerprint": "é", "outcome": b"{}", "created_ms": 1},
}


async def run(database, *statements):
    await database.transaction(lambda c: [c.execute(text(each)) for each in statements], deadline=soon(30))


async def made_before(database, revision):
    """A database as a program of the common history left it: its revision stands in the shop's version table only."""
    await SCHEMA.migrate(database, "0001")

    def fill(connection):
        for table, values in ROWS.items():
            names, places = ", ".join(values), ", ".join(f":{name}" for name in values)
            connection.execute(text(f"INSERT INTO {table} ({names}) VALUES ({places})"), values)

    await database.transaction(fill, deadline=soon(30))
    await SCHEMA.migrate(database, revision)
    await run(database, f"DROP TABLE {STORE.version_table}")


async def assert_upgraded(database):
    assert await SCHEMA.is_current(database)
    assert await STORE_SCHEMA.is_current(database)
    assert await database.read(lambda c: c.execute(text("SELECT fingerprint FROM requests")).all()) == [("é",)]
    assert await database.read(lambda c: c.execute(text("SELECT name, folded_name FROM products")).all()) == [
        ("Ä", "ä")
    ]


async def fresh_shape(database):
    """What the database says of tables that were never migrated, in the same place."""

    def rebuilt(connection):
        for each in reversed(SCHEMA.metadata):
            each.drop_all(connection)
        SCHEMA.create(connection)
        return shape(connection)

    return await database.transaction(rebuilt, deadline=soon(30))


@pytest.mark.parametrize("revision", COMMON)
async def test_a_database_of_the_common_history(database_url, revision):
    """From each of its revisions the two histories go on, rows are kept, and the schema is that of a fresh database."""
    database = await Database.open(database_url)
    await made_before(database, revision)
    assert shown(await SCHEMA.revisions(database)) == f"store {revision}, shop {revision}"
    assert shown(await SCHEMA.migrate(database)) == f"store {revision}, shop {revision}"
    await assert_upgraded(database)
    assert await database.read(lambda c: inspect(c).has_table(STORE.version_table))
    upgraded = await database.read(shape)
    assert upgraded == await fresh_shape(database)
    await database.close()


class Interrupted(Exception):
    """Ends a migration half-way."""


def interrupt_the_store(patch):
    """After one of its texts was converted, the next one fails."""
    execute = op.execute

    def second_fails(statement):
        if "`ledger`" in statement:
            raise Interrupted
        execute(statement)

    patch.setattr("alembic.op.execute", second_fails)


def interrupt_the_shop(patch):
    """The store's history has ended, the shop's column is there, and nothing is in it."""

    def fails(name):
        raise Interrupted

    patch.setattr("stockade.core.case_folding.folded", fails)


@pytest.mark.parametrize("revision", ["0001", "0002"])
@pytest.mark.parametrize("interrupt", [interrupt_the_store, interrupt_the_shop])
async def test_an_interrupted_upgrade_goes_on(database_url, revision, interrupt, monkeypatch):
    """Interrupted in either history, the upgrade goes on from what is there: MariaDB and MySQL keep each statement that
    ended, PostgreSQL and SQLite nothing."""
    database = await Database.open(database_url)
    await made_before(database, revision)
    converts = database.dialect.name in ("mysql", "mariadb")
    if interrupt is interrupt_the_shop or converts:
        with monkeypatch.context() as patch:
            interrupt(patch)
            with pytest.raises(Interrupted):
                await SCHEMA.migrate(database)
        left = await SCHEMA.revisions(database)
        assert left["store"] == (("0004" if interrupt is interrupt_the_shop else "0002") if converts else revision)
        assert left["shop"] == ("0002" if converts and interrupt is interrupt_the_shop else revision)
    await SCHEMA.migrate(database)
    await assert_upgraded(database)
    await database.close()


async def test_the_revision_is_taken_over_when_its_row_was_lost(database_url):
    """A version table without a row, as MariaDB keeps it when the process dies between both, is filled again."""
    database = await Database.open(database_url)
    await made_before(database, "0004")
    await run(database, f"CREATE TABLE {STORE.version_table} (version_num VARCHAR(32) NOT NULL PRIMARY KEY)")
    assert await STORE_SCHEMA.is_current(database)
    await SCHEMA.migrate(database)
    rows = await database.read(lambda c: c.execute(text(f"SELECT * FROM {STORE.version_table}")).all())
    assert rows == [("0004",)]
    await database.close()


@pytest.mark.postgres
@pytest.mark.parametrize("copied", [True, False], ids=["copied", "control"])
async def test_who_read_the_common_version_table_reads_the_new_one(postgres_database, copied, monkeypatch):
    """An upgrade leaves the user of running services its rights; without the copy (the control) it has none."""
    if not copied:
        monkeypatch.setattr(migrate, "_copy_readers", lambda connection, table: None)
    name = f"app{uuid4().hex[:8]}"
    database = await Database.open(postgres_database)
    try:
        await made_before(database, "0004")
        await run(database, f'CREATE ROLE "{name}"', f'GRANT SELECT ON {SHOP.version_table} TO "{name}"')
        await SCHEMA.migrate(database)
        asked = text(f"SELECT has_table_privilege('{name}', '{STORE.version_table}', 'SELECT')")
        assert await database.read(lambda c: c.execute(asked).scalar_one()) is copied
    finally:
        await run(database, f'DROP OWNED BY "{name}"', f'DROP ROLE "{name}"')
        await database.close()


async def test_the_store_alone(database_url):
    """A project with own tables gets the store's tables and no others, and its own resource works on them."""
    database = await Database.open(database_url)
    assert await STORE_SCHEMA.migrate(database) == {"store": None}
    names = await database.read(lambda c: set(inspect(c).get_table_names()))
    assert names == {*metadata.tables, STORE.version_table}
    await database.transaction(own.create_all, deadline=soon(20))
    store = SqlStore(database, [SEATS])
    answers = [(await store.transact([BookSeat(rid(n), "a")], Guard.ROW, deadline=soon()))[0] for n in range(6)]
    assert [each.accepted for each in answers] == [True] * 5 + [False]
    assert await SCHEMA.revisions(database) == {"store": "0004", "shop": None}
    await SCHEMA.migrate(database)  # the shop comes later
    assert await SCHEMA.is_current(database)
    await database.close()


MIGRATION = """
from alembic import op
from tests.store.test_own_tables import seats

revision = "2026_01"
down_revision = None

def upgrade():
    seats.create(op.get_bind())
"""


async def test_a_project_with_its_own_history(database_url, tmp_path):
    """A project adds the history of its own tables to the store's; each keeps its revision in its own table."""
    (tmp_path / "100%").mkdir()
    (tmp_path / "100%" / "v_2026_01.py").write_text(MIGRATION)
    mine = History("seats", own, tmp_path / "100%", "seats_schema")
    schema, database = Schema(STORE, mine), await Database.open(database_url)
    assert shown(await schema.migrate(database)) == "none"
    assert await schema.revisions(database) == schema.newest() == {"store": "0004", "seats": "2026_01"}
    names = await database.read(lambda c: set(inspect(c).get_table_names()))
    assert names == {*metadata.tables, *own.tables, STORE.version_table, mine.version_table}
    await database.close()


@pytest.mark.parametrize("history", SCHEMA.histories, ids=lambda each: each.name)
async def test_a_newer_revision_of_either_history_is_unknown(database_url, history):
    """A revision that a newer program made is named, and nothing is migrated."""
    database = await Database.open(database_url)
    await SCHEMA.migrate(database)
    await run(database, f"UPDATE {history.version_table} SET version_num = '9999'")
    found = await SCHEMA.revisions(database)
    assert SCHEMA.unknown(found) == {history.name: "9999"}
    with pytest.raises(NotSupported, match=f"the {history.name}'s schema 9999 cannot be brought to (head|[0-9]+)"):
        await SCHEMA.migrate(database)
    await database.close()


def test_a_shop_has_both_histories():
    """The store's tables come first, and no table is in two histories."""
    assert SCHEMA.histories == (STORE, SHOP)
    names = [table.name for table in SCHEMA.tables]
    assert len(names) == len(set(names)) == len(STORE.metadata.tables) + len(SHOP.metadata.tables)
