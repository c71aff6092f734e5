"""Many workers with random baskets under one arm: throughput, victims, repeated transactions, wasted statements.

All ways take turns, so that they are measured on the same machine in the same minutes. Neighbours: `arms.py` has those
in bare SQL, `own_store.py` those through the store.
"""

import asyncio
import random
import secrets
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from stockade.core import JsonValue
from stockade.drivers.failures import Failure, classify
from stockade.lab.deadlock.all_or_nothing import AllOrNothing
from stockade.lab.deadlock.arms import DEADLOCKS, NEVER_S, TIMEOUTS, Arm, Hand, NotGranted
from stockade.lab.deadlock.crossing import read_by_index
from stockade.lab.deadlock.finding import Finding
from stockade.lab.deadlock.rows import Rows
from stockade.lab.deadlock.session import all_of, open_sessions

PAUSE_S = 0.01  # longest pause before a transaction is tried again; half on average
_ENDS = (Failure.DEADLOCK, Failure.TIMEOUT, Failure.CONFLICT, Failure.OTHER)


@dataclass(frozen=True, slots=True)
class Load:
    """How much is sent.

    Attributes:
        workers: transactions at the same time.
        basket: rows of one transaction, drawn at random.
        seconds: of each turn.
        turns: how often each way has its turn.
        seed: the same baskets for every way.
    """

    workers: int = 8
    basket: int = 4
    seconds: float = 0.5
    turns: int = 3
    seed: int = 1


@dataclass(slots=True)
class Counts:
    """What a way came to, over all its turns.

    Attributes:
        done: baskets.
        unfinished: baskets that were given up: when their turn was over, or by the store at its deadline.
        failures: ends of transactions that were not committed, where their kind is known.
        retried: transactions that were not committed.
        statements: sent; transactions, where the statements are those of the store.
        wasted: of these, in transactions that were not committed.
        seconds: all turns together.
    """

    done: int = 0
    unfinished: int = 0
    failures: Counter[Failure] = field(default_factory=Counter)
    retried: int = 0
    statements: int = 0
    wasted: int = 0
    seconds: float = 0.0

    def figures(self) -> dict[str, JsonValue]:
        """For the document and the table."""
        return {
            "baskets": self.done,
            "baskets_s": round(self.done / self.seconds, 1) if self.seconds else 0.0,
            "deadlocks": self.failures[Failure.DEADLOCK],
            "timeouts": self.failures[Failure.TIMEOUT],
            "conflicts": self.failures[Failure.CONFLICT],
            "refused": self.failures[Failure.OTHER],
            "retried": self.retried,
            "wasted_share": round(self.wasted / self.statements, 4) if self.statements else 0.0,
            "unfinished": self.unfinished,
            "seconds": round(self.seconds, 3),
        }


Turn: TypeAlias = Callable[[int, Counts], Awaitable[None]]  # of one way, with a seed; adds to what it came to


async def take_turns(ways: Mapping[str, Turn], load: Load) -> dict[str, Counts]:
    """Play every way, `load.turns` times in turn; by name.

    Raises:
        LabError: PostgreSQL does not let this user switch its detector off.
    """
    counted = {name: Counts() for name in ways}
    for turn in range(load.turns):
        for name, play in ways.items():
            await play(load.seed + turn, counted[name])
    return counted


def turn_of(url: str, rows: Rows, arm: Arm, load: Load, redis: AllOrNothing | None = None) -> Turn:
    """The turn of an arm.

    Args:
        url: of the database.
        rows: the table.
        arm: a way in bare SQL.
        load: how much is sent.
        redis: for an arm that needs it.
    """
    detector_s = None if arm.detector or rows.database != "postgres" else NEVER_S

    async def play(seed: int, counts: Counts) -> None:
        opened = open_sessions(url, load.workers, lock_wait_s=arm.lock_wait_s, detector_s=detector_s)
        async with opened as sessions:
            await read_by_index(sessions, rows.database)
            hands = [
                Hand(session, rows, secrets.token_hex(8), redis, downwards=number % 2 == 1)
                for number, session in enumerate(sessions)
            ]
            start = time.monotonic()
            end = start + load.seconds
            await all_of(
                _work(arm, hand, load, random.Random(seed * 1000 + number), counts=counts, end=end)
                for number, hand in enumerate(hands)
            )
            counts.seconds += time.monotonic() - start

    return play


async def _work(arm: Arm, hand: Hand, load: Load, rng: random.Random, *, counts: Counts, end: float) -> None:
    """Baskets until the time is over; one that was not done then counts as unfinished."""
    while time.monotonic() < end:
        hand.ids = tuple(rng.sample(range(1, hand.rows.count + 1), load.basket))
        while not await _attempt(arm, hand, counts):
            if time.monotonic() >= end:
                counts.unfinished += 1
                break
            await asyncio.sleep(rng.uniform(0, PAUSE_S))
        else:
            counts.done += 1


async def _attempt(arm: Arm, hand: Hand, counts: Counts) -> bool:
    """One transaction; whether it was committed."""
    hand.statements = 0
    try:
        await arm.play(hand)
    except Exception as error:
        failure = error.failure if isinstance(error, NotGranted) else classify(error)
        if failure not in _ENDS or (failure is Failure.OTHER and not isinstance(error, NotGranted)):
            raise
        await hand.session.run("ROLLBACK")
        counts.failures[failure] += 1
        counts.retried += 1
        counts.wasted += hand.statements
        return False
    finally:
        counts.statements += hand.statements
    return True


def judge(name: str, removed: str, expected: str, counts: Counts) -> Finding:
    """Whether a way did what it must; all are held to the same.

    Args:
        name: of the way.
        removed: see `Arm`.
        expected: see `Arm`.
        counts: what it came to.
    """
    deadlocks, timeouts = counts.failures[Failure.DEADLOCK], counts.failures[Failure.TIMEOUT]
    nowait = "NOWAIT" in name  # its refusals arrive as time-outs
    if expected == DEADLOCKS:
        held = deadlocks > 0
    elif expected == TIMEOUTS:
        held = deadlocks == 0 and timeouts > 0
    else:
        held = deadlocks == 0 and (nowait or timeouts == 0) and counts.done > 0
    said = f"{deadlocks} deadlocks, {timeouts} {'refused at once' if nowait else 'time-outs'}"
    return Finding("load", name, removed, expected, said, held, counts.figures())
