"""One statement that locks several rows, sent by two transactions: it locks row by row, in the order of its plan.

A third session holds the row in the middle, so that each statement has its first rows and waits; then it lets go. The
one statement finds the rows by the key, the other by an index in the opposite direction, as two queries of one program
do. ("InnoDB acquires locks one by one as it encounters index records", MySQL 8 manual, 17.7.1.) Neighbour: `duel.py`.
"""

import asyncio
import time
from dataclasses import dataclass

from stockade.drivers.failures import Failure, classify
from stockade.lab.deadlock.rows import Rows
from stockade.lab.deadlock.session import Session, end, open_sessions
from stockade.lab.deadlock.wait_graph import Observer

IDS = (1, 2, 3)
# on a large table the planner reads an index; on the small one of the bench it has to be told
BY_INDEX = ("SET enable_seqscan = off", "SET enable_bitmapscan = off")


@dataclass(frozen=True, slots=True)
class Statement:
    """How both write their statement.

    Attributes:
        ordered: with ORDER BY the key.
        primary: MariaDB and MySQL: the plan must read the primary key.
    """

    ordered: bool
    primary: bool


async def cross(url: str, rows: Rows, observer: Observer, statement: Statement) -> tuple[int, float]:
    """How many of the two were ended as deadlock victims, and how long both took, in seconds."""
    async with open_sessions(url, 3) as opened:
        holder, up, down = opened
        await read_by_index(opened, rows.database)
        await holder.run("BEGIN")
        await holder.run(rows.lock(IDS[1]))
        names = {up.number: "by key", down.number: "by the other index", holder.number: "holder"}
        tasks = [
            asyncio.create_task(_lock_all(session, rows, statement, downwards=session is down))
            for session in (up, down)
        ]
        try:
            await observer.await_waits(names, 2)
            start = time.monotonic()
            await holder.run("ROLLBACK")
            victims = sum(await asyncio.gather(*tasks))
        finally:
            await end(tasks)
        return victims, time.monotonic() - start


async def read_by_index(sessions: list[Session], database: str) -> None:
    """Let PostgreSQL plan as on a large table."""
    if database == "postgres":
        for session in sessions:
            for setting in BY_INDEX:
                await session.run(setting)


async def _lock_all(session: Session, rows: Rows, statement: Statement, *, downwards: bool) -> bool:
    """Whether it was the victim."""
    sql = rows.lock_all(IDS, downwards=downwards, ordered=statement.ordered, primary=statement.primary)
    await session.run("BEGIN")
    try:
        await session.run(sql)
    except Exception as error:
        if classify(error) is not Failure.DEADLOCK:
            raise
        await session.run("ROLLBACK")
        return True
    await session.run("COMMIT")
    return False
