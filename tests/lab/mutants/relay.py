"""Mutants of the relay: two real relays send a small outbox to a sink that refuses events now and then, and are killed.

The outbox is a SQLite file, and the rule `events` judges what the sink received. Neighbour: `tests.relay.conftest` has
the clock and the orders.
"""

import asyncio
import random
import tempfile
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from sqlalchemy import select

from stockade.lab.checkers.indexed_history import IndexedHistory
from stockade.lab.checkers.system import events
from stockade.lab.history.final_state import Delivery, FinalState, OutboxLine
from stockade.lab.history.history import History
from stockade.service.relay import CONFIRMED, HELD, Receipt, Relay
from stockade.store.outbox import Outbox, OutboxEvent
from tests.devservers.pool import memory_folder
from tests.lab.mutants.mutant import SEEDS, Found
from tests.relay.conftest import Clock, buy, relay_over
from tests.store.conftest import opened, stocked

SKUS = ("a", "b")
ORDERS = 12
ROUNDS = 300  # at most; all events are there after a tenth of them
REFUSED, KILLED = 0.3, 0.2  # share of the events, each once; of the rounds
LONGEST_PAUSE_MS = 5_000


class Picky:
    """A sink that refuses some events once, and keeps the others in the order in which they arrive."""

    def __init__(self, rng):
        self.got = []
        self._rng, self._refused = rng, set()

    async def publish(self, some):
        """See `Sink.publish`."""
        receipts, held = [], set()
        for event in some:
            if event.key in held:
                receipts.append(HELD)
            elif event.id not in self._refused and self._rng.random() < REFUSED:
                self._refused.add(event.id)
                held.add(event.key)
                receipts.append(Receipt(False, "not now"))
            else:
                self.got.append(Delivery(event.event_id, event.key, event.id))
                receipts.append(CONFIRMED)
        return receipts

    async def close(self):
        """Nothing to close."""


@dataclass(frozen=True)
class RelayMutant:
    """One bug of a relay; attributes as of `Mutant`."""

    name: str
    summary: str
    mutate: Callable[[pytest.MonkeyPatch], None]
    rule: str = events.RULE

    def find(self) -> Found | None:
        """Relay outbox after outbox until the rule finds it; None after `SEEDS`."""
        with pytest.MonkeyPatch.context() as patch:
            self.mutate(patch)
            for seed in range(SEEDS):
                if found := violations_of(seed):
                    return Found(seed, (seed + 1) * ORDERS, found[self.rule])
        return None

    def without(self, seeds: int) -> dict[int, dict[str, str]]:
        """What the same seeds show without the bug: nothing."""
        return {seed: found for seed in range(seeds) if (found := violations_of(seed))}


def violations_of(seed: int) -> dict[str, str]:
    """The first violation of the rule after the events of one outbox were relayed."""
    with tempfile.TemporaryDirectory(dir=memory_folder()) as folder:
        final = asyncio.run(relayed(f"sqlite:///{folder}/outbox.sqlite", random.Random(seed)))
    history = History("relay", "", "sqlite", (), seed, final=final)
    return {each.rule: each.detail for each in reversed([*events.check(IndexedHistory(history))])}


async def relayed(url: str, rng: random.Random) -> FinalState:
    """Orders, and two relays in turn until no event waits; one that is killed has not recorded its last round."""
    clock, sink = Clock(), Picky(rng)
    async with opened(url) as database:
        watch = Outbox(database)
        await watch.open()
        await buy(await stocked(database, *SKUS, n=ORDERS), range(ORDERS), skus=SKUS)
        relays = [relay_over(database, sink, clock, batch=5, retry_ms=1_000) for _ in range(2)]
        for _ in range(ROUNDS):
            if not (await watch.lag()).waiting:
                break
            number = rng.randrange(2)
            if rng.random() < KILLED:
                relays[number] = relay_over(database, sink, clock, batch=5, retry_ms=1_000)
            clock.ms += rng.randrange(LONGEST_PAUSE_MS)
            await relays[number].once()
        table = database.tables.outbox
        rows = await database.read(lambda connection: connection.execute(select(table).order_by(table.c.id)).all())
    outbox = tuple(OutboxLine(f"{row.request_id}:{row.seq}", row.request_id, row.kind, row.key, row.id) for row in rows)
    return FinalState(outbox=outbox, deliveries=tuple(sink.got))


def refused_counts_as_sent(patch):
    """What the sink has refused is a line in the log, and nothing sends it again."""
    report_of = Relay._report_of
    patch.setattr(
        Relay, "_report_of", lambda self, leased, receipts: report_of(self, leased, [CONFIRMED] * len(receipts))
    )


def later_ones_overtake(patch):
    """An event that waits for another try does not keep later ones of its key back."""

    def due(self, connection, partition, limit, now_ms):
        column = self._events.c
        is_due = (self._new, column.part == partition, column.next_ms <= now_ms)
        query = select(*self._columns).where(*is_due).order_by(column.id).limit(limit)
        return tuple(OutboxEvent(*row) for row in connection.execute(query).all())

    patch.setattr(Outbox, "_due", due)


MUTANTS = (
    RelayMutant(
        "failed send that is only logged",
        "an event that the sink has refused counts as sent",
        refused_counts_as_sent,
    ),
    RelayMutant(
        "event that overtakes another one of its key",
        "an event that waits for another try does not keep later ones back",
        later_ones_overtake,
    ),
)
