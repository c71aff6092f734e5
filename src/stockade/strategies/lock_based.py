"""Base class of the strategies over a lock server: acquire the locks, run a guarded transaction, release the locks.

The lock only queues the writers. The guard protects the rows: VERSION, or FENCE with the fencing tokens of the locks.
The option `bare` leaves the guard out, to show what a lease alone is worth under a pause or a failover.
"""

import asyncio
import logging
import time
from abc import abstractmethod
from typing import ClassVar

from stockade.core import (
    Busy,
    Command,
    FenceRefused,
    Guard,
    GuardKind,
    Key,
    LockLost,
    Outcome,
    Store,
    Unknown,
    merged_keys,
)
from stockade.core.grace import grace_left_s
from stockade.locks import LockError, LockTimeout, LockUnavailable, ProviderClosed
from stockade.locks.aio import MultiLease, Provider
from stockade.strategies.base import Retrying
from stockade.strategies.late_release import LateReleases
from stockade.strategies.lock_server_monitor import PROBE_LOCK, LockServerMonitor
from stockade.strategies.options import Options

log = logging.getLogger(__name__)
# Of a call after the deadline; a release that takes longer goes on in the background. The other parts of the grace
# leave at least that, so it overruns the grace only where this process itself was late.
_CALL_LEAST_S = 0.02
_SILENT_S = 0.1  # a lock server that does not answer for so long is away; one that had less time may be slow


