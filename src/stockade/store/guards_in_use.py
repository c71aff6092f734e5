"""The table `guards_in_use`: one row for each process that writes under a guard, kept alive by a heartbeat.

A guard that does not compose protects rows only from writers under the same control. Each process registers before its
first command, and is refused beside a process that it would not be right beside. Leases are counted by the clock of
the database alone. Neighbours: `registration` holds one process's row; docs/adr/0014 says what is promised. Source of
the lease: Gray and Cheriton, "Leases" (SOSP 1989).
"""

import os
import socket
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import ColumnElement, Connection, Row, Select, bindparam, delete, insert, literal_column, select, update

from stockade.core import StockadeError
from stockade.store.engine.database import Database
from stockade.store.engine.dialect import Dialect
from stockade.store.schema.tables import guards_in_use, requests

T = TypeVar("T")

TURN = ("stockade:guards-in-use",)  # advisory lock: registrations and renewals take turns
MAX_PROCESS = 255
MAX_NAMED = 3  # processes in one message, besides the first


class Use(NamedTuple):
    """What a process writes under.

    Attributes:
        strategy: name of the strategy; several are separated by commas.
        guard: name of its guard.
        compatibility: processes with equal values may stand together.
        overselling: the process was allowed to sell units more than once; it may stand beside others that were.
    """

    strategy: str
    guard: str
    compatibility: str
    overselling: bool = False

    def stands_beside(self, other: "Use") -> bool:
        """Whether both are right, or both were allowed not to be, on one database."""
        return self.compatibility == other.compatibility or (self.overselling and other.overselling)


class GuardRefused(StockadeError):
    """Another process uses a guard beside which this one would not be right; the message names both.

    Attributes:
        other: what that process writes under.
    """

    code = "GUARD_REFUSED"

    def __init__(self, message: str, other: Use) -> None:
        super().__init__(message)
        self.other = other


def process_name(pid: int | None = None) -> str:
    """`host:pid` of the process that an operator stops.

    Args:
        pid: of a process on this host; None: of this one.
    """
    number = f":{os.getpid() if pid is None else pid}"
    return socket.gethostname()[: MAX_PROCESS - len(number)] + number


