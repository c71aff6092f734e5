"""Every strategy on every database: what it promises, and `unprotected` as the negative control."""

import asyncio
from collections import Counter

import pytest
from sqlalchemy import func, select

from stockade.core import Accepted, Busy, Conflict, IdempotencyKeyReused, NotSupported, Rejected
from stockade.service.ids import derived_id
from stockade.shop.audit import audit
from stockade.shop.commands import PayOrder
from stockade.shop.commands.cancel_order import CancelOrder
from stockade.shop.model.limits import MAX_AMOUNT
from stockade.shop.model.tables import order_lines, orders, point_accounts, skus
from stockade.store.schema.tables import ledger
from stockade.strategies import registry
from stockade.strategies.options import Options
from tests.contract.conftest import NOW_MS, Bench
from tests.store.stock_events import breaks


async def _all(bench, commands):
    return await asyncio.gather(*(_patiently(bench, each) for each in commands), return_exceptions=True)


async def _patiently(bench, command):
    """A lock server that a stalled machine could not reach in time is Busy: the same request again is always safe."""
    for _ in range(5):
        try:
            return await bench.strategy.execute(command)
        except Busy as error:
            if error.code == "TOO_MANY_REQUESTS":
                raise
    return await bench.strategy.execute(command)


async def _figures(bench, sku="s"):
    """(available, orders, lines, ledger entries of the SKU) as the database has them."""

    def body(connection):
        row = connection.execute(select(skus.c.on_hand - skus.c.reserved).where(skus.c.id == sku)).scalar_one()
        count = select(func.count())
        return (
            int(row),
            connection.execute(count.select_from(orders)).scalar_one(),
            connection.execute(count.select_from(order_lines)).scalar_one(),
            connection.execute(count.where((ledger.c.row_id == sku) & (ledger.c.kind == "stock"))).scalar_one(),
        )

    return await bench.database.read(body)


def _protects(bench):
    return not registry.guarantees(bench.name).may_oversell


async def test_reference_20_of_30(bench):
    """The Kotlin report's reference test: 20 in stock, 30 buyers: 20 orders, 10 times OUT_OF_STOCK, nothing else."""
    await bench.product("s", stock=20)
    answers = await _all(bench, [bench.order(n, user=f"u{n}") for n in range(30)])
    accepted = sum(isinstance(answer, Accepted) for answer in answers)
    if not _protects(bench):
        assert accepted > 20, "unprotected must sell units twice, or this suite proves nothing"
        return
    assert accepted == 20
    assert Counter(answer.code for answer in answers if isinstance(answer, Rejected)) == {"OUT_OF_STOCK": 10}
    assert await _figures(bench) == (0, 20, 20, 21)


async def test_last_unit(bench):
    """Stock 1, three orders: one order row, two refusals, nothing left and nothing taken from the losers."""
    await bench.product("s", stock=1)
    answers = await _all(bench, [bench.order(n, user=f"u{n}") for n in range(3)])
    if not _protects(bench):
        return
    assert sum(isinstance(answer, Accepted) for answer in answers) == 1
    assert await _figures(bench) == (0, 1, 1, 2)


async def test_one_intent_charges_once_and_three_intents_three_times(bench):
    """The reports contradict each other; the request id decides: the same three times is 100, three of them are 300."""
    if not _protects(bench):
        pytest.skip("the control loses charges; the ledger tests show it")
    await _all(bench, [bench.charge("same")] * 3)
    await _all(bench, [bench.charge(n, user="u2") for n in range(3)])
    balances = await bench.database.read(
        lambda c: {row.id: row.balance for row in c.execute(select(point_accounts.c.id, point_accounts.c.balance))}
    )
    assert balances == {"u1": 100, "u2": 300}


async def test_every_caller_is_told_its_own_balance(bench):
    """Eight charges at once: eight different balances are returned, the ones the ledger has, and a limit is a limit."""
    if not _protects(bench):
        pytest.skip("the control loses charges; the ledger tests show it")
    assert (await bench.strategy.execute(bench.charge("first"))).accepted
    answers = await _all(bench, [bench.charge(n) for n in range(8)])
    assert sorted(answer.data["balance"] for answer in answers) == [200 + 100 * n for n in range(8)]
    room = [bench.charge(("big", n), amount=MAX_AMOUNT - 900 - 150) for n in range(4)]
    answers = await _all(bench, room)
    assert sum(isinstance(answer, Accepted) for answer in answers) == 1, "the limit has room for one"
    assert await bench.database.read(audit) == []


