"""Sums of sales beside others: counted once by however many processes, and nothing that commits late is lost."""

import asyncio
import re
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import delete, insert, update
from sqlalchemy.util import await_only

from stockade.shop.migrations import SCHEMA
from stockade.shop.model.tables import (
    order_lines,
    orders,
    product_sales,
    sales_progress,
    window_sales,
)
from stockade.shop.sales import SalesJob
from stockade.shop.sales import job as module
from stockade.shop.sales.hours import FOREVER_MS, HOUR_MS, hour_of
from stockade.shop.sales.job import count_events
from stockade.shop.sales.progress import claim, progress_of
from stockade.store import Database
from stockade.store.schema.tables import outbox
from stockade.store.settled_events import settled_events
from tests.shop.conftest import soon
from tests.shop.sales_shop import (
    Clock,
    Fixed,
    Newest,
    buy,
    caught_up,
    hours_summed,
    job,
    orders_summed,
    sold,
    stocked,
    windows_summed,
)
from tests.waiting import eventually_async


async def test_several_processes_count_each_event_once(database):
    """Jobs side by side, on connections of their own: one has the claim, the sums are those of the orders."""
    runner = await stocked(database)
    await job(runner).once()
    for _ in range(12):
        await buy(runner, ("s0", 1))
    url = database.url.render_as_string(hide_password=False)
    others = [await Database.open(url) for _ in range(3)]
    try:
        jobs = [SalesJob(each, lambda: runner.now_ms, settled=Newest(each), batch=2) for each in [database, *others]]
        await asyncio.gather(*(each.once() for each in jobs))
    finally:
        for each in others:
            await each.close()
    await caught_up(runner)


async def test_without_the_claim_two_count_twice(postgres_database):
    """The control: both read the position before either moves it, and every unit is there twice."""
    database = await Database.open(postgres_database)
    try:
        await SCHEMA.migrate(database)
        runner = await stocked(database)
        await job(runner).once()
        await buy(runner, ("s0", 1))
        settled = await Newest(database).up_to(None)
        read_position = asyncio.Barrier(2)
        for claimed, units in ((claim, 1), (unclaimed, 2)):
            before = await position(database)
            await asyncio.gather(*(counting(database, settled, claimed, read_position) for _ in range(2)))
            assert (await database.read(hours_summed))[hour_of(runner.now_ms), "p0"] == (units, units * 100)
            if claimed is claim:
                await database.transaction(lambda c, b=before: forget(c, b), deadline=soon())
    finally:
        await database.close()


async def counting(database, settled, claimed, barrier):
    """Count in a transaction of its own; a reader without the claim waits until the other one has read too."""

    def body(conn):
        progress = progress_of(conn)
        await_only(barrier.wait())
        return count_events(conn, settled, 100, lambda c: progress if claimed is unclaimed else claimed(c))

    return await database.transaction(body, deadline=soon())


def unclaimed(conn):
    return progress_of(conn)


def forget(conn, before):
    """Undo the count."""
    conn.execute(delete(product_sales))
    conn.execute(delete(window_sales))
    conn.execute(update(sales_progress).values(position=before))


async def position(database):
    return (await database.read(progress_of)).position


class Killed(Exception):
    """Ends a transaction as a kill does."""


async def test_a_kill_between_sums_and_position_leaves_neither(database, monkeypatch):
    """The sums and the position are one transaction; the control moves them apart and counts twice."""
    runner = await stocked(database)
    await job(runner).once()
    await buy(runner, ("s0", 1))

    def killed(connection, **values):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(module, "move", killed)
        with pytest.raises(Killed):
            await job(runner).once()
        assert await database.read(hours_summed) == {}
    await caught_up(runner)

    settled, progress = await Newest(database).up_to(None), await database.read(progress_of)
    await buy(runner, ("s0", 1))
    settled = await Newest(database).up_to(None)
    with monkeypatch.context() as patch:
        patch.setattr(module, "move", lambda connection, **values: None)  # the sums alone are committed
        await database.transaction(lambda c: count_events(c, settled, 100), deadline=soon())
    await job(runner).once()
    assert (await database.read(hours_summed))[hour_of(runner.now_ms), "p0"] == (3, 300), "the control counts twice"
    assert progress.position < settled.id


@pytest.mark.parametrize("lost", [False, True], ids=["settled", "control"])
async def test_an_order_that_commits_late_is_counted(database, lost):
    """Its event has a lower id than one that was counted before; a reader of the newest id never sees it."""
    if database.dialect.name == "sqlite":
        pytest.skip("one transaction writes at a time")
    runner, clock = await stocked(database), Clock()
    settled = Newest(database) if lost else settled_events(database, lambda: runner.now_ms, clock)
    once = job(runner, settled=settled)
    for _ in range(3):
        await once.once()
        clock.s += 10
    written, commit = asyncio.Event(), asyncio.Event()
    late = asyncio.create_task(
        database.transaction(lambda c: order_by_hand(c, runner, written, commit), deadline=soon())
    )
    await written.wait()
    await buy(runner, ("s1", 1))
    for _ in range(3):
        await once.once()
        clock.s += 10
    assert ("p0" in await sold(database)) is False
    commit.set()
    await late

    async def counted():
        clock.s += 10
        await once.once()
        return await sold(database) == {"p0": 5, "p1": 1}

    if lost:
        assert await counted() is False
        await buy(runner, ("s1", 1))
        await once.once()
        assert await sold(database) == {"p1": 2}
        assert "p0" in {product for _, product in await database.read(orders_summed)}
    else:
        await eventually_async(counted)


