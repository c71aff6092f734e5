"""A migrated database and a store over it; the rest is in `harness`."""

import pytest

from tests.conftest import fresh
from tests.store.conftest import opened, stocked


@pytest.fixture
async def database(database_url):
    """A migrated database of each kind."""
    async with opened(database_url) as found:
        yield found


@pytest.fixture
async def store(database):
    """A store with 20 units of `s`."""
    return await stocked(database, "s")


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def shop_url(request, server_url, tmp_path):
    """A fresh, empty database: embedded, and one server of those that the store's own tests hold to the same."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'stockade.sqlite'}"
        return
    with fresh(server_url(request.param)) as url:
        yield url
