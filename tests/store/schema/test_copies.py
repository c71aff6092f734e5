"""A database that tests copy from a template is what a migration makes."""

from sqlalchemy import text

from stockade.shop.migrations import SCHEMA
from stockade.store import Database
from tests.conftest import fresh
from tests.databases import CREATED, migrated


async def contents(url):
    """The tables, triggers and rows of a MariaDB, in its own words."""
    database = await Database.open(url)
    try:
        return await database.read(_contents)
    finally:
        await database.close()


def _contents(conn):
    def rows(statement):
        return [tuple(row) for row in conn.execute(text(statement))]

    tables = [name for (name,) in rows("SHOW TABLES")]
    triggers = [row[0] for row in rows("SHOW TRIGGERS")]
    return (
        {table: (rows(f"SHOW CREATE TABLE {table}"), rows(f"SELECT * FROM {table}")) for table in tables},
        {trigger: rows(f"SHOW CREATE TRIGGER {trigger}")[0][:6] for trigger in triggers},  # the last is its time
    )


async def test_a_copy_is_what_a_migration_makes(mariadb_url, mariadb_database):
    """Every table, row and trigger is there, word for word; an empty database (the control) has none."""
    with fresh(mariadb_url) as made, fresh(mariadb_url) as empty:
        await CREATED.migrate(mariadb_database, SCHEMA)
        await migrated(made, SCHEMA, {})
        found = await contents(made)
        assert found == await contents(mariadb_database) != await contents(empty)
        assert all(found)