def order_by_hand(conn, runner, written, commit):
    """An order of 5 units of p0 that is written, and committed when the test says."""
    line = {"order_id": "late", "line": 1, "sku_id": "s0", "product_id": "p0", "quantity": 5, "price": 100}
    order = {"id": "late", "user_id": "u", "status": "PAID", "total": 500, "pay": "POINTS", "reserved_until_ms": 0}
    order |= {"payment_id": "late", "reason": "", "created_ms": runner.now_ms, "version": 1, "stamp": 0}
    body = msgspec.json.encode({"order_id": "late", "status": "PAID", "lines": [line]})
    event = {"request_id": "late", "seq": 0, "kind": "order.placed", "key": "stock:s0", "body": body}
    conn.execute(insert(orders), order)
    conn.execute(insert(order_lines), line)
    conn.execute(insert(outbox), {**event, "created_ms": runner.now_ms})
    written.set()
    await_only(commit.wait())


@pytest.mark.parametrize("bounded", [True, False], ids=["bounded", "control"])
async def test_an_hour_that_a_window_holds_is_not_deleted(database, monkeypatch, bounded):
    """A process that purges while another one takes hours out of the windows leaves those that a window still holds."""
    runner = await stocked(database)
    await job(runner).once()
    await buy(runner, ("s0", 7))
    await caught_up(runner)
    runner.now_ms += 32 * 24 * HOUR_MS
    with monkeypatch.context() as patch:
        if not bounded:
            patch.setattr(module, "first_hour", lambda connection: FOREVER_MS)
        await database.transaction(lambda c: module._purge(c, runner.now_ms), deadline=soon())
    for _ in range(20):
        await job(runner).once()
    kept, of_hours = await database.read(windows_summed)
    assert (kept == of_hours) is bounded
    assert set(map(str, kept.values())) == ({"{}"} if bounded else {"{'p0': (7, 700)}"})
    assert await database.read(hours_summed) == {}


async def test_a_process_without_the_claim_keeps_the_windows_later(database):
    """A round that finds the progress claimed does not take that for nothing to do: the next one does the work."""
    if database.dialect.name == "sqlite":
        pytest.skip("one transaction writes at a time")
    runner = await stocked(database)
    once = job(runner)
    await buy(runner, ("s0", 7))
    await caught_up(runner, once)
    runner.now_ms += 40 * HOUR_MS
    claimed, release = asyncio.Event(), asyncio.Event()

    def holding(conn):
        assert claim(conn) is not None
        claimed.set()
        await_only(release.wait())

    holder = asyncio.create_task(database.transaction(holding, deadline=soon()))
    await claimed.wait()
    assert await once.once() == {"added_up": 0, "purged": 0, "unreadable": 0}
    release.set()
    await holder
    await once.once()
    kept, _ = await database.read(windows_summed)
    assert (kept[1], kept[3]) == ({}, {"p0": (7, 700)})


@pytest.mark.parametrize("checked", [True, False], ids=["checked", "control"])
async def test_ids_that_are_given_out_again_are_counted(database, monkeypatch, checked):
    """A position never moves to an id that this server does not have: a replica that lost it gives it out again."""
    runner = await stocked(database)
    settled = Fixed(0, runner)
    once = job(runner, settled=settled)
    await caught_up(runner)
    settled.id = 2 + await position(database)  # what the lost server had said
    if not checked:
        monkeypatch.setattr(module, "_has", lambda connection, settled: True)
    await once.once()
    await buy(runner, ("s0", 7))
    for _ in range(3):
        await job(runner).once()
    assert await sold(database) == ({"p0": 7} if checked else {})


async def test_a_position_beyond_the_newest_event_is_reported(database, caplog):
    """One line says so, however many rounds see it, and the step of docs/deploy.md counts everything again."""
    runner = await stocked(database)
    once = job(runner)
    await caught_up(runner, once)
    await database.transaction(lambda c: c.execute(update(sales_progress).values(position=10**6)), deadline=soon())
    await buy(runner, ("s0", 7))
    for _ in range(3):
        await once.once()
    assert [each.message.partition(":")[0] for each in caplog.records if each.levelname == "ERROR"] == [
        f"sales are counted up to event {10**6}, but the newest event is {(await Newest(database).up_to(None)).id}"
    ]
    assert await sold(database) == {}
    page = (Path(__file__).parents[2] / "docs" / "deploy.md").read_text()
    statements = re.findall(r"DELETE FROM \w+;", page)
    assert len(statements) == 4

    def forget_all(conn):
        for statement in statements:
            conn.exec_driver_sql(statement.rstrip(";"))

    await database.transaction(forget_all, deadline=soon())
    await caught_up(runner, once)
    assert await sold(database) == {"p0": 7}
