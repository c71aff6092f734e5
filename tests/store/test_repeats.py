"""Request ids are looked up before a batch is written only while ids come again."""

import pytest

from stockade.core import Guard
from stockade.store import repeats
from tests.store.conftest import opened, soon, stocked
from tests.store.test_at_once import trusting
from tests.store.test_forecast import batches, chain, takes


@pytest.mark.parametrize("remembered", [3, 0])
async def test_ids_are_looked_up_while_they_come_again(postgres_database, monkeypatch, remembered):
    """The first repeated order costs its batch a second attempt, the next ones none (the control: they do); they get
    the answers of the first time, whatever was looked up."""
    monkeypatch.setattr(repeats, "REMEMBERED", remembered)
    real, looked_up = repeats.known_requests, []
    monkeypatch.setattr(repeats, "known_requests", lambda *given: looked_up.append(1) or real(*given))

    async def attempts(store, *numbers, again=()):
        begun, before = store.stats.transactions, len(looked_up)
        answers = await store.transact(takes(*numbers, *again), Guard.ROW, deadline=soon())
        assert [each.replayed for each in answers] == [False] * len(numbers) + [True] * len(again)
        return store.stats.transactions - begun, len(looked_up) - before

    async with opened(postgres_database) as database:
        store = await trusting(await stocked(database, "s"))
        assert await attempts(store, 7, 8) == (1, 0)
        assert await attempts(store, 9, again=[7]) == (2, 0)
        await batches(store, (10, 11))  # it is trusted again
        assert (await attempts(store, 12, again=[8]))[0] == (1 if remembered else 2)
        if remembered:
            assert [await attempts(store, n, n + 1) for n in (13, 15, 17, 19)] == [(1, 1), (1, 1), (1, 1), (1, 0)]
        entries = await chain(store)
        assert [version for version, _ in entries] == list(range(1, len(entries) + 1))
