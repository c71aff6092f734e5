"""A migrated database and a store over it, for each database in turn."""

import asyncio
import time
from contextlib import asynccontextmanager

import pytest
from sqlalchemy import text
from sqlalchemy.util import await_only

from stockade.core import Guard
from stockade.shop.migrations import SCHEMA
from stockade.shop.model.resources import SHOP_RESOURCES
from stockade.store import Database, SqlStore
from tests.conftest import fresh
from tests.databases import CREATED
from tests.store.commands import Product, Stock, rid


def soon(seconds=5.0):
    """A deadline."""
    return time.monotonic() + seconds


@asynccontextmanager
async def opened(url, **options):
    """A migrated database."""
    await CREATED.migrate(url, SCHEMA)
    database = await Database.open(url, **options)
    try:
        yield database
    finally:
        await database.close()


@asynccontextmanager
async def held(database, statement):
    """A transaction that has carried out this statement, open until the end of the block, then committed."""
    done, over = asyncio.Event(), asyncio.Event()

    def body(connection):
        connection.execute(text(statement))
        done.set()
        await_only(over.wait())

    holder = asyncio.create_task(database.transaction(body, deadline=soon()))
    await done.wait()
    try:
        yield
    finally:
        over.set()
        await holder


async def stocked(database, *skus, n=20, checkpoint=None, single_statement=True):
    """A store whose product `p` has these SKUs with `n` units each."""
    store = SqlStore(database, SHOP_RESOURCES, checkpoint, single_statement=single_statement)
    for command in (Product(rid("p")), *(Stock(rid("stock", sku), sku=sku, n=n) for sku in skus)):
        (answer,) = await store.transact([command], Guard.ROW, deadline=soon())
        assert answer.accepted
    return store


@pytest.fixture
async def database(database_url):
    """A migrated database of each kind."""
    async with opened(database_url) as found:
        yield found


@pytest.fixture
async def store(database):
    """A store with 20 units of `s`."""
    return await stocked(database, "s")


@pytest.fixture(
    params=[pytest.param("postgres", marks=pytest.mark.postgres), pytest.param("mariadb", marks=pytest.mark.mariadb)]
)
def server_database(request, server_url):
    """A fresh database of each server: what an embedded SQLite has no counterpart for."""
    with fresh(server_url(request.param)) as url:
        yield url


@pytest.fixture(params=[True, False], ids=["single statement", "locked"])
def single_statement(request):
    """Whether a batch may be one statement; only PostgreSQL can."""
    return request.param
