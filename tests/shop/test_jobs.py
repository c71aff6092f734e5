"""The sweeper and the purge: bounded, safe beside each other, and never the end of themselves."""

import asyncio

import pytest
from sqlalchemy import func, select

from stockade.core import Busy
from stockade.service.jobs import Job, Round, repeat
from stockade.service.purge import DAY_MS, Purge
from stockade.service.sweeper import Sweeper
from stockade.shop import queries
from stockade.shop.audit import audit, summary
from stockade.shop.commands import ChargePoints, CreateProduct, NewSku, OrderLine, PlaceOrder, SetCartItem
from stockade.shop.migrations import SCHEMA
from stockade.shop.model.tables import order_lines
from stockade.shop.operations.expired_reservations import expired_reservations
from stockade.store import Database
from stockade.store.schema.tables import requests
from tests.shop.conftest import soon
from tests.shop.runner import Runner

RESERVE_MS = 60_000


@pytest.fixture
async def small():
    """SQLite in memory, for what does not differ between databases."""
    database = await Database.open("sqlite://")
    try:
        await SCHEMA.create_all(database)
        yield database
    finally:
        await database.close()


async def reserved(database, count):
    """A runner whose shop has so many reservations that are just over, and their ids."""
    runner = Runner(database)
    await runner.execute(CreateProduct(*runner.head(), "a", "things", (NewSku(1000, 100, "a"),), "p"))
    ids = []
    for _ in range(count):
        order = PlaceOrder(*runner.head(), "u", (OrderLine("a", 1),), "LATER", RESERVE_MS)
        ids.append((await runner.execute(order)).data["order_id"])
        runner.now_ms += 1
    runner.now_ms += RESERVE_MS
    return runner, ids


def sweeper(runner, execute=None, **options):
    """A sweeper over a runner's database and clock."""
    sweep = expired_reservations(pause_s=1)
    return Sweeper(sweep, runner.database.read, execute or runner.execute, lambda: runner.now_ms, **options)


async def test_two_sweepers_end_each_reservation_once(database):
    """Side by side they find the same orders; every one is ended by one of them, and the audit is content."""
    runner, _ = await reserved(database, 12)
    one, two = await asyncio.gather(sweeper(runner, batch=5).once(), sweeper(runner, batch=4).once())
    assert one["expired"] + two["expired"] == 12
    assert {one[name] + two[name] for name in ("refused", "failed")} == {0}
    found = await database.read(summary)
    assert (found.orders, found.reserved, found.left) == ({"EXPIRED": 12}, 0, 100)
    assert await database.read(audit) == []
    assert (await sweeper(runner).once())["found"] == 0


async def test_a_reservation_that_is_not_over_stays(small):
    """The control: nothing is due a millisecond before."""
    runner, _ = await reserved(small, 1)
    runner.now_ms -= 2
    assert (await sweeper(runner).once())["found"] == 0


async def test_a_round_is_bounded(small):
    """Batches times their number, and the rest waits for the next round; commands under way are bounded too."""
    runner, _ = await reserved(small, 9)
    running = most = 0

    async def execute(command):
        nonlocal running, most
        running += 1
        most = max(most, running)
        answer = await runner.execute(command)
        running -= 1
        return answer

    once = sweeper(runner, execute, batch=2, max_batches=3, at_once=2).once
    assert [(await once())["expired"] for _ in range(3)] == [6, 3, 0]
    assert most == 2


async def test_what_fails_is_found_again_and_holds_up_nothing(small):
    """A busy command fails alone; the next round ends that order too."""
    runner, ids = await reserved(small, 5)
    failing = set(ids[:2])

    async def execute(command):
        if command.order_id in failing:
            raise Busy("no turn")
        return await runner.execute(command)

    once = sweeper(runner, execute, batch=2).once
    assert await once() == {"found": 5, "expired": 3, "elsewhere": 0, "refused": 0, "failed": 2}
    failing.clear()
    assert (await once())["expired"] == 2


async def test_orders_that_cannot_be_ended_do_not_hold_up_others(small):
    """Damaged ones at the front are refused each time; those behind them are still ended."""
    runner, ids = await reserved(small, 4)
    damage = order_lines.update().where(order_lines.c.order_id.in_(ids[:2])).values(sku_id="gone")
    await small.transaction(lambda c: c.execute(damage), deadline=soon())
    once = sweeper(runner, batch=1).once
    assert await once() == {"found": 4, "expired": 2, "elsewhere": 0, "refused": 2, "failed": 0}
    assert await once() == {"found": 2, "expired": 0, "elsewhere": 0, "refused": 2, "failed": 0}


async def test_an_error_that_is_no_answer_is_logged(small, caplog):
    """What no vocabulary knows counts as failed, and the log names it."""
    runner, _ = await reserved(small, 1)

    async def execute(command):
        raise ZeroDivisionError

    assert (await sweeper(runner, execute).once())["failed"] == 1
    assert "ZeroDivisionError" in caplog.text


async def requested(database, kinds):
    """A runner after one charge (c), refused order (r) or cart wish (w) for each letter."""
    runner = Runner(database)
    await runner.execute(CreateProduct(*runner.head(), "a", "things", (NewSku(1000, 100, "a"),), "p"))
    commands = {
        "c": lambda: ChargePoints(*runner.head(), "u", 100),
        "r": lambda: PlaceOrder(*runner.head(), "poor", (OrderLine("a", 1),), "POINTS"),
        "w": lambda: SetCartItem(*runner.head(), "u", "a", 1),
    }
    for kind in kinds:
        await runner.execute(commands[kind]())
    return runner


