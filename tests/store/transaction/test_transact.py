"""What `transact` promises, on every database."""

import asyncio
import gc

import pytest
from sqlalchemy import func, select

from stockade.core import Accepted, Busy, Guard, GuardKind, IdempotencyKeyReused, Key, Rejected, Row
from stockade.shop.migrations import SCHEMA
from stockade.shop.model.resources import SHOP_RESOURCES
from stockade.shop.model.states import StockState
from stockade.shop.model.tables import point_accounts, skus
from stockade.store.schema.known_tables import KnownTables
from stockade.store.schema.tables import outbox, requests
from stockade.store.transaction.decide import BatchDecider
from stockade.store.transaction.pending_batch import PendingBatch
from stockade.store.transaction.save import RowChanged
from tests.store.commands import Blind, Broken, Charge, Discover, Take, rid
from tests.store.conftest import opened, soon, stocked
from tests.store.helpers import figures, until_decided

GUARDS = [Guard.ROW, Guard.VERSION, Guard.TIMESTAMP, Guard.DELTA, Guard.SERIALIZABLE, Guard.ADVISORY]


async def told(store):
    """How many events of each kind there are."""
    kinds = select(outbox.c.kind, func.count()).group_by(outbox.c.kind)
    return await store.database.read(lambda c: dict(tuple(row) for row in c.execute(kinds)))


async def count(store, table):
    """How many rows a table has."""
    return await store.database.read(lambda c: c.execute(select(func.count()).select_from(table)).scalar_one())


@pytest.mark.parametrize("guard", GUARDS, ids=lambda guard: guard.kind.value)
async def test_thirty_buyers_of_twenty_units(store, guard):
    """Twenty are served, ten are refused with OUT_OF_STOCK, and the ledger proves it."""
    if not store.supports(guard.kind):
        pytest.skip(f"{store.database.dialect.name} has no {guard.kind.value}")
    answers = await asyncio.gather(*(until_decided(store, Take(rid(n)), guard) for n in range(30)))
    assert sum(isinstance(answer, Accepted) for answer in answers) == 20
    assert {answer.code for answer in answers if isinstance(answer, Rejected)} == {"OUT_OF_STOCK"}
    assert await figures(store) == (0, 21, 21, 0)
    assert await told(store) == {"taken": 20, "stock.changed": 21}


async def test_without_a_guard_units_are_sold_twice(store):
    """The negative control: the same run under NONE accepts more than there are, on every database."""
    for attempt in range(10):
        answers = await asyncio.gather(*(until_decided(store, Take(rid(attempt, n)), Guard.NONE) for n in range(30)))
        on_hand, version, entries, total = await figures(store)
        if total != on_hand:
            assert entries > version, "a lost update shows as one version written twice"
            assert sum(isinstance(answer, Accepted) for answer in answers) > 0
            return
    raise AssertionError("ten runs without a guard lost nothing: the other tests prove nothing")


@pytest.mark.parametrize("guard", GUARDS, ids=lambda guard: guard.kind.value)
async def test_a_batch_sees_its_own_decisions(store, guard):
    """Thirty orders in one transaction are decided one after the other."""
    if not store.supports(guard.kind):
        pytest.skip(f"{store.database.dialect.name} has no {guard.kind.value}")
    answers = await store.transact([Take(rid(n)) for n in range(30)], guard, deadline=soon())
    assert [answer.accepted for answer in answers] == [True] * 20 + [False] * 10
    assert await figures(store) == (0, 21, 21, 0)
    assert await told(store) == {"taken": 20, "stock.changed": 2}


async def test_same_request_id_runs_once(store):
    """Ten at once and one later: one effect, the same outcome, marked as replayed."""
    command = Take(rid("once"))
    answers = await asyncio.gather(*(until_decided(store, command, Guard.ROW) for _ in range(10)))
    later = await until_decided(store, command, Guard.VERSION)
    assert {dict(answer.data)["by"] for answer in (*answers, later)} == {command.request_id}
    assert sum(not answer.replayed for answer in answers) == 1
    assert later.replayed
    assert await figures(store) == (19, 2, 2, 19)
    assert await told(store) == {"taken": 1, "stock.changed": 2}


async def test_other_content_under_a_known_id_is_refused(store):
    """The same id with another fingerprint never replays someone else's outcome."""
    await until_decided(store, Take(rid("a")), Guard.ROW)
    answer = await until_decided(store, Take(rid("a"), "other"), Guard.ROW)
    assert isinstance(answer, IdempotencyKeyReused)
    assert await figures(store) == (19, 2, 2, 19)


async def test_twice_in_one_batch_runs_once(store):
    """A repeated id inside a batch gets the first one's outcome, another content is refused."""
    take = Take(rid("a"))
    answers = await store.transact([take, take, Take(rid("a"), "other")], Guard.ROW, deadline=soon())
    assert [answers[0].replayed, answers[1].replayed] == [False, True]
    assert isinstance(answers[2], IdempotencyKeyReused)
    assert await figures(store) == (19, 2, 2, 19)


async def test_a_refusal_leaves_only_its_request_row(store):
    """A rejected order moves nothing and is replayed like an accepted one."""
    await store.transact([Take(rid(n)) for n in range(20)], Guard.ROW, deadline=soon())
    before, events = await count(store, requests), await told(store)
    first = await until_decided(store, Take(rid("late")), Guard.ROW)
    again = await until_decided(store, Take(rid("late")), Guard.ROW)
    assert (first.code, again.code, again.replayed) == ("OUT_OF_STOCK", "OUT_OF_STOCK", True)
    assert first.versions == again.versions == {"stock:s": 21}
    assert await count(store, requests) == before + 1
    assert await told(store) == events
    assert await figures(store) == (0, 21, 21, 0)


