"""`sequencer`: a queue in the process, one transaction for everyone who waits."""

import asyncio
import time
from collections import deque
from typing import ClassVar, NamedTuple

from stockade.core import Accepted, Busy, Command, Guard, Promise, Rejected, Store, Unknown
from stockade.strategies.base import Base
from stockade.strategies.options import Options


class Waiting(NamedTuple):
    """A command in the queue, its caller's future and its deadline on the monotonic clock."""

    command: Command
    future: asyncio.Future[Accepted | Rejected]
    deadline: float


class Sequencer(Base):
    """Callers queue; one task takes all that wait (at most `max_batch`) into one transaction under row locks.

    Group commit for decisions: the hot row is locked, read and written once for many orders. It never waits for
    company: alone, a command runs at once. Sequencers of several processes take turns on the row locks, which every
    batch takes in the same order. (DeWitt et al. 1984, group commit; LMAX 2010, the single writer.)
    """

    name: ClassVar[str] = "sequencer"
    promise: ClassVar[Promise] = Promise(order="fifo")

    def __init__(self, store: Store, options: Options | None = None) -> None:
        super().__init__(store, options)
        self._queue: deque[Waiting] = deque()
        self._arrived = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._stopping = False

    @property
    def guard(self) -> Guard:
        return Guard.ROW

    @property
    def depth(self) -> int:
        """Commands that wait now."""
        return len(self._queue)

    async def start(self) -> None:
        """Start the task that empties the queue."""
        if self._task is None:
            self._stopping = False
            self._task = asyncio.create_task(self._run(), name="stockade-sequencer")

    async def stop(self) -> None:
        """Take no more commands, finish those that wait, end."""
        self._stopping = True
        self._arrived.set()
        if self._task is not None:
            await asyncio.shield(self._task)  # a stop that is given up must not give up the batch
            self._task = None

    async def execute(self, command: Command) -> Accepted | Rejected:
        """See `stockade.core.Strategy.execute`."""
        if self._task is None or self._task.done() or self._stopping:
            raise Busy("the sequencer is not running", "DEPENDENCY_DOWN")
        if len(self._queue) >= self.options.queue_size:
            text = f"{len(self._queue)} commands wait already; the queue takes {self.options.queue_size}"
            raise Busy(text, "TOO_MANY_REQUESTS")
        future: asyncio.Future[Accepted | Rejected] = asyncio.get_running_loop().create_future()
        self._queue.append(Waiting(command, future, time.monotonic() + self.options.wait_s))
        self._arrived.set()
        return await future

    async def _run(self) -> None:
        try:
            await self._work()
        finally:
            for waiting in self._queue:
                if not waiting.future.done():
                    waiting.future.set_exception(Busy("the sequencer has ended", "DEPENDENCY_DOWN"))
            self._queue.clear()

    async def _work(self) -> None:
        while True:
            if not self._queue:
                if self._stopping:
                    return
                self._arrived.clear()
                await self._arrived.wait()
                continue
            batch = self._take()
            if batch:
                await self._carry_out(batch)

    def _take(self) -> list[Waiting]:
        """Everyone who waits, in order; whoever is past the deadline or gone is not carried out any more."""
        batch: list[Waiting] = []
        now = time.monotonic()
        while self._queue and len(batch) < self.options.max_batch:
            waiting = self._queue.popleft()
            if waiting.future.done():
                continue
            if waiting.deadline <= now:
                waiting.future.set_exception(Busy(f"no turn within {self.options.wait_s} s"))
                continue
            batch.append(waiting)
        return batch

    async def _carry_out(self, batch: list[Waiting]) -> None:
        # the batch shares one transaction, so its first deadline bounds it
        deadline = min(waiting.deadline for waiting in batch)
        try:
            answers = await self.store.transact([w.command for w in batch], self.guard, deadline=deadline)
        except BaseException as error:
            for waiting in batch:
                if not waiting.future.done():
                    waiting.future.set_exception(Unknown(f"the batch was given up: {error!r}"))
            raise
        again: list[Waiting] = []
        for waiting, answer in zip(batch, answers, strict=True):
            if waiting.future.done():
                continue
            if isinstance(answer, Busy) and deadline < waiting.deadline:
                again.append(waiting)  # it was a neighbour's time that ran out
            elif isinstance(answer, Exception):
                waiting.future.set_exception(answer)
            else:
                waiting.future.set_result(answer)
        self._queue.extendleft(reversed(again))