async def test_a_late_duplicate_is_replayed(bench):
    """A double click after the first answer: the same order, marked as replayed; other content is refused."""
    await bench.product("s")
    first = await bench.strategy.execute(bench.order(1))
    again = await bench.strategy.execute(bench.order(1))
    assert (first.replayed, again.replayed) == (False, True)
    assert first.data == again.data
    with pytest.raises(IdempotencyKeyReused):
        await bench.strategy.execute(CancelOrder(derived_id("order", 1), "x", NOW_MS, "o", "u1", "other"))
    assert (await _figures(bench))[:2] == (19, 1)


async def test_baskets_in_opposite_orders(bench):
    """Orders over the same products in opposite orders all succeed, without a deadlock."""
    await bench.product("a", "b", "c", stock=100)
    commands = [bench.order(n, *(("a", "b", "c") if n % 2 else ("c", "b", "a")), user=f"u{n}") for n in range(24)]
    answers = await _all(bench, commands)
    if not _protects(bench):
        return
    assert all(isinstance(answer, Accepted) for answer in answers), answers
    assert {await _left(bench, sku) for sku in "abc"} == {76}
    assert await bench.database.read(breaks) == [], "the events of each SKU form a chain"
    if bench.name != "serializable":  # MariaDB answers conflicts there with its deadlock error
        assert bench.store.stats.deadlocks == 0


async def _left(bench, sku):
    return (await _figures(bench, sku))[0]


async def test_points_and_stock_move_together(bench):
    """Orders paid with points: a buyer who cannot pay takes no stock, and the balance ends exact."""
    if not _protects(bench):
        pytest.skip("the control loses updates by design")
    await bench.product("s", stock=20, price=1000)
    assert (await bench.strategy.execute(bench.charge("c", amount=7500))).accepted
    answers = await _all(bench, [bench.order(n, pay="POINTS") for n in range(12)])
    codes = Counter("ok" if isinstance(a, Accepted) else getattr(a, "code", repr(a)) for a in answers)
    assert codes == {"ok": 7, "INSUFFICIENT_POINTS": 5}
    assert await _figures(bench) == (13, 7, 7, 8)


async def test_cancelling_twice_restores_once(bench):
    """Ten cancellations of one order at once give its stock back exactly once."""
    if not _protects(bench):
        pytest.skip("the control loses updates by design")
    await bench.product("s")
    order = await bench.strategy.execute(bench.order(1))
    order_id = order.data["order_id"]
    cancels = [CancelOrder(derived_id("cancel", n), "f", NOW_MS, order_id, "u1", "changed my mind") for n in range(10)]
    answers = await _all(bench, cancels)
    assert sum(isinstance(answer, Accepted) for answer in answers) == 1, answers
    assert await _left(bench, "s") == 20


async def test_rows_a_command_finds_on_its_way_are_protected_too(bench):
    """Paying a reservation names its stock rows only after reading the order: eight pays beside eight new orders."""
    if not _protects(bench):
        pytest.skip("the control loses updates by design")
    await bench.product("s", stock=40)
    assert (await bench.strategy.execute(bench.charge("c", amount=100_000))).accepted
    held = [(await bench.strategy.execute(bench.order(n))).data["order_id"] for n in range(8)]
    pays = [PayOrder(derived_id("pay", n), "f", NOW_MS, order_id, "u1") for n, order_id in enumerate(held)]
    news = [bench.order(100 + n, user=f"u{n}") for n in range(8)]
    answers = await _all(bench, [each for pair in zip(pays, news, strict=True) for each in pair])
    assert all(isinstance(answer, Accepted) for answer in answers), answers
    assert await _left(bench, "s") == 24
    assert await bench.database.read(audit) == []


