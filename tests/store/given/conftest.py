"""An engine of the project's own, over each driver in turn."""

import pytest

from stockade.store import STORE_SCHEMA, Database, SqlStore, StoreTables
from tests.conftest import fresh
from tests.store.conftest import soon
from tests.store.given.engines import engine_of
from tests.store.test_own_tables import SEATS, own

NAMES = StoreTables(prefix="stockade_")


@pytest.fixture(
    params=[
        "aiosqlite",
        pytest.param("asyncpg", marks=pytest.mark.postgres),
        pytest.param("asyncmy", marks=pytest.mark.mariadb),
        pytest.param("aiomysql", marks=pytest.mark.mariadb),
    ]
)
def place(request, server_url, tmp_path):
    """(URL of a fresh database, driver)."""
    driver = request.param
    if driver == "aiosqlite":
        yield f"sqlite:///{tmp_path / 'stockade.sqlite'}", driver
        return
    with fresh(server_url("postgres" if driver == "asyncpg" else "mariadb")) as url:
        yield url, driver


async def over(engine, **options):
    """A migrated store over this engine."""
    database = await Database.from_engine(engine, tables=NAMES, **options)
    await STORE_SCHEMA.migrate(database)
    await database.transaction(own.create_all, deadline=soon(20))
    return SqlStore(database, [SEATS])


@pytest.fixture
async def engine(place):
    """An engine with the defaults of SQLAlchemy."""
    async with engine_of(*place) as found:
        yield found


@pytest.fixture
async def store(engine):
    """A store over it."""
    return await over(engine)
