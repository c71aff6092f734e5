"""One process's registration in `guards_in_use`: its store writes nothing without it (`transaction.steps.WritePermit`).

- A heartbeat renews the row.
- While the lease is valid, a command compares two numbers before its transaction and once more before its commit. When
  the lease may be over, the next command renews it first.
- Writes under the guard NONE compare nothing, so none of them may commit after an incompatible process has started. On
  PostgreSQL that process waits for open transactions (`GuardsInUse.register`); elsewhere each transaction locks the row
  until its commit (`is_registered`).

Neighbours: `guards_in_use` has the statements, `shop.bootstrap` opens one registration for each process.
"""

import asyncio
import logging
import math
import time
from collections.abc import Callable
from uuid import uuid4

from sqlalchemy import Connection

from stockade.core import Busy, NotSupported, StockadeError
from stockade.drivers.failures import Failure, classify, describe
from stockade.store.engine.backends import CommitUnconfirmed
from stockade.store.engine.database import Database
from stockade.store.engine.dialect import Dialect
from stockade.store.guards_in_use import GuardRefused, GuardsInUse, Use, is_registered, process_name

LEASE_S = 15.0
HEARTBEATS_PER_LEASE = 3
# The tries of one renewal, each with its share of the time between heartbeats: the connection may be dead, or the reply
# to a commit may be lost. The first share is small, so that a dead connection is replaced well before the lease is
# over.
TRY_SHARES = (0.2, 0.5, 1.0)
PAUSE_S = 0.5  # after a failed renewal; until then commands receive its error
REMOVE_WAIT_S = 2.0  # a stop waits no longer for an unavailable database: the lease ends by itself

TEMPORARY = (Failure.LOST, Failure.TIMEOUT, Failure.DEADLOCK, Failure.CONFLICT)

log = logging.getLogger(__name__)


def boot_time() -> float:
    """A monotonic clock in seconds that also counts while the machine is suspended, where the system has one."""
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if clock is None else time.clock_gettime(clock)


