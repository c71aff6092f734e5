"""The public contract over given pools: an AsyncEngine, and an Engine of psycopg, each of four connections."""

import pytest
from sqlalchemy import create_engine
from sqlalchemy.ext.asyncio import create_async_engine

from stockade.locks import PostgresLocks, aio
from stockade.locks.testing import LockContract
from tests.locks.given.pools import engine_url

OPTIONS = {"pool_size": 4, "max_overflow": 0}


class OverPools(LockContract):
    """Database sessions."""

    shared = False
    needs_lease = False
    shows_held_s = False
    close_ends_leases = True

    @pytest.fixture(autouse=True)
    def _server(self, postgres_url, request):
        self.url = postgres_url
        self.prefix = request.node.nodeid
        self.engines = []


@pytest.mark.postgres
class TestOverAnAsyncEngine(OverPools):
    """For asyncio."""

    def make_provider(self):
        self.engines.append(create_async_engine(engine_url(self.url, "asyncpg"), **OPTIONS))
        return aio.PostgresLocks(self.engines[-1], prefix=self.prefix)

    async def run_in_world(self, test):
        await super().run_in_world(test)
        for engine in self.engines:
            await engine.dispose()


@pytest.mark.postgres
class TestOverAnEngine(OverPools):
    """For threads."""

    def make_provider(self):
        pytest.importorskip("psycopg")
        self.engines.append(create_engine(engine_url(self.url, "psycopg"), **OPTIONS))
        return PostgresLocks(self.engines[-1], prefix=self.prefix)

    async def run_in_world(self, test):
        await super().run_in_world(test)
        for engine in self.engines:
            engine.dispose()
