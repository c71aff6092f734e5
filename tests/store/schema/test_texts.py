"""Texts on servers whose defaults cannot hold them, and databases that were made before revision 0003."""

import asyncmy
import asyncpg
import pytest
from sqlalchemy import String, text
from sqlalchemy.dialects import mysql
from sqlalchemy.exc import DBAPIError

from stockade.core import NotSupported
from stockade.core.case_folding import MAX_GROWTH, folded
from stockade.devservers import Servers
from stockade.shop.migrations import SCHEMA
from stockade.shop.queries import products
from stockade.store import STORE_SCHEMA, Database
from tests.devservers.pool import memory_folder
from tests.store.conftest import soon

KOREAN = "책상 🪑 가나다"
OLD = {
    "requests": {"id": "r", "fingerprint": "é", "outcome": b"{}", "created_ms": 1},
    "products": {"id": "p", "name": "É-Ä", "category": "c", "status": "ACTIVE", "created_ms": 1},
    "outbox": {"request_id": "r", "seq": 0, "kind": "k", "key": "stock:é", "body": b"{}", "created_ms": 1},
}
SERVERS = [("latin1", None), ("latin1", ""), ("utf8mb3", None), ("utf8mb4", None)]


def every_text_column():
    return [
        (table.name, column.name) for table in SCHEMA.tables for column in table.c if isinstance(column.type, String)
    ]


def test_every_text_column_has_its_own_character_set():
    """No text column of the schema is left to the default of a server."""
    tables = {table.name: table for table in SCHEMA.tables}
    for table, column in every_text_column():
        for dialect in (mysql.dialect(), mysql.dialect(is_mariadb=True)):
            dialect.name = "mariadb" if dialect.is_mariadb else "mysql"
            spelled = tables[table].c[column].type.compile(dialect=dialect)
            assert "CHARACTER SET utf8mb4" in spelled, (table, column)


async def fill(connection_url, revision):
    """A database of this revision with old rows."""
    database = await Database.open(connection_url)
    await SCHEMA.migrate(database, revision)

    def body(connection):
        for table, values in OLD.items():
            names = ", ".join(f"{name}" if name != "key" else '"key"' for name in values)
            names = names.replace('"', "`") if database.dialect.name in ("mysql", "mariadb") else names
            places = ", ".join(f":{name}" for name in values)
            connection.execute(text(f"INSERT INTO {table} ({names}) VALUES ({places})"), values)

    await database.transaction(body, deadline=soon(30))
    return database


async def run(database, *statements):
    await database.transaction(lambda c: [c.execute(text(each)) for each in statements], deadline=soon(30))


async def rename(database, name):
    def body(connection):
        connection.execute(text("UPDATE products SET name = :name WHERE id = 'p'"), {"name": name})
        return connection.execute(text("SELECT name FROM products WHERE id = 'p'")).scalar_one()

    return await database.transaction(body, deadline=soon(30))


async def test_an_old_database_is_upgraded_with_its_rows(database_url):
    """Rows of revision 0002 are there afterwards, their names are found in any case, and Korean fits."""
    database = await fill(database_url, "0002")
    await SCHEMA.migrate(database)
    for q in ("é-ä", "É-Ä", "É-ä"):
        found = await database.read(lambda c, q=q: products(c, q=q))
        assert [each.name for each in found.items] == ["É-Ä"], q
    assert await rename(database, KOREAN) == KOREAN
    kept = await database.read(lambda c: c.execute(text("SELECT fingerprint FROM requests")).scalar_one())
    assert kept == "é"
    await database.close()


async def test_an_interrupted_migration_is_done_again(database_url, monkeypatch):
    """Interrupted while it folds names, it is done again: MariaDB and MySQL keep the column that was added before,
    PostgreSQL and SQLite nothing of it."""
    database = await fill(database_url, "0002")

    def interrupted(name):
        raise KeyError(name)

    with monkeypatch.context() as patch:
        patch.setattr("stockade.core.case_folding.folded", interrupted)
        with pytest.raises(KeyError):
            await SCHEMA.migrate(database, "0003")
    keeps = database.dialect.name in ("mysql", "mariadb")
    assert (await SCHEMA.revisions(database))["shop"] == "0002"
    assert ("folded_name" in await database.read(columns_of_products)) == keeps
    await SCHEMA.migrate(database, "0003")
    assert await database.read(lambda c: c.execute(text("SELECT folded_name FROM products")).scalars().all()) == ["é-ä"]
    if keeps:
        await run(database, "CREATE TABLE guards_in_use (id VARCHAR(32) PRIMARY KEY)")
    await SCHEMA.migrate(database)
    assert await SCHEMA.is_current(database)
    assert [each.name for each in (await database.read(lambda c: products(c, q="é-ä"))).items] == ["É-Ä"]
    await database.close()