async def test_without_retry_the_optimistic_lock_gives_up(database):
    """With 0 retries (the Java report) some of ten buyers of plenty lose to others; with retries none does."""
    seeds_form = Bench("optimistic", database, Options(backoff=_retries(0)))
    await seeds_form.product("s", stock=1000)
    for attempt in range(20):
        answers = await _all(seeds_form, [seeds_form.order((attempt, n), user=f"u{n}") for n in range(10)])
        if any(isinstance(answer, Conflict) for answer in answers):
            break
    else:
        raise AssertionError("200 orders without a conflict")
    patient = Bench("optimistic", database, Options(backoff=_retries(500), wait_s=20))
    answers = await _all(patient, [patient.order(("patient", n), user=f"u{n}") for n in range(10)])
    assert all(isinstance(answer, Accepted) for answer in answers)


def _retries(number):
    from stockade.core import Backoff

    return Backoff(retries=number)


async def test_a_strategy_says_what_its_database_lacks(database):
    """`advisory` on SQLite is refused with the reason, not silently unprotected."""
    if database.dialect.name != "sqlite":
        pytest.skip("has advisory locks")
    bench = Bench("advisory", database, Options())
    with pytest.raises(NotSupported, match="advisory"):
        await bench.strategy.execute(bench.order(1))


async def test_a_full_queue_answers_at_once(database):
    """The sequencer's queue is bounded: what does not fit is refused with TOO_MANY_REQUESTS."""
    bench = Bench("sequencer", database, Options(queue_size=5, max_batch=5))
    await bench.product("s", stock=100)
    await bench.strategy.start()
    answers = await _all(bench, [bench.order(n, user=f"u{n}") for n in range(30)])
    await bench.strategy.stop()
    busy = [answer for answer in answers if isinstance(answer, Busy)]
    accepted = sum(isinstance(answer, Accepted) for answer in answers)
    assert busy
    assert {each.code for each in busy} == {"TOO_MANY_REQUESTS"}
    assert accepted + len(busy) == 30
    assert await _left(bench, "s") == 100 - accepted


async def test_the_sequencer_batches_who_waits_and_never_waits_for_company(database):
    """Alone a command is one transaction at once; sixty at once need far fewer than sixty transactions."""
    bench = Bench("sequencer", database, Options())
    await bench.product("s", stock=100)
    await bench.strategy.start()
    before = bench.store.stats.transactions
    await bench.strategy.execute(bench.order("alone"))
    assert bench.store.stats.transactions == before + 1
    await _all(bench, [bench.order(n, user=f"u{n}") for n in range(60)])
    assert bench.store.stats.transactions - before <= 10
    await bench.strategy.stop()


async def test_stopping_finishes_what_waits(database):
    """A graceful stop carries out the queue; afterwards commands are refused as Busy."""
    bench = Bench("sequencer", database, Options())
    await bench.product("s", stock=100)
    await bench.strategy.start()
    waiting = [asyncio.ensure_future(bench.strategy.execute(bench.order(n, user=f"u{n}"))) for n in range(20)]
    await asyncio.sleep(0)
    await bench.strategy.stop()
    assert all(isinstance(answer, Accepted) for answer in await asyncio.gather(*waiting))
    with pytest.raises(Busy):
        await bench.strategy.execute(bench.order("late"))


async def test_the_in_process_mutex_map_does_not_leak(database):
    """After a thousand keys the mutex holds nothing, and a waiter gives up at its deadline."""
    bench = Bench("in-process", database, Options(wait_s=0.2))
    await bench.product("s", stock=100)
    inside, leave = asyncio.Event(), asyncio.Event()

    async def hold():
        async with bench.strategy._locks.lock("stock:s").hold():
            inside.set()
            await leave.wait()

    holder = asyncio.create_task(hold())
    await inside.wait()
    with pytest.raises(Busy):
        await bench.strategy.execute(bench.order(1))
    leave.set()
    await holder
    assert (await bench.strategy.execute(bench.order(1))).accepted
    patient = Bench("in-process", database, Options(wait_s=20))
    answers = await _all(patient, [bench.charge(n, user=f"user-{n}") for n in range(50)])
    assert all(isinstance(answer, Accepted) for answer in answers)
    for each in (bench, patient):
        info = await each.strategy._locks.inspect("points:user-1")
        assert not info.holders
        assert not info.waiters
