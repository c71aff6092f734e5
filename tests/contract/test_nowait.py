"""`pessimistic` that does not wait: Busy at once where a row is held, and the figures of the reports as settings."""

import asyncio
import sqlite3
import time
from contextlib import asynccontextmanager, closing

import pytest
from sqlalchemy import select
from sqlalchemy.util import await_only

from stockade.core import Accepted, Busy
from stockade.shop.config.settings import Settings
from stockade.shop.config.strategy_options import options_of
from stockade.shop.model.tables import skus
from stockade.store import Database
from stockade.strategies import registry
from stockade.strategies.options import Options
from tests.contract.conftest import Bench

WAIT_S = 1.0  # of the control, which waits until the end


@asynccontextmanager
async def _held_row(url):
    """Another client that holds the row of SKU s: on SQLite the whole file."""
    if url.startswith("sqlite"):
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            yield
        return
    other = await Database.open(url, pool_size=1)
    held, over = asyncio.Event(), asyncio.Event()

    def hold(connection):
        connection.execute(select(skus.c.id).where(skus.c.id == "s").with_for_update())
        held.set()
        await_only(over.wait())

    holder = asyncio.create_task(other.transaction(hold, deadline=time.monotonic() + 20))
    await asyncio.wait_for(held.wait(), 5)
    try:
        yield
    finally:
        over.set()
        await holder
        await other.close()


@pytest.mark.parametrize("nowait", [True, False], ids=["nowait", "control"])
async def test_a_held_row_is_busy_at_once_and_the_same_request_succeeds_later(database, database_url, nowait):
    """Nothing happened, nothing was waited for; the control waits until its deadline."""
    bench = Bench("pessimistic", database, Options(wait_s=WAIT_S, nowait=nowait))
    await bench.product("s", stock=1)
    async with _held_row(database_url):
        start = time.monotonic()
        with pytest.raises(Busy) as refused:
            await bench.strategy.execute(bench.order(1))
        waited_s = time.monotonic() - start
    assert refused.value.code == "LOCK_TIMEOUT"
    assert refused.value.retryable
    assert (waited_s < WAIT_S / 2) is nowait, waited_s
    answer = await bench.strategy.execute(bench.order(1))
    assert isinstance(answer, Accepted)
    assert not answer.replayed


async def test_rows_that_are_free_are_served_without_waiting(database):
    """Orders of different rows are not refused, whether the strategy waits or not."""
    bench = Bench("pessimistic", database, Options(wait_s=5, nowait=True))
    await bench.product("a", "b", stock=5)
    for number, sku in enumerate(("a", "b", "a")):
        assert isinstance(await bench.strategy.execute(bench.order(number, sku)), Accepted)


def test_the_figures_of_the_reports_are_settings():
    """Spin interval, lifetime, wait, lease, lock time-out and no renewal reach the strategies; defaults are others."""
    spin = options_of(Settings(spin_ms=10, lease_s=3, wait_s=10, lease_renew="no"))
    assert (spin.spin_ms, spin.lease_s, spin.wait_s, spin.renew) == (10, 3, 10, False)
    rows = options_of(Settings(wait_s=5, row_nowait="yes"))
    assert (rows.wait_s, rows.nowait) == (5, True)
    assert registry.find("redis-spin").lease_s == 3.0
    assert registry.find("redis-pubsub").lease_s == 1.0
    usual = options_of(Settings())
    assert (usual.spin_ms, usual.wait_s, usual.renew, usual.nowait) == (10, 5, True, False)
    with pytest.raises(ValueError, match="spin_ms"):
        Options(spin_ms=0)
