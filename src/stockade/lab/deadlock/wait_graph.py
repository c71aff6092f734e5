"""Who waits for whom, as the database itself says it, and a drawing of it.

PostgreSQL: pg_blocking_pids and pg_locks. MariaDB: information_schema.INNODB_LOCK_WAITS, INNODB_LOCKS and INNODB_TRX.
MySQL 8: sys.innodb_lock_waits. InnoDB ends a deadlock in the moment in which it arises; what it found stands in the
InnoDB monitor. Neighbours: `duel.py` asks while both wait.
"""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from stockade.core import JsonValue
from stockade.lab.deadlock.session import Session, open_session
from stockade.lab.errors import LabError

LOOK_AGAIN_S = {"postgres": 0.02, "mariadb": 0.15, "mysql": 0.15}
SOURCES = {
    "postgres": "pg_blocking_pids, pg_locks",
    "mariadb": "INNODB_LOCK_WAITS, INNODB_TRX",
    "mysql": "sys.innodb_lock_waits",
}
_POSTGRES = """
SELECT w.pid, unnest(pg_blocking_pids(w.pid)),
  coalesce((SELECT string_agg(l.locktype || ' ' || l.mode, ', ') FROM pg_locks l WHERE l.pid = w.pid AND NOT l.granted),
    '?')
FROM pg_stat_activity w WHERE w.pid <> pg_backend_pid() AND w.datname = current_database()
"""
_MARIADB = """
SELECT r.trx_mysql_thread_id, b.trx_mysql_thread_id, concat(l.lock_index, ' record ', coalesce(l.lock_data, '?'),
  ' lock mode ', l.lock_mode)
FROM information_schema.INNODB_LOCK_WAITS w
JOIN information_schema.INNODB_TRX r ON r.trx_id = w.requesting_trx_id
JOIN information_schema.INNODB_TRX b ON b.trx_id = w.blocking_trx_id
JOIN information_schema.INNODB_LOCKS l ON l.lock_id = w.requested_lock_id
"""
_MYSQL = """
SELECT waiting_pid, blocking_pid, concat(locked_index, ' record lock mode ', waiting_lock_mode)
FROM sys.innodb_lock_waits
"""
QUERIES = {"postgres": _POSTGRES, "mariadb": _MARIADB, "mysql": _MYSQL}
_MONITOR = re.compile(r"LATEST DETECTED DEADLOCK(.*?)^TRANSACTIONS$", re.DOTALL | re.MULTILINE)
_THREAD = re.compile(r"thread id (\d+),")


@dataclass(frozen=True, slots=True)
class Wait:
    """One edge: a session waits for another one.

    Attributes:
        waiter: the server's number of the session that waits.
        holder: of the one it waits for.
        lock: what it waits for, in the database's words.
    """

    waiter: int
    holder: int
    lock: str


@dataclass(frozen=True, slots=True)
class WaitGraph:
    """What the database said at one moment.

    Attributes:
        source: where it says it.
        waits: the edges.
        names: what the bench calls each session.
    """

    source: str
    waits: tuple[Wait, ...]
    names: dict[int, str]

    @property
    def circular(self) -> bool:
        """Whether a session waits for itself through others. Every session waits for one other at most here."""
        following = {wait.waiter: wait.holder for wait in self.waits}
        for start in following:
            at = start
            for _ in following:
                at = following.get(at, 0)
                if at == start:
                    return True
        return False

    def draw(self) -> str:
        """The graph as lines of text: an arrow for each wait; the last line says whether it closes."""
        if not self.waits:
            return f"no session waits ({self.source})"
        boxes = [(self._name(wait.waiter), wait.lock, self._name(wait.holder)) for wait in self.waits]
        left, middle = max(len(box[0]) for box in boxes), max(len(box[1]) for box in boxes)
        lines = [f"[{a:<{left}}] --waits for: {lock:-<{middle}}--> [{b}]" for a, lock, b in boxes]
        closed = "the arrows close to a circle: a deadlock" if self.circular else "no circle"
        return "\n".join([*lines, f"{closed} ({self.source})"])

    def as_json(self) -> dict[str, JsonValue]:
        """For the document."""
        waits = [{"waiter": self._name(w.waiter), "holder": self._name(w.holder), "lock": w.lock} for w in self.waits]
        return {"source": self.source, "circular": self.circular, "waits": waits, "drawing": self.draw()}

    def _name(self, number: int) -> str:
        return f"{self.names[number]}, session {number}" if number in self.names else f"session {number}"


class Observer:
    """A session that asks the database, for all experiments that want to know.

    InnoDB makes its tables anew only when nobody has read them for 0.1 s (MariaDB, storage/innobase/trx/trx0i_s.cc). So
    all share one look at a time, and looks have a pause between them.

    Args:
        session: its connection.
        database: its kind.
    """

    def __init__(self, session: Session, database: str) -> None:
        self.session = session
        self.database = database
        self._turn = asyncio.Lock()
        self._looked_at = 0.0
        self._waits: tuple[Wait, ...] = ()

    async def graph(self, names: dict[int, str]) -> WaitGraph:
        """The waits of these sessions now."""
        asked = time.monotonic()
        async with self._turn:
            if self._looked_at < asked:
                await asyncio.sleep(max(0.0, self._looked_at + LOOK_AGAIN_S[self.database] - asked))
                self._looked_at = time.monotonic()
                found = {
                    Wait(int(a), int(b), str(lock)) for a, b, lock in await self.session.rows(QUERIES[self.database])
                }
                self._waits = tuple(sorted(found, key=lambda wait: (wait.waiter, wait.holder)))
            waits = tuple(wait for wait in self._waits if wait.waiter in names)
        return WaitGraph(SOURCES[self.database], waits, names)

    async def await_waits(self, names: dict[int, str], count: int, limit_s: float = 5.0) -> WaitGraph:
        """Look again and again until so many of these sessions wait.

        Raises:
            LabError: not within the limit, in seconds.
        """
        end = time.monotonic() + limit_s
        while time.monotonic() < end:
            graph = await self.graph(names)
            if len({wait.waiter for wait in graph.waits}) >= count:
                return graph
        raise LabError(f"{count} sessions should wait, and the database saw {len(graph.waits)} within {limit_s:g} s")

    async def latest_deadlock(self, names: dict[int, str]) -> WaitGraph:
        """What InnoDB's monitor says of the deadlock that it ended last: transaction 1 waited for 2, and 2 for 1.

        Where another deadlock came later, the graph has no waits.
        """
        async with self._turn:
            ((*_, text),) = await self.session.rows("SHOW ENGINE INNODB STATUS")
        found = _MONITOR.search(str(text))
        threads = list(dict.fromkeys(map(int, _THREAD.findall(found[1])))) if found else []
        waits = _pairs(threads) if set(threads) <= set(names) else ()
        return WaitGraph("InnoDB monitor, latest detected deadlock", waits, names)


@asynccontextmanager
async def open_observer(url: str, database: str) -> AsyncIterator[Observer]:
    """Connect, and disconnect at the end."""
    session = await open_session(url)
    try:
        yield Observer(session, database)
    finally:
        await session.close()


def _pairs(threads: Sequence[int]) -> tuple[Wait, ...]:
    if len(threads) != 2:
        return ()
    return tuple(Wait(a, b, "record lock") for a, b in (tuple(threads), tuple(reversed(threads))))
