"""The table `guards_in_use`: one row for each process that writes under a guard, kept alive by a heartbeat.

Some guards protect rows only from writers under the same strategy. So each process registers before its first command,
and does not start beside an incompatible process. Only the clock of the database counts leases.
Neighbours: `registration` keeps the row of one process; docs/adr/0014 says what is guaranteed. Source of the lease:
Gray and Cheriton, "Leases" (SOSP 1989).
"""

import os
import socket
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    Table,
    bindparam,
    delete,
    insert,
    literal_column,
    select,
    update,
)

from stockade.core import StockadeError
from stockade.store.engine.database import Database
from stockade.store.engine.dialect import Dialect

ADVISORY_LOCK = ("stockade:guards-in-use",)  # one registration or renewal at a time
MAX_PROCESS = 255
MAX_NAMED = 3  # processes in one message, besides the first


class Use(NamedTuple):
    """The strategy and the guard under which a process writes.

    Attributes:
        strategy: name of the strategy; several are separated by commas.
        guard: name of its guard.
        compatibility: processes with equal values may run at the same time.
        overselling: the process was started with `allow_overselling`; it may run beside others that were.
    """

    strategy: str
    guard: str
    compatibility: str
    overselling: bool = False

    def is_compatible_with(self, other: "Use") -> bool:
        """Whether both may run on one database at the same time."""
        return self.compatibility == other.compatibility or (self.overselling and other.overselling)


class GuardRefused(StockadeError):
    """An incompatible process is running; the message names both.

    Attributes:
        other: how that process writes.
    """

    code = "GUARD_REFUSED"

    def __init__(self, message: str, other: Use) -> None:
        super().__init__(message)
        self.other = other


def process_name(pid: int | None = None) -> str:
    """`host:pid`, by which an operator finds the process.

    Args:
        pid: of a process on this host; None: this one.
    """
    number = f":{os.getpid() if pid is None else pid}"
    return socket.gethostname()[: MAX_PROCESS - len(number)] + number


class GuardsInUse:
    """Registers, renews and removes rows. Each method is one transaction; an advisory lock serializes them.

    Args:
        database: has the rows that the guards protect. Use a separate connection, so that no heartbeat waits behind
            orders.
        lease_s: how long a row counts after its last renewal, in seconds.
        wait_s: the longest that one transaction may take, in seconds.
    """

    def __init__(self, database: Database, lease_s: float, wait_s: float) -> None:
        self._database, self._lease_s, self._wait_s = database, lease_s, wait_s
        self._table = database.tables.guards_in_use
        # SQLite has no advisory locks and needs none: it has one writer at a time
        self._advisory = () if database.dialect.name == "sqlite" else ADVISORY_LOCK
        self._now: ColumnElement[int] = literal_column(database.dialect.now_ms_sql)

    async def register(self, id_: str, use: Use, process: str) -> None:
        """Insert the row of this process unless a live process is incompatible; delete rows whose lease is over.

        A second call with the same id replaces the first row.

        Args:
            id_: of this registration, unique.
            use: how the process writes.
            process: `host:pid`, for messages.

        Raises:
            GuardRefused: a live process is incompatible; nothing was written.
            Busy, CommitUnconfirmed, TimeoutError: as `Database.transaction`.
        """

        def body(connection: Connection) -> None:
            now_ms = int(connection.execute(select(self._now)).scalar_one())
            rows = connection.execute(select(self._table).where(self._table.c.id != id_)).all()
            live = [row for row in rows if row.renewed_ms + row.lease_ms > now_ms]
            refuse_beside(use, live, now_ms)
            over = [row for row in rows if row not in live]
            if not all(use.is_compatible_with(_use(row)) for row in over):
                self._wait_for_writers(connection)
            # waits for transactions that have locked a row, see `is_registered`
            for deleted in (*sorted(row.id for row in over), id_):
                connection.execute(delete(self._table).where(self._table.c.id == deleted))
            times = {"started_ms": now_ms, "renewed_ms": now_ms, "lease_ms": int(self._lease_s * 1000)}
            row = {"id": id_, "process": process, **use._asdict(), "overselling": int(use.overselling), **times}
            connection.execute(insert(self._table), row)

        await self._database.write(body, timeout_s=self._wait_s, advisory=self._advisory)

    async def renew(self, id_: str, wait_s: float) -> bool:
        """Renew the lease. False if the row is missing: its lease was over, and another process deleted it.

        Args:
            id_: of the registration.
            wait_s: the longest that this may take, in seconds.

        Raises:
            Busy, CommitUnconfirmed, TimeoutError: as `Database.transaction`.
        """
        mine = update(self._table).where(self._table.c.id == id_).values(renewed_ms=self._now)
        return await self._database.write(
            lambda connection: connection.execute(mine).rowcount == 1, timeout_s=wait_s, advisory=self._advisory
        )

    async def remove(self, id_: str) -> None:
        """Delete the row.

        Raises:
            Busy, CommitUnconfirmed, TimeoutError: as `Database.transaction`.
        """
        mine = delete(self._table).where(self._table.c.id == id_)
        await self._database.write(
            lambda connection: connection.execute(mine), timeout_s=self._wait_s, advisory=self._advisory
        )

    def _wait_for_writers(self, connection: Connection) -> None:
        """Wait until every transaction that has begun to write has ended, so that none commits under the old strategy.

        Every command inserts into `requests`. SQLite has one writer at a time. MySQL and MariaDB grant such a lock only
        with further rights, so there each transaction locks the row of its own process (`is_registered`).
        """
        if self._database.dialect.name == "postgres":
            requests = connection.dialect.identifier_preparer.format_table(self._database.tables.requests)
            connection.exec_driver_sql(f"LOCK TABLE {requests} IN SHARE MODE")


