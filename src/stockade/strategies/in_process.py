"""`in-process`: a fair mutex for each key, in this process only."""

import asyncio
import time
from typing import ClassVar

from stockade.core import (
    Busy,
    Command,
    Guarantees,
    Guard,
    GuardKind,
    MoreKeys,
    Outcome,
    Store,
    Unknown,
    WithExtraKeys,
    merged_keys,
)
from stockade.core.decision import MAX_EXTRA_KEY_ROUNDS
from stockade.locks.aio import MemoryLocks
from stockade.strategies.base import Base
from stockade.strategies.late_release import LateReleases
from stockade.strategies.options import Options


class InProcess(Base):
    """One fair mutex for each key, taken in key order, with a timeout; right in one process only.

    Like `synchronized` or `ReentrantLock` in Java. Two processes do not see each other's mutexes: the lab shows that
    they oversell.
    """

    name: ClassVar[str] = "in-process"
    guarantees: ClassVar[Guarantees] = Guarantees(processes="one", order="fifo", faults=())

    def __init__(self, store: Store, options: Options | None = None) -> None:
        super().__init__(store, options)
        self._locks = MemoryLocks()
        self._late = LateReleases(store)

    @property
    def locks(self) -> MemoryLocks:
        """The provider of the mutexes, for metrics and traces."""
        return self._locks

    @property
    def guard(self) -> Guard:
        return Guard(GuardKind.NONE, fail_on_extra_keys=True)  # only the mutexes protect the rows

    async def execute(self, command: Command) -> Outcome:
        """See `stockade.core.Strategy.execute`."""
        deadline = time.monotonic() + self.options.wait_s
        wanted = command
        for _ in range(MAX_EXTRA_KEY_ROUNDS):
            try:
                return await self._locked(wanted, deadline)
            except MoreKeys as more:  # nothing was done: release the locks, and take all of them in order
                wanted = WithExtraKeys(wanted, more.keys)
        return await self._locked(wanted, deadline)

    async def _locked(self, command: Command, deadline: float) -> Outcome:
        names = [str(key) for key in merged_keys([command])]
        lease = await self._locks.multi(*names).acquire(timeout=max(0.0, deadline - time.monotonic()))
        if lease is None:
            raise Busy(f"the mutexes of {', '.join(names)} did not come in {self.options.wait_s} s")
        may_commit = False
        try:
            return await self.transact_one(command, self.guard, deadline)
        except (Unknown, asyncio.CancelledError):
            may_commit = self.store.unsettled  # nothing but the mutexes protects the rows from what may come
            raise
        finally:
            if may_commit:
                self._late.begin(lease.release)
            else:
                await lease.release()

    async def stop(self) -> None:
        """Discard the mutexes."""
        await self._late.close()
        await self._locks.close()
