"""The ways to take several rows, each without one of the four conditions of a deadlock; and the ways that have all.

An arm plays one transaction over the rows of a basket. Neighbours: `load.py` sends many baskets, `rows.py` has the SQL.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from stockade.drivers.failures import Failure
from stockade.lab.deadlock.all_or_nothing import AllOrNothing
from stockade.lab.deadlock.rows import Rows
from stockade.lab.deadlock.session import Session

DEADLOCKS, NO_DEADLOCK, TIMEOUTS = "deadlocks", "no deadlock", "time-outs"
SHORT_WAIT_S = 0.2  # time-out of the arm without a detector; 1 s on MariaDB and MySQL, which count whole seconds
NEVER_S = 3600.0  # the detector looks for a deadlock after that long, so never


class NotGranted(Exception):
    """This attempt ends here: a row had changed, or a name was not free."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.value)
        self.failure = failure


@dataclass(slots=True)
class Hand:
    """One worker, and the basket that it takes now.

    Attributes:
        session: its connection.
        rows: the table.
        token: names its locks in Redis.
        redis: locks in Redis.
        downwards: whether its statements find rows by the second index.
        ids: of the rows in the basket, in the order of the customer.
        statements: sent in this attempt.
    """

    session: Session
    rows: Rows
    token: str
    redis: AllOrNothing | None
    downwards: bool
    ids: tuple[int, ...] = field(default=())
    statements: int = 0

    async def run(self, sql: str) -> int:
        """Send a statement and count it."""
        self.statements += 1
        return await self.session.run(sql)


Play = Callable[[Hand], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Arm:
    """A way to take the rows.

    Attributes:
        name: of it.
        removed: the condition of a deadlock that it takes away; empty: none, a negative control.
        play: one transaction, from BEGIN to COMMIT.
        expected: `deadlocks`, `no deadlock` or `time-outs`.
        lock_wait_s: time-out of a wait for a row, in seconds.
        detector: whether the database looks for deadlocks.
        needs_redis: whether it locks in Redis.
        databases: where it says something.
    """

    name: str
    removed: str
    play: Play
    expected: str = NO_DEADLOCK
    lock_wait_s: float = 5.0
    detector: bool = True
    needs_redis: bool = False
    databases: tuple[str, ...] = ("postgres", "mariadb", "mysql")


def _row_by_row(*, ordered: bool, nowait: bool = False) -> Play:
    async def play(hand: Hand) -> None:
        ids = sorted(hand.ids) if ordered else hand.ids
        await hand.run("BEGIN")
        for id_ in ids:
            await hand.run(hand.rows.lock(id_, nowait=nowait))
        await _change(hand, hand.ids)

    return play


def _in_one_statement(*, ordered: bool, primary: bool) -> Play:
    async def play(hand: Hand) -> None:
        await hand.run("BEGIN")
        await hand.run(hand.rows.lock_all(hand.ids, downwards=hand.downwards, ordered=ordered, primary=primary))
        await _change(hand, hand.ids)

    return play


def _optimistic(*, ordered: bool) -> Play:
    async def play(hand: Hand) -> None:
        hand.statements += 1
        read = await hand.session.rows(hand.rows.read(hand.ids))
        versions = {int(id_): int(version) for id_, version in read}
        await hand.run("BEGIN")
        for id_ in sorted(hand.ids) if ordered else hand.ids:
            if await hand.run(hand.rows.change(id_, versions[id_])) == 0:
                raise NotGranted(Failure.CONFLICT)
        await hand.run("COMMIT")

    return play


async def _all_or_nothing(hand: Hand) -> None:
    assert hand.redis is not None
    hand.statements += 1
    if not await hand.redis.take(hand.ids, hand.token):
        raise NotGranted(Failure.OTHER)
    try:
        await _row_by_row(ordered=False)(hand)
    finally:
        await hand.redis.give_back(hand.ids, hand.token)


async def _change(hand: Hand, ids: tuple[int, ...]) -> None:
    for id_ in ids:
        await hand.run(hand.rows.change(id_))
    await hand.run("COMMIT")


MUTUAL, HOLD, PREEMPT, CIRCLE = "mutual exclusion", "hold and wait", "no preemption", "circular wait"
_INNODB = ("mariadb", "mysql")

ARMS = (
    Arm("row by row, as asked", "", _row_by_row(ordered=False), DEADLOCKS),
    Arm("row by row, sorted", CIRCLE, _row_by_row(ordered=True)),
    Arm("optimistic, writes as asked", f"{MUTUAL} (claimed)", _optimistic(ordered=False), DEADLOCKS),
    Arm("optimistic, writes sorted", f"{MUTUAL}, {CIRCLE}", _optimistic(ordered=True)),
    Arm("one statement, two indexes", f"{HOLD} (claimed)", _in_one_statement(ordered=False, primary=False), DEADLOCKS),
    Arm(
        "one statement, ORDER BY",
        CIRCLE,
        _in_one_statement(ordered=True, primary=False),
        databases=("postgres",),
    ),
    Arm(
        "one statement, ORDER BY, other index",
        f"{CIRCLE} (claimed)",
        _in_one_statement(ordered=True, primary=False),
        DEADLOCKS,
        databases=_INNODB,
    ),
    Arm(
        "one statement, ORDER BY, primary key",
        CIRCLE,
        _in_one_statement(ordered=True, primary=True),
        databases=_INNODB,
    ),
    Arm("all or nothing, Redis", HOLD, _all_or_nothing, needs_redis=True),
    Arm("row by row, NOWAIT", HOLD, _row_by_row(ordered=False, nowait=True)),
    Arm(
        "row by row, time-out only",
        PREEMPT,
        _row_by_row(ordered=False),
        TIMEOUTS,
        lock_wait_s=SHORT_WAIT_S,
        detector=False,
    ),
)