class LockBased(Retrying):
    """Locks all rows of a command or none, in key order, with one deadline; then runs one guarded transaction.

    Attributes:
        lost: leases that ended before their transaction did; the guard decided whether it was committed.
        refused: fencing tokens that a row refused; the command waited for its locks again.
    """

    lease_s: ClassVar[float]  # how long a lock outlives a holder that died, in seconds
    fair: ClassVar[bool] = True
    servers: ClassVar[int] = 1  # how many independent lock servers it needs at least

    def __init__(self, store: Store, options: Options | None = None) -> None:
        super().__init__(store, options)
        self._locks: Provider | None = None
        self._monitor: LockServerMonitor | None = None
        self._late = LateReleases(store)
        self.lost = 0
        self.refused = 0

    @property
    def locks(self) -> Provider | None:
        """The provider of the locks, for metrics and traces; None while the strategy does not run."""
        return self._locks

    @abstractmethod
    def connect(self) -> Provider:
        """The provider of the locks."""

    @property
    def guard(self) -> Guard:
        if self.options.bare:
            return Guard.NONE
        return Guard(GuardKind.FENCE) if self.options.fence else Guard.VERSION

    async def start(self) -> None:
        """Connect to the lock server; one that is away may come back later.

        Raises:
            LockError: it refuses the login, the database or the rights of the URL.
        """
        if self._locks is None:
            self._locks = self.connect()
            self._monitor = LockServerMonitor(self.name, self._locks)
            await self._monitor.check()

    async def stop(self) -> None:
        """Disconnect from the lock server."""
        await self._late.close()
        if self._monitor is not None:
            monitor, self._monitor = self._monitor, None
            await monitor.close()
        if self._locks is not None:
            locks, self._locks = self._locks, None
            await locks.close()

    async def execute(self, command: Command) -> Outcome:
        """See `stockade.core.Strategy.execute`.

        Raises:
            FenceRefused: `fence` only: a row had seen a newer holder at each attempt, until retries or time were spent.
            LockLost: `bare` only: the lease ended before the transaction, which nothing else protected.
        """
        if self._locks is None:
            raise Busy(f"{self.name} is not running", "DEPENDENCY_DOWN")
        locks, deadline = self._locks, time.monotonic() + self.options.wait_s
        for attempt in range(self.options.backoff.retries + 1):
            try:
                return await self._under_locks(locks, command, deadline)
            except FenceRefused as refused:
                self.refused += 1
                if attempt == self.options.backoff.retries or time.monotonic() >= deadline:
                    raise
                await self._raise_fence(locks, refused, deadline)
        raise AssertionError("the last attempt returns or raises")

    async def _raise_fence(self, locks: Provider, refused: FenceRefused, deadline: float) -> None:
        """Raise the counter of the lock server above the token that a row holds.

        A lock server that lost its counter would issue tokens that the row refuses for ever. Nothing was written under
        the old lock; where a newer holder is the reason of the refusal, this has no effect.
        """
        try:
            async with asyncio.timeout(_left_s(deadline)):
                await locks.raise_fence(refused.key, refused.fence)
        except TimeoutError as error:
            raise Busy("the lock server did not answer in time", "DEPENDENCY_DOWN") from error
        except LockError as error:  # it cannot be reached, or it refuses: a password was changed, a right taken away
            raise self._unusable(error) from error

    async def missing_server(self, wait_s: float) -> str:
        """See `stockade.core.SupportsReadiness`; an outage that is found here is logged as one that orders meet."""
        if self._locks is None or self._monitor is None:
            return f"{self.name} is not running"
        try:
            async with asyncio.timeout(wait_s):
                await self._locks.inspect(PROBE_LOCK)
        except TimeoutError:
            return f"the lock server of {self.name} did not answer in time"
        except LockError as error:  # it cannot be reached, or it refuses
            self._monitor.report_failure(error)
            return f"the lock server of {self.name} cannot be used: {error.code}"
        return ""

    def _unusable(self, error: LockError) -> Busy:
        if self._monitor is not None and not isinstance(error, ProviderClosed):
            self._monitor.report_failure(error)
        return Busy(f"the lock server cannot be used: {error}", "DEPENDENCY_DOWN")

    async def _under_locks(self, locks: Provider, command: Command, deadline: float) -> Outcome:
        """Acquire the locks, run one guarded transaction, release the locks."""
        lease = await self._acquire(locks, command, deadline)
        may_commit = False
        try:
            outcome = await self.transact_with_retries(command, self._fenced(lease), deadline)
        except Unknown:
            may_commit = self.store.unsettled
            raise
        except asyncio.CancelledError:
            may_commit = self.store.unsettled
            deadline = min(deadline, time.monotonic())  # who cancels wants no more of the command's time
            raise
        finally:
            ended = lease.lost
            if may_commit:
                self._late.begin(lambda: self._release(lease, time.monotonic()))
            else:
                await self._release(lease, deadline)
        if ended and self.options.bare:
            raise LockLost("the lease ended before the transaction did, and no guard protected it")
        return outcome

    async def _acquire(self, locks: Provider, command: Command, deadline: float) -> MultiLease:
        names = [str(key) for key in merged_keys([command])]
        lease_s = self.options.lease_s or self.lease_s
        lock = locks.multi(*names, lease_s=lease_s, fair=self.fair, renew=self.options.renew, on_lost="raise")
        try:
            lease = await lock.acquire(timeout=max(0.0, deadline - time.monotonic()))
        except LockTimeout as error:
            raise Busy(str(error)) from error
        except LockError as error:  # it cannot be reached, or it refuses: a password was changed, a right taken away
            raise self._unusable(error) from error
        if lease is None:
            raise Busy(f"the locks of {', '.join(names)} did not come in {self.options.wait_s} s")
        return lease

    def _fenced(self, lease: MultiLease) -> Guard:
        guard = self.guard
        if guard.kind is not GuardKind.FENCE:
            return guard
        fences = {Key.parse(name): (each.fencing_token, each.token) for name, each in lease.leases.items()}
        return Guard(GuardKind.FENCE, fences=fences)

    async def _release(self, lease: MultiLease, deadline: float) -> None:
        """Release the locks within the grace after the deadline, without an error.

        The transaction has ended: a lock that cannot be released must not turn a committed order into an error.
        """
        left_s = _left_s(deadline)
        try:
            async with asyncio.timeout(left_s):
                await lease.release()
        except TimeoutError:
            if self._monitor is not None and left_s >= _SILENT_S:
                self._monitor.report_failure(
                    LockUnavailable("a lock was not released in time; its release goes on in the background")
                )
        except LockLost as error:
            self.lost += 1
            log.warning("lock lost before its transaction ended: %s", error)
        except LockError as error:  # it cannot be reached, or it refuses
            if self._monitor is not None:
                self._monitor.report_failure(error)


def _left_s(deadline: float) -> float:
    """Seconds that a call to the lock server may still take."""
    return max(grace_left_s(deadline), _CALL_LEAST_S)
