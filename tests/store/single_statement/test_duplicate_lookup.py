"""Request ids are looked up before the write only while requests are repeated; a repeated one gets the same answer."""

import pytest

from stockade.core import Guard
from stockade.store.transaction.single_statement import duplicate_lookup
from tests.store.conftest import opened, soon, stocked
from tests.store.helpers import chain, sold, takes


@pytest.fixture
async def store(postgres_database):
    """A store with 20 units of `s`, whose expectations of it have proved right: orders 1 to 6 are recorded."""
    async with opened(postgres_database) as database:
        made = await stocked(database, "s")
        await sold(made, (1, 2), (3, 4), (5, 6))
        yield made


@pytest.mark.parametrize("remembered", [3, 0])
async def test_ids_are_looked_up_while_they_come_again(store, monkeypatch, remembered):
    """The first repeated order costs its batch a second attempt, the next ones none (the control: they do); they get
    the answers of the first time, whatever was looked up."""
    monkeypatch.setattr(duplicate_lookup, "REMEMBERED", remembered)
    real, looked_up = duplicate_lookup.recorded_requests, []
    monkeypatch.setattr(duplicate_lookup, "recorded_requests", lambda *given: looked_up.append(1) or real(*given))
    told = {}

    async def attempts(*numbers, again=()):
        begun, before = store.stats.transactions, len(looked_up)
        answers = await store.transact(takes(*numbers, *again), Guard.ROW, deadline=soon())
        assert [each.replayed for each in answers] == [False] * len(numbers) + [True] * len(again)
        for number, answer in zip((*numbers, *again), answers, strict=True):
            assert told.setdefault(number, answer.versions) == answer.versions
        return store.stats.transactions - begun, len(looked_up) - before

    assert await attempts(7, 8) == (1, 0)
    assert await attempts(9, again=[7]) == (2, 0)
    await sold(store, (10, 11))  # expectations are trusted again
    assert (await attempts(12, again=[8]))[0] == (1 if remembered else 2)
    if remembered:
        assert [await attempts(n, n + 1) for n in (13, 15, 17, 19)] == [(1, 1), (1, 1), (1, 1), (1, 0)]
    entries = await chain(store)
    assert [version for version, _ in entries] == list(range(1, len(entries) + 1))


@pytest.mark.parametrize("hot", [False, True])
async def test_orders_alone_are_looked_up_on_a_hot_row_only(postgres_database, monkeypatch, hot):
    """Elsewhere nothing rests on them (`pessimistic`: each order a transaction of its own), so the claim is enough."""
    async with opened(postgres_database) as database:
        made = await stocked(database, "s")
        if hot:
            await sold(made, (101, 102), (103, 104), (105, 106))
        for _ in range(2):  # the second time it is a repeat
            await made.transact(takes(7), Guard.ROW, deadline=soon())
        if hot:
            await sold(made, (107, 108), (109, 110))
        real, looked_up = duplicate_lookup.recorded_requests, []
        monkeypatch.setattr(duplicate_lookup, "recorded_requests", lambda *given: looked_up.append(1) or real(*given))
        for number in range(8, 12):  # at most two of them to be trusted again
            (answer,) = await made.transact(takes(number), Guard.ROW, deadline=soon())
            assert answer.accepted
        assert bool(looked_up) is hot