def columns_of_products(connection):
    return set(connection.execute(text("SELECT * FROM products")).keys())


async def test_a_product_of_an_older_version_is_found_during_an_upgrade(database_url):
    """A process of the version before inserts no folded name: its product is found as it is written, and in other
    letters of the alphabet that every database knows; another product is not."""
    database = await fill(database_url, "0002")
    await SCHEMA.migrate(database)
    columns = "id, name, category, status, created_ms"
    await run(database, f"INSERT INTO products ({columns}) VALUES ('new', 'Ä 100% Table', 'c', 'ACTIVE', 1)")
    for q, ids in (("Ä 100%", ["new"]), ("TABLE", ["new"]), ("é-Ä", ["p"]), ("1_0", []), ("%", ["new"])):
        found = await database.read(lambda c, q=q: products(c, q=q))
        assert [each.id for each in found.items] == ids, q
    await database.close()


@pytest.mark.mariadb
async def test_whatever_the_default_of_the_server_is():
    """latin1, utf8mb3, and a server that is not strict: texts are kept as they are or refused, before and after."""
    with Servers(memory_folder()) as servers:
        for charset, mode in SERVERS:
            options = {} if mode is None else {"sql_mode": mode}
            server = servers.mariadb(character_set_server=charset, **options)
            link = await asyncmy.connect(host="127.0.0.1", port=server.port, user="stockade", autocommit=True)
            async with link.cursor() as cursor:
                await cursor.execute("CREATE DATABASE shop")
            await link.ensure_closed()
            database = await fill(server.url.rpartition("/")[0] + "/shop", "0002")
            if charset != "utf8mb4":  # the control: what the migration is for
                with pytest.raises(DBAPIError, match="Incorrect string value"):
                    await rename(database, KOREAN)
            await SCHEMA.migrate(database)
            assert await rename(database, KOREAN) == KOREAN
            with pytest.raises(DBAPIError, match="too long"):
                await rename(database, "x" * 201)
            sets = await database.read(_character_sets)
            assert {sets[each] for each in every_text_column()} == {"utf8mb4"}
            await database.close()


def _character_sets(connection):
    found = connection.execute(
        text(
            "SELECT table_name, column_name, character_set_name FROM information_schema.columns"
            " WHERE table_schema = database()"
        )
    )
    return {(table, column): charset for table, column, charset in found}


@pytest.mark.postgres
async def test_a_postgresql_database_of_another_encoding_is_refused(postgres_url):
    """LATIN1 and SQL_ASCII cannot hold every text: one line that says what to do; UTF8 is opened (control)."""
    link = await asyncpg.connect(postgres_url)
    try:
        for encoding in ("LATIN1", "SQL_ASCII", "UTF8"):
            name = f"encoded_{encoding.lower()}"
            made = f"CREATE DATABASE {name} ENCODING '{encoding}' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'"
            await link.execute(made)
            url = postgres_url.rpartition("/")[0] + f"/{name}"
            try:
                if encoding == "UTF8":
                    database = await Database.open(url)
                    assert await STORE_SCHEMA.revisions(database) == {"store": None}
                    await database.close()
                else:
                    with pytest.raises(NotSupported, match=f"encoding is {encoding}.*ENCODING 'UTF8'"):
                        await Database.open(url)
            finally:
                await link.execute(f"DROP DATABASE {name} WITH (FORCE)")
    finally:
        await link.close()


def test_folding_ignores_case_in_every_alphabet():
    """Each letter folds to the same text in its capital, small and title form, and grows no longer than is said."""
    letters = [chr(code) for code in range(0x110000) if not 0xD800 <= code < 0xE000]
    for letter in letters:
        forms = {folded(each) for each in {letter, letter.upper(), letter.lower(), letter.title()}}
        assert len(forms) == 1, letter
        assert len(forms.pop()) <= MAX_GROWTH
    for one, other in (
        ("İSTANBUL", "istanbul"),
        ("DIYARBAKIR", "diyarbakır"),
        ("STRASSE", "straße"),
        ("ΣΊΣΥΦΟΣ", "σίσυφος"),
    ):
        assert folded(one) == folded(other)
    assert folded("가") != folded("나")
