"""Many workers with random baskets under one arm: throughput, victims, repeated transactions, wasted statements.

The arms of a run take turns, so that all are measured on the same machine in the same minutes. Neighbour: `arms.py`.
"""

import asyncio
import random
import secrets
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from stockade.core import JsonValue
from stockade.drivers.failures import Failure, classify
from stockade.lab.deadlock.all_or_nothing import AllOrNothing
from stockade.lab.deadlock.arms import DEADLOCKS, NEVER_S, TIMEOUTS, Arm, Hand, NotGranted
from stockade.lab.deadlock.crossing import read_by_index
from stockade.lab.deadlock.finding import Finding
from stockade.lab.deadlock.rows import Rows
from stockade.lab.deadlock.session import open_sessions

PAUSE_S = 0.01  # longest pause before a transaction is tried again; half on average
_ENDS = (Failure.DEADLOCK, Failure.TIMEOUT, Failure.CONFLICT, Failure.OTHER)


@dataclass(frozen=True, slots=True)
class Load:
    """How much is sent.

    Attributes:
        workers: transactions at the same time.
        basket: rows of one transaction, drawn at random.
        seconds: of each turn.
        turns: how often each arm has its turn.
        seed: the same baskets for every arm.
    """

    workers: int = 8
    basket: int = 4
    seconds: float = 0.5
    turns: int = 3
    seed: int = 1


@dataclass(slots=True)
class Counts:
    """What an arm came to, over all its turns."""

    done: int = 0
    unfinished: int = 0
    failures: Counter[Failure] = field(default_factory=Counter)
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
            "retried": sum(self.failures.values()),
            "wasted_share": round(self.wasted / self.statements, 4) if self.statements else 0.0,
            "unfinished": self.unfinished,
            "seconds": round(self.seconds, 3),
        }


async def take_turns(
    url: str, rows: Rows, arms: Sequence[Arm], load: Load, redis: AllOrNothing | None
) -> dict[str, Counts]:
    """Play every arm, `load.turns` times in turn; by name.

    Raises:
        LabError: PostgreSQL does not let this user switch its detector off.
    """
    counted = {arm.name: Counts() for arm in arms}
    for turn in range(load.turns):
        for arm in arms:
            await _play(url, rows, arm, load, redis=redis, seed=load.seed + turn, counts=counted[arm.name])
    return counted


async def _play(
    url: str, rows: Rows, arm: Arm, load: Load, *, redis: AllOrNothing | None, seed: int, counts: Counts
) -> None:
    detector_s = None if arm.detector or rows.database != "postgres" else NEVER_S
    opened = open_sessions(url, load.workers, lock_wait_s=arm.lock_wait_s, detector_s=detector_s)
    async with opened as sessions:
        await read_by_index(sessions, rows.database)
        start = time.monotonic()
        await asyncio.gather(
            *(
                _work(
                    arm,
                    Hand(session, rows, secrets.token_hex(8), redis, downwards=number % 2 == 1),
                    load,
                    random.Random(seed * 1000 + number),
                    counts=counts,
                    end=start + load.seconds,
                )
                for number, session in enumerate(sessions)
            )
        )
        counts.seconds += time.monotonic() - start


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
        counts.wasted += hand.statements
        return False
    finally:
        counts.statements += hand.statements
    return True


def judge(arm: Arm, counts: Counts) -> Finding:
    """Whether an arm did what it must."""
    deadlocks, timeouts = counts.failures[Failure.DEADLOCK], counts.failures[Failure.TIMEOUT]
    nowait = "NOWAIT" in arm.name  # its refusals arrive as time-outs
    if arm.expected == DEADLOCKS:
        held = deadlocks > 0
    elif arm.expected == TIMEOUTS:
        held = deadlocks == 0 and timeouts > 0
    else:
        held = deadlocks == 0 and (nowait or timeouts == 0) and counts.done > 0
    said = f"{deadlocks} deadlocks, {timeouts} {'refused at once' if nowait else 'time-outs'}"
    return Finding("load", arm.name, arm.removed, arm.expected, said, held, counts.figures())
