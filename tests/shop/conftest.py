"""A migrated database of each kind with a shop inside, and the deadline of its transactions."""

import time

import pytest

from stockade.shop.migrations import SCHEMA
from stockade.store import Database
from tests.databases import CREATED


def soon(seconds=10.0):
    """A deadline."""
    return time.monotonic() + seconds


@pytest.fixture
async def database(database_url):
    """An empty, migrated database of each kind."""
    await CREATED.migrate(database_url, SCHEMA)
    database = await Database.open(database_url)
    try:
        yield database
    finally:
        await database.close()


@pytest.fixture
def keep(database):
    """Function that copies a shop from memory into the database."""

    async def copy(shop):
        await database.transaction(shop.fill, deadline=soon())

    return copy