@pytest.mark.parametrize("guard", [Guard.ROW, Guard.VERSION], ids=lambda guard: guard.kind.value)
async def test_one_bad_command_does_not_fail_its_neighbours(store, guard):
    """A CHECK violation and a broken `decide` in the middle of a batch concern only themselves."""
    batch = [Take(rid(1)), Broken(rid(2)), Blind(rid(3)), Take(rid(4))]
    answers = await store.transact(batch, guard, deadline=soon())
    assert answers[0].accepted
    assert answers[3].accepted
    assert isinstance(answers[1], ZeroDivisionError)
    assert isinstance(answers[2], Exception)
    assert await figures(store) == (18, 3, 3, 18)


async def test_the_account_opens_with_the_first_charge(store):
    """Three first charges at once: one account, all three counted, no gap in the versions."""
    charges = [Charge(rid("c", n)) for n in range(3)]
    answers = await asyncio.gather(*(until_decided(store, charge, Guard.ROW) for charge in charges))
    assert sorted(answer.data["balance"] for answer in answers) == [100, 200, 300]
    row = await store.database.read(lambda c: c.execute(select(point_accounts)).one())
    assert (row.balance, row.version) == (300, 3)


async def test_three_times_the_same_charge_is_one(store):
    """The same request three times charges once (the Kotlin report's rule)."""
    same = await asyncio.gather(*(until_decided(store, Charge(rid("same")), Guard.VERSION) for _ in range(3)))
    assert {answer.data["balance"] for answer in same} == {100}


async def test_more_rows_on_request(database):
    """`need_keys` loads the union and decides again; asking for ever is refused."""
    store = await stocked(database, "s", "t", "u", "v", "w")
    plenty, endless = Discover(rid(1), wanted=("t", "u")), Discover(rid(2), wanted=("t", "u", "v", "w"))
    first, second = await store.transact([plenty, endless], Guard.ROW, deadline=soon())
    assert first == Accepted({"rows": 3}, {})
    assert isinstance(second, ValueError)
    assert endless.asked == ["t", "u", "v", "w"]


async def test_ids_are_compared_exactly(database):
    """'b', 'B' and 'b ' are three SKUs, on databases whose default collation disagrees too."""
    store = await stocked(database, "b", "B", "b ", "ß", "ss")
    answers = await store.transact([Take(rid(1), skus=("b", "B", "b ", "ß"))], Guard.ROW, deadline=soon())
    assert answers[0].accepted
    left = await store.database.read(lambda c: dict(tuple(row) for row in c.execute(select(skus.c.id, skus.c.on_hand))))
    assert left == {"b": 19, "B": 19, "b ": 19, "ß": 19, "ss": 20}


async def test_an_unknown_kind_of_key_is_named(store):
    """A command with a kind of row that the store does not know gets an error, and nothing happens."""
    command = Take(rid(1))
    store._resources = {}
    (answer,) = await store.transact([command], Guard.ROW, deadline=soon())
    assert "no resource for keys of kind 'stock'" in str(answer)


@pytest.mark.parametrize("guard", [Guard.TIMESTAMP, Guard(GuardKind.TIMESTAMP, bare_clock=True)], ids=["safe", "bare"])
async def test_timestamps_need_more_than_a_clock(store, guard):
    """Two writes in one millisecond: a bare clock misses it, a stamp that always moves does not."""
    (first,) = await store.transact([Take(rid("warm"), now_ms=5000)], guard, deadline=soon())
    assert first.accepted
    both = await _read_twice_write_twice(store, guard)
    on_hand, _, _, total = await figures(store)
    assert all(both) == guard.bare_clock
    assert (on_hand == total) == (not guard.bare_clock)


async def _read_twice_write_twice(store, guard):
    """Step control: load A, load B, save A, save B, with the store's own parts; whether each was accepted."""
    decider = BatchDecider(store._resources, store._tables, guard.bare_clock)
    batches = []
    for name in ("a", "b"):
        batch = PendingBatch([Take(rid(name), now_ms=5000)])
        rows, recorded = await store.database.read(lambda c, a=batch: store._steps.load(c, a, guard))
        batches.append((batch, decider.decide(batch.commands, rows, recorded)))
    accepted = []
    for batch in batches:
        try:
            await store.database.transaction(lambda c, b=batch: store._steps.write(c, *b, guard), deadline=soon())
            accepted.append(True)
        except RowChanged:
            accepted.append(False)
    return accepted


async def test_a_full_pool_answers_busy(database_url):
    """With every connection taken, the wait ends at the deadline as POOL_EXHAUSTED, and nothing happens."""
    async with opened(database_url, pool_size=1) as database:
        store = await stocked(database, "s")
        await database._writers.acquire()
        (answer,) = await store.transact([Take(rid(1))], Guard.ROW, deadline=soon(0.05))
        database._writers.release()
        assert isinstance(answer, Busy)
        assert answer.code == "POOL_EXHAUSTED"
        assert await figures(store) == (20, 1, 1, 20)


def test_a_batch_is_free_when_it_is_done_with():
    """Nothing in it refers back to it: a cycle would keep hundreds of containers for each order until a collection."""
    key = Key("stock", "s")
    rows = {key: Row(key, StockState("p", 1000, 20, 0), 1, 1)}
    decider = BatchDecider({each.kind: each for each in SHOP_RESOURCES}, KnownTables(SCHEMA.metadata, SHOP_RESOURCES))
    gc.collect()
    gc.disable()
    try:
        batch = decider.decide([Take(rid(n)) for n in range(30)], rows, {})
        assert len(batch.requests) == 30
        del batch
        assert gc.collect() == 0
    finally:
        gc.enable()