def is_registered(connection: Connection, dialect: Dialect, table: Table, id_: str) -> bool:
    """Whether the row exists; if it does, lock it until the end of this transaction.

    While the row is locked, no other process can delete it, so no incompatible process can start.
    """

    def build() -> Select[Any]:
        mine = table.c.id == bindparam("id_", type_=table.c.id.type)
        return select(table.c.id).where(mine).with_for_update(read=True)

    return bool(dialect.prepared(("registered", table.key), build).rows(connection, {"id_": id_}))


def _use(row: Row[Any]) -> Use:
    return Use(row.strategy, row.guard, row.compatibility, bool(row.overselling))


def refuse_beside(use: Use, live: Sequence[Row[Any]], now_ms: int) -> None:
    """Refuse to write beside incompatible processes.

    Raises:
        GuardRefused: the message names the incompatible process, and how to stop it.
    """
    in_the_way = [row for row in live if not use.is_compatible_with(_use(row))]
    if not in_the_way:
        return
    first, *others = sorted(in_the_way, key=lambda each: (each.started_ms, each.id))
    since = datetime.fromtimestamp(first.started_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    processes = sorted({row.process for row in others} - {first.process})  # one service is one
    host, _, pid = first.process.rpartition(":")
    left_s = max(0, *(-(-(row.renewed_ms + row.lease_ms - now_ms) // 1000) for row in in_the_way))
    raise GuardRefused(
        f"the strategy {use.strategy} (guard {use.guard}) is not right beside {first.strategy} (guard {first.guard}), "
        f"which process {first.process} has used on this database since {since}{_also(processes)}; stop that process "
        f"first (kill {pid} on {host}). If it was killed, wait {left_s} s: its registration then ends",
        _use(first),
    )


def _also(processes: Sequence[str]) -> str:
    """Further processes to stop, the first few by name."""
    more = f" and {len(processes) - MAX_NAMED} more" if len(processes) > MAX_NAMED else ""
    return f", and so have {', '.join(processes[:MAX_NAMED])}{more}" if processes else ""
