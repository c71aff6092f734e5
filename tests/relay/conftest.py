"""A store with SKUs to buy, a sink that keeps events, and relays over it."""

import time

import pytest

from stockade.core import Guard
from stockade.service.relay import CONFIRMED, HELD, Policy, Receipt, Relay, SinkDown
from stockade.store.outbox import Outbox
from tests.conftest import fresh
from tests.store.commands import Take, rid
from tests.store.conftest import opened, stocked

SKUS = ("a", "b", "c", "d")
NOW_MS = 1_700_000_000_000
BATCH = 100


class Memory:
    """A sink that keeps the events that it received; it refuses the ids in `refuse`, and `down` makes it
    unreachable."""

    def __init__(self):
        self.got = []
        self.refuse = set()
        self.down = False
        self.calls = 0

    async def publish(self, events):
        self.calls += 1
        if self.down:
            raise SinkDown("no route")
        receipts, held = [], set()
        for event in events:
            if event.key in held:
                receipts.append(HELD)
            elif event.event_id in self.refuse:
                held.add(event.key)
                receipts.append(Receipt(False, "not to my taste"))
            else:
                self.got.append(event)
                receipts.append(CONFIRMED)
        return receipts

    async def close(self):
        """Nothing to close."""


class Clock:
    """A wall clock and a monotonic clock that tests move."""

    def __init__(self):
        self.ms = NOW_MS

    def wall_clock_ms(self):
        return self.ms

    def monotonic(self):
        return self.ms / 1000


def relay_over(database, sink, clock=None, ttl_s=10.0, **policy):
    """A relay with its own lease."""
    clock = clock or Clock()
    return Relay(Outbox(database, ttl_s=ttl_s, clock=clock.monotonic), sink, clock.wall_clock_ms, Policy(**policy))


async def drain(relay, rounds=200):
    """Rounds until there is nothing to send."""
    for _ in range(rounds):
        if await relay.once() is None:
            return
    raise AssertionError(f"not drained after {rounds} rounds")


async def buy(store, numbers, skus=SKUS, guard=Guard.ROW):
    """An order for each number, over the SKUs in turn, in batches; the event ids of the orders."""
    takes = [Take(rid("buy", n), now_ms=NOW_MS + n, skus=(skus[n % len(skus)],)) for n in numbers]
    for at in range(0, len(takes), BATCH):
        answers = await store.transact(takes[at : at + BATCH], guard, deadline=time.monotonic() + 20)
        assert all(answer.accepted for answer in answers)
    return [f"{take.request_id}:0" for take in takes]


def events_of(*bought, skus=SKUS):
    """Event ids by key, in order, of SKUs that were made and then bought from: in each batch all orders of a SKU, then
    once its stock, in the name of the last of them."""
    found = {f"stock:{sku}": [f"{rid('stock', sku)}:0"] for sku in skus}
    for numbers in bought:
        for at in range(0, len(numbers), BATCH):
            last = {}
            for n in numbers[at : at + BATCH]:
                key = f"stock:{skus[n % len(skus)]}"
                last[key] = rid("buy", n)
                found[key].append(f"{last[key]}:0")
            for key, request_id in last.items():
                found[key].append(f"{request_id}:1")
    return found


def ids_of(events):
    """All event ids of some keys."""
    return [id_ for ids in events.values() for id_ in ids]


def once_each(got):
    """What a consumer sees that recognises duplicates by the event id: the first delivery of each."""
    return list({event.event_id: event for event in reversed(got)}.values())[::-1]


def first_deliveries(ids):
    """The same for plain ids."""
    return list(dict.fromkeys(ids))


@pytest.fixture
async def database(database_url):
    """A migrated database of each kind, with the partitions of the outbox."""
    async with opened(database_url) as found:
        await Outbox(found).open()
        yield found


@pytest.fixture
async def store(database):
    """A store with plenty of each SKU."""
    return await stocked(database, *SKUS, n=10_000)


@pytest.fixture(
    params=[pytest.param("postgres", marks=pytest.mark.postgres), pytest.param("mariadb", marks=pytest.mark.mariadb)]
)
async def server_store(request, server_url):
    """The same on each server: an embedded SQLite has one writer, so nothing there commits late."""
    with fresh(server_url(request.param)) as url:
        async with opened(url) as found:
            await Outbox(found).open()
            yield await stocked(found, *SKUS, n=10_000)
