"""Two transactions, two rows, opposite order: the smallest deadlock, step by step.

Both have their first row before either asks for its second. So the deadlock is certain, and nothing sleeps.
Neighbours: `wait_graph.py` reads who waits while both do, `experiments.py` plays duels with and without the detector.
"""

import asyncio
import time
from dataclasses import dataclass

from stockade.drivers.failures import Failure, classify
from stockade.lab.deadlock.rows import Rows
from stockade.lab.deadlock.session import Session, end, open_sessions
from stockade.lab.deadlock.wait_graph import Observer, WaitGraph

COMMITTED, CONFLICT = "committed", "conflict"


@dataclass(frozen=True, slots=True)
class Side:
    """How one of the two ended.

    Attributes:
        outcome: `committed`, or the kind of failure after which it was rolled back: `deadlock`, `timeout`, or
            `conflict` where a version had changed.
        waited_s: for its second row, in seconds.
    """

    outcome: str
    waited_s: float


@dataclass(frozen=True, slots=True)
class Duel:
    """How both ended, and what the database said while they waited."""

    sides: tuple[Side, Side]
    graph: WaitGraph | None

    @property
    def failed(self) -> int:
        """How many of the two were rolled back."""
        return sum(side.outcome != COMMITTED for side in self.sides)


@dataclass(frozen=True, slots=True)
class Rules:
    """How a duel is played.

    Attributes:
        lock_wait_s: the time-out of a wait for a row, in seconds.
        detector_s: PostgreSQL: after which wait it looks for a deadlock; None: as the server is configured.
        optimistic: nothing is locked beforehand; each row is written if its version is the one read.
        sorted: both take the rows in one order.
        staggered: the second side asks for its second row when the first is seen to wait.
        watched: whether the graph is read while both wait. InnoDB's detector leaves no time for it.
    """

    lock_wait_s: float = 5.0
    detector_s: float | None = None
    optimistic: bool = False
    sorted: bool = False
    staggered: bool = False
    watched: bool = True


@dataclass(frozen=True, slots=True)
class _Take:
    """How a row is taken: locked, or written if it has the version that was read."""

    rows: Rows
    versions: dict[int, int] | None

    def sql(self, id_: int) -> str:
        return self.rows.lock(id_) if self.versions is None else self.rows.change(id_, self.versions[id_])


async def _versions(session: Session, rows: Rows, ids: tuple[int, int]) -> dict[int, int]:
    return {int(id_): int(version) for id_, version in await session.rows(rows.read(ids))}


async def play(url: str, rows: Rows, observer: Observer, pair: tuple[int, int], rules: Rules) -> Duel:
    """One duel over two rows.

    Args:
        url: of the database.
        rows: the table.
        observer: asks the database.
        pair: ids of the two rows.
        rules: how it is played.

    Raises:
        LabError: the waits that must come did not, or a setting is refused.
    """
    first, second = pair
    async with open_sessions(url, 2, lock_wait_s=rules.lock_wait_s, detector_s=rules.detector_s) as (a, b):
        names = {a.number: f"A holds row {first}", b.number: f"B holds row {second}"}
        orders = [(first, second), (first, second) if rules.sorted else (second, first)]
        take = _Take(rows, await _versions(a, rows, pair) if rules.optimistic else None)
        await a.run("BEGIN")
        await b.run("BEGIN")
        await a.run(take.sql(orders[0][0]))
        if rules.sorted:  # B cannot have a row before A has ended: it stands at the same first one
            return await _in_one_order(take, (a, b), observer, orders)
        await b.run(take.sql(orders[1][0]))
        return await _opposite(take, (a, b), observer, names, wanted=(second, first), rules=rules)


async def _opposite(
    take: _Take,
    both: tuple[Session, Session],
    observer: Observer,
    names: dict[int, str],
    *,
    wanted: tuple[int, int],
    rules: Rules,
) -> Duel:
    database = take.rows.database
    tasks = [asyncio.create_task(_second_row(both[0], take, wanted[0]))]
    try:
        if rules.staggered:
            await observer.await_waits(names, 1)
        tasks.append(asyncio.create_task(_second_row(both[1], take, wanted[1])))
        graph = await observer.await_waits(names, 2) if rules.watched else None
        one, other = await asyncio.gather(*tasks)
    finally:
        await end(tasks)
    if graph is None and database != "postgres" and "deadlock" in (one.outcome, other.outcome):
        graph = await observer.latest_deadlock(names)
    return Duel((one, other), graph)


async def _in_one_order(
    take: _Take, both: tuple[Session, Session], observer: Observer, orders: list[tuple[int, int]]
) -> Duel:
    """Sorted: B waits at the first row with nothing held, until A is done."""
    a, b = both
    names = {a.number: f"A holds row {orders[0][0]}", b.number: "B holds nothing"}

    async def whole() -> Side:
        start = time.monotonic()
        if await b.run(take.sql(orders[1][0])) == 0:
            await b.run("ROLLBACK")
            return Side(CONFLICT, time.monotonic() - start)
        return Side((await _second_row(b, take, orders[1][1])).outcome, time.monotonic() - start)

    other = asyncio.create_task(whole())
    try:
        graph = await observer.await_waits(names, 1)
        one = await _second_row(a, take, orders[0][1])
        return Duel((one, await other), graph)
    finally:
        await end([other])


async def _second_row(session: Session, take: _Take, id_: int) -> Side:
    """Lock the second row, change it and commit; rolled back at once if it does not come."""
    start = time.monotonic()
    try:
        taken = await session.run(take.sql(id_))
        waited_s = time.monotonic() - start
        if taken == 0:
            await session.run("ROLLBACK")
            return Side(CONFLICT, waited_s)
        if take.versions is None:
            await session.run(take.rows.change(id_))
        await session.run("COMMIT")
    except Exception as error:
        failure = classify(error)
        if failure not in (Failure.DEADLOCK, Failure.TIMEOUT):
            raise
        waited_s = time.monotonic() - start
        await session.run("ROLLBACK")
        return Side(failure.value, waited_s)
    return Side(COMMITTED, waited_s)
