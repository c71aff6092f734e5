"""`in-process`: a fair mutex for each key, in this process only."""

import time
from typing import ClassVar

from stockade.core import Accepted, Busy, Command, Guard, Promise, Rejected, Store, merged_keys
from stockade.locks import LockTimeout
from stockade.locks.aio import MemoryLocks
from stockade.strategies.base import Base
from stockade.strategies.options import Options


class InProcess(Base):
    """One fair mutex for each key, taken in key order, with a timeout; right in one process only.

    What `synchronized` and `ReentrantLock` do in seed 000. Two processes do not see each other's mutex: the lab
    shows it break there.
    """

    name: ClassVar[str] = "in-process"
    promise: ClassVar[Promise] = Promise(processes="one", order="fifo", faults=())

    def __init__(self, store: Store, options: Options | None = None) -> None:
        super().__init__(store, options)
        self._locks = MemoryLocks()

    @property
    def guard(self) -> Guard:
        return Guard.NONE

    async def execute(self, command: Command) -> Accepted | Rejected:
        """See `stockade.core.Strategy.execute`."""
        deadline = time.monotonic() + self.options.wait_s
        names = [str(key) for key in merged_keys([command])]
        try:
            async with self._locks.multi(*names).hold(timeout=self.options.wait_s):
                return await self.attempt(command, self.guard, deadline)
        except LockTimeout as error:
            raise Busy(str(error)) from error

    async def stop(self) -> None:
        """Forget the mutexes."""
        await self._locks.close()
