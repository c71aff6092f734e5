"""A project's own Alembic environment: with the store's migrations as a branch, or with its tables in its metadata."""

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from sqlalchemy import inspect, text

from stockade.core import Guard, NotSupported
from stockade.store import STORE_SCHEMA, Database, SqlStore, StoreTables
from tests.store.commands import rid
from tests.store.conftest import soon
from tests.store.test_own_tables import SEATS, BookSeat, own

ENVIRONMENT = """
from alembic import context
context.configure(connection=context.config.attributes["connection"], transactional_ddl=False)
context.run_migrations()
"""
REVISION = """
from alembic import op
from tests.store.test_own_tables import seats

revision = "5f0c2a9be1d4"
down_revision = None

def upgrade():
    seats.create(op.get_bind())
"""
NAMES = StoreTables(prefix="shelf_")


@pytest.fixture
async def database(database_url):
    """A database whose store's tables have a prefix."""
    found = await Database.open(database_url, tables=NAMES)
    yield found
    await found.close()


def project(folder, **options):
    """The configuration of a project whose migrations are in this folder, and the store's."""
    (folder / "env.py").write_text(ENVIRONMENT)
    (folder / "versions").mkdir()
    (folder / "versions" / "first.py").write_text(REVISION)
    config = Config()
    for name, value in {
        "script_location": str(folder),
        "version_locations": f"{folder}/versions stockade.store.schema.migrations:versions",
        "path_separator": "space",
        "version_path_separator": "space",  # its name before Alembic 1.16
        **options,
    }.items():
        config.set_main_option(name, value)
    return config


async def upgraded(database, config, revision):
    def body(connection):
        config.attributes["connection"] = connection
        command.upgrade(config, revision)

    await database.transaction(body, deadline=soon(60))


@pytest.mark.parametrize("by", ["option", "attribute"])
async def test_the_stores_migrations_as_a_branch(database, tmp_path, by):
    """`upgrade heads` of a project brings its own tables and the store's, under the names that it gives."""
    config = project(tmp_path, **({"stockade_prefix": "shelf_"} if by == "option" else {}))
    if by == "attribute":
        config.attributes["stockade_tables"] = NAMES
    await upgraded(database, config, "stockade_store@0002")
    await upgraded(database, config, "heads")
    names = await database.read(lambda c: set(inspect(c).get_table_names()))
    assert names == {"alembic_version", "seats"} | (NAMES.names - {NAMES.version_table})
    kept = await database.read(lambda c: set(c.execute(text("SELECT version_num FROM alembic_version")).scalars()))
    assert kept == {"0004", "5f0c2a9be1d4"}
    (answer,) = await SqlStore(database, [SEATS]).transact([BookSeat(rid(1), "a")], Guard.ROW, deadline=soon())
    assert answer.accepted
    with pytest.raises(NotSupported, match="no migration of the store is recorded: create_all made it, an own history"):
        await STORE_SCHEMA.migrate(database)  # one of the two ways


async def test_autogenerate_finds_nothing_to_do(database):
    """With the store's metadata in `target_metadata`, a migrated database has no difference; without it, the control,
    the project's next revision would drop the store's tables."""
    await STORE_SCHEMA.migrate(database)
    await database.transaction(own.create_all, deadline=soon())

    def difference(connection, metadata):
        options = {"include_name": lambda name, type_, parents: name != NAMES.version_table}
        return compare_metadata(MigrationContext.configure(connection, opts=options), metadata)

    assert await database.read(lambda c: difference(c, [own, NAMES.metadata])) == []
    without = await database.read(lambda c: difference(c, [own]))
    assert {each[1].name for each in without if each[0] == "remove_table"} == NAMES.names - {NAMES.version_table}