class Registration:
    """This process's row. Open it before the first command, close it after the last.

    Args:
        database: a connection of its own to the database that the process writes to.
        lease_s: how long the registration counts after the last heartbeat, in seconds.
        clock: monotonic, in seconds.
        process: `host:pid` of the process that an operator would stop; by default this one.
    """

    def __init__(
        self,
        database: Database,
        lease_s: float = LEASE_S,
        clock: Callable[[], float] = boot_time,
        *,
        process: str | None = None,
    ) -> None:
        self._process = process or process_name()
        self._database, self._lease_s, self._clock = database, lease_s, clock
        self._interval_s = lease_s / HEARTBEATS_PER_LEASE
        self._guards = GuardsInUse(database, lease_s, self._interval_s)
        self._id = uuid4().hex
        self._use: Use | None = None
        self._valid_until_s = 0.0
        self._renewal: asyncio.Task[None] | None = None
        self._failure: StockadeError | None = None  # of the last renewal
        self._again_s = 0.0  # no renewal before this time
        self._heartbeat: asyncio.Task[None] | None = None
        self._unguarded = False

    @property
    def lapsed(self) -> bool:
        """Whether the lease may be over before a command that begins now has ended."""
        return self._clock() >= self._valid_until_s

    @property
    def refused(self) -> str:
        """Why this process may no longer write; empty while it may, as far as is known."""
        return str(self._failure) if isinstance(self._failure, GuardRefused) else ""

    async def open(self, use: Use, *, unguarded: bool) -> None:
        """Register, and start the heartbeat.

        Args:
            use: how this process writes.
            unguarded: the guard is NONE, so no transaction may commit after the lease.

        Raises:
            GuardRefused: an incompatible process is running.
            Busy: the database is unavailable, or did not grant the advisory lock in time.
            NotSupported: the database refuses it, e.g. because the table is missing or the user may not write.
        """
        self._use, self._unguarded = use, unguarded
        await self._renew()
        self._heartbeat = asyncio.create_task(self._send_heartbeats(), name="stockade-guard-heartbeat")

    async def close(self) -> None:
        """Stop the heartbeat and delete the row, so that any other process may start."""
        if self._use is None:  # it was never opened
            return
        running = [task for task in (self._heartbeat, self._renewal) if task is not None]
        for task in running:
            task.cancel()
        if running:
            await asyncio.wait(running)
        guards = GuardsInUse(self._database, self._lease_s, min(REMOVE_WAIT_S, self._lease_s))
        try:
            await guards.remove(self._id)
        except Exception as error:  # noqa: BLE001 - the row ends with its lease anyway
            # never registered: the caller reports why
            level = logging.WARNING if self._valid_until_s else logging.DEBUG
            log.log(level, "registration not removed, it ends with its lease of %s s: %r", self._lease_s, error)

    async def renew(self, deadline: float = math.inf) -> None:
        """Renew the lease now; concurrent calls share one renewal.

        Args:
            deadline: on the monotonic clock (`time.monotonic()`), in seconds; the renewal goes on for other callers.

        Raises:
            Busy: an incompatible process is running (NOT_READY), or there is no answer (DEPENDENCY_DOWN).
        """
        if self._renewal is None or self._renewal.done():
            if self._failure is not None and self._clock() < self._again_s:
                raise _busy(self._failure)
            self._renewal = asyncio.create_task(self._renew(), name="stockade-guard-renewal")
            self._renewal.add_done_callback(_retrieve)
        try:
            async with asyncio.timeout(None if deadline == math.inf else max(deadline - time.monotonic(), 0.0)):
                await asyncio.shield(self._renewal)
        except TimeoutError as error:
            raise Busy("the guard could not be registered again in time", "DEPENDENCY_DOWN") from error
        except StockadeError as error:
            raise _busy(error) from error

    async def confirm(self, deadline: float) -> None:
        """Renew the lease if it may be over.

        Args:
            deadline: on the monotonic clock, in seconds.

        Raises:
            Busy: as `renew`.
        """
        if self.lapsed:
            await self.renew(deadline)

    def lock_row(self, connection: Connection, dialect: Dialect) -> None:
        """Lock the row until the end of this transaction, where the guard and the database need it.

        Args:
            connection: in a transaction that is about to write.
            dialect: of its database.

        Raises:
            Busy: the row was deleted (NOT_READY); nothing may be written.
        """
        if self._unguarded and dialect.name != "postgres" and not self._is_registered(connection, dialect):
            self._valid_until_s = 0.0
        self.check_lease()

    def _is_registered(self, connection: Connection, dialect: Dialect) -> bool:
        return is_registered(connection, dialect, self._database.tables.guards_in_use, self._id)

    def check_lease(self) -> None:
        """Refuse to go on when the lease may be over.

        Raises:
            Busy: it may be (NOT_READY); nothing may be written.
        """
        if self.lapsed:
            raise Busy("the registration of this process's guard is over: another may be in use by now", "NOT_READY")

    async def _renew(self) -> None:
        """Renew the row, or insert it again if another process has deleted it.

        Raises:
            GuardRefused, Busy, NotSupported: as `open`.
        """
        began_s = self._clock()
        try:
            await self._renew_or_register()
        except StockadeError as error:
            if isinstance(error, GuardRefused) and not self.refused and self._valid_until_s:
                log.error("this process takes no more commands: %s", error)
            if isinstance(error, GuardRefused):
                self._valid_until_s = min(self._valid_until_s, began_s)
            self._failure, self._again_s = error, self._clock() + PAUSE_S
            raise
        # one interval less than the lease, so that a command that begins now has time to end
        self._failure, self._valid_until_s = None, began_s + self._lease_s - self._interval_s

    async def _renew_or_register(self) -> None:
        assert self._use is not None, "open it first"
        for left, share in zip(reversed(range(len(TRY_SHARES))), TRY_SHARES, strict=True):
            try:
                if not self._valid_until_s or not await self._guards.renew(self._id, share * self._interval_s):
                    await self._guards.register(self._id, self._use, self._process)
                return
            except Busy as error:  # the next try has a new connection
                if not left or not self._valid_until_s:
                    text = f"the guard cannot be registered: {error}"
                    if error.code == "LOCK_TIMEOUT" and isinstance(
                        error.__cause__, TimeoutError
                    ):  # nobody said what held it up
                        text += "; is a transaction of another process still open on this database?"
                    raise Busy(text, error.code, error.retry_after_s) from error
            except StockadeError:
                raise
            except Exception as error:
                failure = Failure.LOST if isinstance(error, CommitUnconfirmed | TimeoutError) else classify(error)
                why = describe(error)
                if failure not in TEMPORARY:
                    raise NotSupported(f"the guard cannot be registered: {why}") from error
                if not left and failure is Failure.TIMEOUT:
                    text = "a transaction of another process is still open on this database: end it, or that process"
                    raise Busy(f"the guard cannot be registered: {text} ({why})", "LOCK_TIMEOUT") from error
                if not left:
                    raise Busy(f"the guard cannot be registered: {why}", "DEPENDENCY_DOWN") from error

    async def _send_heartbeats(self) -> None:
        pause_s = self._interval_s
        while True:  # until `close` cancels it
            await asyncio.sleep(pause_s)
            pause_s = self._interval_s
            try:
                await self.renew()
            except Busy as error:  # logged; the next heartbeat tries again, and commands wait for it
                log.warning("guard not renewed: %s", error)
                pause_s = min(pause_s, PAUSE_S)


def _busy(error: StockadeError) -> Busy:
    """The error of a command when the registration cannot be renewed."""
    if isinstance(error, Busy):
        return Busy(str(error), error.code, error.retry_after_s)
    return Busy(str(error), "NOT_READY")


def _retrieve(renewal: "asyncio.Task[None]") -> None:
    """Retrieve the exception: the caller may have been cancelled, and the registration keeps the failure."""
    if not renewal.cancelled():
        renewal.exception()