async def kept(database):
    """How many requests are recorded."""
    return await database.read(lambda c: c.execute(select(func.count()).select_from(requests)).scalar_one())


async def test_two_purges_forget_what_changed_nothing(database):
    """Refusals and cart wishes of over a day go, once; what moved something and what is younger stays."""
    runner = await requested(database, "crwcrwrr")
    runner.now_ms += DAY_MS
    await runner.execute(PlaceOrder(*runner.head(), "poor", (OrderLine("a", 1),), "POINTS"))

    def purge():
        return Purge(database.write, lambda: runner.now_ms, batch=2)

    assert await purge().once() == {"deleted": 0}, "exactly a day is not over a day"
    runner.now_ms += 1
    one, two = await asyncio.gather(purge().once(), purge().once())
    assert one["deleted"] + two["deleted"] == 6
    assert await kept(database) == 1 + 2 + 1
    assert (await database.read(lambda c: queries.points(c, "u"))).balance == 200
    assert await database.read(audit) == []


async def test_a_purge_round_is_bounded_and_goes_on(small):
    """Steps times their size are looked at, and the next round goes on behind them."""
    runner = await requested(small, "ccccrrc")
    runner.now_ms += DAY_MS + 1
    purge = Purge(small.write, lambda: runner.now_ms, batch=2, max_batches=2)
    assert sum([(await purge.once())["deleted"] for _ in range(2)]) == 2
    assert (await purge.once())["deleted"] == 0
    later = PlaceOrder(*runner.head(), "poor", (OrderLine("a", 1),), "POINTS")
    await runner.execute(later)
    runner.now_ms += DAY_MS + 1
    assert (await purge.once())["deleted"] == 1


async def test_a_refused_order_is_shown_for_as_long_as_its_key_is_kept(small):
    """Before the purge it is REJECTED, afterwards it is not there, and the same key may try again."""
    runner = Runner(small)
    order = PlaceOrder(*runner.head(), "u", (OrderLine("a", 1),), "LATER", RESERVE_MS)
    assert (await runner.execute(order)).code == "SKU_NOT_FOUND"
    purge = Purge(small.write, lambda: runner.now_ms, kept_ms=1000)
    runner.now_ms += 1000
    await purge.once()
    assert (await small.read(lambda c: queries.order(c, order.request_id, "u"))).status == "REJECTED"
    runner.now_ms += 1
    await purge.once()
    assert await small.read(lambda c: queries.order(c, order.request_id, "u")) is None
    await runner.execute(CreateProduct(*runner.head(), "a", "things", (NewSku(1000, 100, "a"),), "p"))
    assert (await runner.execute(order)).accepted


async def test_a_request_that_did_something_is_never_forgotten(small):
    """Years later the same charge and the same order get their first answer, and nothing is done twice."""
    runner = await requested(small, "")
    charge = ChargePoints(*runner.head(), "u", 5000)
    order = PlaceOrder(*runner.head(), "u", (OrderLine("a", 1),), "POINTS")
    first = [await runner.execute(command) for command in (charge, order)]
    runner.now_ms += 1000 * DAY_MS
    assert await Purge(small.write, lambda: runner.now_ms).once() == {"deleted": 0}
    again = [await runner.execute(command) for command in (charge, order)]
    assert [answer.replayed for answer in again] == [True, True]
    assert [answer.data["balance"] for answer in (first[0], again[0])] == [5000, 5000]
    assert (await small.read(lambda c: queries.points(c, "u"))).balance == 4000


async def test_a_job_outlives_its_errors_and_ends_when_told():
    """Each round is reported, also one that raised; the pause is cut short by the stop."""
    stop, rounds = asyncio.Event(), []

    async def once():
        if not rounds:
            raise Busy("the database is away", "DEPENDENCY_DOWN")
        return {"done": len(rounds)}

    def report(done):
        rounds.append(done)
        if len(rounds) == 3:
            stop.set()

    await asyncio.wait_for(repeat(Job("job", once, 0.001), stop, report), 5)
    assert [(each.counts, type(each.error)) for each in rounds] == [
        ({}, Busy),
        ({"done": 1}, type(None)),
        ({"done": 2}, type(None)),
    ]
    assert isinstance(rounds[0], Round)


async def test_a_round_that_hangs_is_given_up():
    """After its time it is reported as failed, and the next round runs."""
    stop, rounds = asyncio.Event(), []

    async def once():
        if not rounds:
            await asyncio.Event().wait()
        return {"done": 1}

    def report(done):
        rounds.append(done)
        if len(rounds) == 2:
            stop.set()

    await asyncio.wait_for(repeat(Job("job", once, 0.001, limit_s=0.01), stop, report), 5)
    assert str(rounds[0].error) == "the round did not end within 0.01 s"
    assert rounds[1].counts == {"done": 1}


async def test_a_long_pause_is_cut_short():
    """A job that pauses for an hour ends at once when it is stopped."""
    stop = asyncio.Event()

    async def once():
        return {}

    await asyncio.wait_for(repeat(Job("job", once, 3600), stop, lambda done: stop.set()), 5)