class GuardsInUse:
    """Registers, renews and removes rows. Every method is one transaction, and they take turns.

    Args:
        database: whose rows the guards protect. A connection of its own keeps a heartbeat from waiting behind orders.
        lease_s: how long a row counts after its last renewal, in seconds.
        wait_s: the longest that one transaction may take, in seconds.
    """

    def __init__(self, database: Database, lease_s: float, wait_s: float) -> None:
        self._database, self._lease_s, self._wait_s = database, lease_s, wait_s
        self._now: ColumnElement[int] = literal_column(database.dialect.now_ms)

    async def register(self, id_: str, use: Use, process: str) -> None:
        """Write this process's row, unless a live one forbids it; rows whose lease is over are removed.

        A second call with the same id replaces the first.

        Args:
            id_: of this registration, unique.
            use: what the process writes under.
            process: `host:pid`, for messages.

        Raises:
            GuardRefused: a live process is in the way; nothing was written.
            Busy, CommitLost, TimeoutError: as `Database.transaction`.
        """

        def body(connection: Connection) -> None:
            now_ms = int(connection.execute(select(self._now)).scalar_one())
            rows = connection.execute(select(guards_in_use).where(guards_in_use.c.id != id_)).all()
            live = [row for row in rows if row.renewed_ms + row.lease_ms > now_ms]
            refuse_beside(use, live, now_ms)
            over = [row for row in rows if row not in live]
            if not all(use.stands_beside(_use(row)) for row in over):
                self._wait_for_writers(connection)
            for gone in (
                *sorted(row.id for row in over),
                id_,
            ):  # waits where a transaction holds it, see `is_registered`
                connection.execute(delete(guards_in_use).where(guards_in_use.c.id == gone))
            times = {"started_ms": now_ms, "renewed_ms": now_ms, "lease_ms": int(self._lease_s * 1000)}
            row = {"id": id_, "process": process, **use._asdict(), "overselling": int(use.overselling), **times}
            connection.execute(insert(guards_in_use), row)

        await self._transaction(body)

    async def renew(self, id_: str, wait_s: float) -> bool:
        """Start the lease anew; False if the row is gone: its lease was over, and another process removed it.

        Args:
            id_: of the registration.
            wait_s: the longest that it may take, in seconds.

        Raises:
            Busy, CommitLost, TimeoutError: as `Database.transaction`.
        """
        mine = update(guards_in_use).where(guards_in_use.c.id == id_).values(renewed_ms=self._now)
        return await self._transaction(lambda connection: connection.execute(mine).rowcount == 1, wait_s)

    async def remove(self, id_: str) -> None:
        """Remove the row.

        Raises:
            Busy, CommitLost, TimeoutError: as `Database.transaction`.
        """
        mine = delete(guards_in_use).where(guards_in_use.c.id == id_)
        await self._transaction(lambda connection: connection.execute(mine))

    def _wait_for_writers(self, connection: Connection) -> None:
        """Wait until every transaction has ended that has begun to write, so that none commits under the old control.

        Every command inserts into `requests`. On SQLite writers take turns anyway; MySQL and MariaDB have no such lock
        without further rights, so there transactions hold their process's own row instead.
        """
        if self._database.dialect.name == "postgres":
            connection.exec_driver_sql(f"LOCK TABLE {requests.name} IN SHARE MODE")

    async def _transaction(self, body: Callable[[Connection], T], wait_s: float | None = None) -> T:
        # SQLite's writers take turns as they are; advisory locks are what it does not have
        turn = () if self._database.dialect.name == "sqlite" else TURN
        return await self._database.transaction(
            body, deadline=time.monotonic() + (wait_s or self._wait_s), advisory=turn
        )


def is_registered(connection: Connection, dialect: Dialect, id_: str) -> bool:
    """Whether the row is there, and if it is, hold it until the end of this transaction.

    While it is held no other process can remove it, and so none can start that would not be right beside this one.
    """

    def build() -> Select[Any]:
        mine = guards_in_use.c.id == bindparam("id_", type_=guards_in_use.c.id.type)
        return select(guards_in_use.c.id).where(mine).with_for_update(read=True)

    return bool(dialect.prepared("registered", build).rows(connection, {"id_": id_}))


def _use(row: Row[Any]) -> Use:
    return Use(row.strategy, row.guard, row.compatibility, bool(row.overselling))


def refuse_beside(use: Use, live: Sequence[Row[Any]], now_ms: int) -> None:
    """Refuse a use beside the processes that are there.

    Raises:
        GuardRefused: it would not be right beside one of them; the message says which, and how to stop them.
    """
    in_the_way = [row for row in live if not use.stands_beside(_use(row))]
    if not in_the_way:
        return
    first, *others = sorted(in_the_way, key=lambda each: (each.started_ms, each.id))
    since = datetime.fromtimestamp(first.started_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    processes = sorted({row.process for row in others} - {first.process})  # the workers of one service are one
    host, _, pid = first.process.rpartition(":")
    left_s = max(0, *(-(-(row.renewed_ms + row.lease_ms - now_ms) // 1000) for row in in_the_way))
    raise GuardRefused(
        f"the strategy {use.strategy} (guard {use.guard}) is not right beside {first.strategy} (guard {first.guard}), "
        f"which process {first.process} has used on this database since {since}{_also(processes)}; stop that process "
        f"first (kill {pid} on {host}). If it was killed, wait {left_s} s: its registration then ends",
        _use(first),
    )


def _also(processes: Sequence[str]) -> str:
    """Further processes that have to be stopped as well, the first few by name."""
    more = f" and {len(processes) - MAX_NAMED} more" if len(processes) > MAX_NAMED else ""
    return f", and so have {', '.join(processes[:MAX_NAMED])}{more}" if processes else ""
