"""`sequencer`: a queue in the process, one transaction for all commands that wait."""

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from functools import partial
from typing import ClassVar, NamedTuple

from stockade.core import Busy, Command, CommandResult, Guarantees, Guard, Outcome, Store, Unknown
from stockade.core.pipeline import Batch, Handover, Pipeline
from stockade.strategies.base import Base
from stockade.strategies.options import Options

ANSWERS_PER_PASS = 16  # answers that callers get before the event loop looks at its sockets again
WORTH_TWO = 32  # from so many commands on, two batches share them


class QueuedCommand(NamedTuple):
    """A command in the queue, its caller's future and its deadline on the monotonic clock."""

    command: Command
    future: asyncio.Future[Outcome]
    deadline: float


class Sequencer(Base):
    """Queues commands and puts all that wait (at most `max_batch`) into one transaction, under row locks.

    Group commit for decisions: the hot row is locked, read and written once for many orders. The queue never waits for
    more commands: a single command runs at once. Where the store supports pipelining, two batches are in flight: the
    second one is decided while the database writes the first. Sequencers of several processes compete for the row
    locks, which every batch takes in the same order. (DeWitt et al. 1984, group commit; LMAX 2010, the single writer;
    PolarDB's two alternating groups.)
    """

    name: ClassVar[str] = "sequencer"
    guarantees: ClassVar[Guarantees] = Guarantees(order="fifo")
    may_be_several: ClassVar[bool] = True

    def __init__(self, store: Store, options: Options | None = None) -> None:
        super().__init__(store, options)
        self._queue: deque[QueuedCommand] = deque()
        self._in_flight = 0  # commands of the batches that the store carries out now
        self._pipeline: Pipeline | None = None
        self._task: asyncio.Task[None] | None = None

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
            self._pipeline = Pipeline(2 if self.store.supports_pipelining else 1, "stockade-sequencer-batch")
            self._task = asyncio.create_task(self._run(self._pipeline), name="stockade-sequencer")

    async def stop(self) -> None:
        """Accept no more commands, execute those that wait, end."""
        if self._task is not None and self._pipeline is not None:
            pipeline, self._pipeline = self._pipeline, None
            pipeline.close()
            await asyncio.shield(self._task)  # a cancelled stop must not cancel the batches
            self._task = None

    async def execute(self, command: Command) -> Outcome:
        """See `stockade.core.Strategy.execute`."""
        if self._pipeline is None:
            raise Busy("the sequencer is not running", "DEPENDENCY_DOWN")
        if len(self._queue) >= self.options.queue_size:
            text = f"{len(self._queue)} commands wait already; the queue takes {self.options.queue_size}"
            raise Busy(text, "TOO_MANY_REQUESTS")
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._queue.append(QueuedCommand(command, future, time.monotonic() + self.options.wait_s))
        self._pipeline.wake()
        return await future

    async def _run(self, pipeline: Pipeline) -> None:
        try:
            await pipeline.run(self._take_batch)
        finally:
            self._pipeline = None
            for queued in self._queue:
                if not queued.future.done():
                    queued.future.set_exception(Busy("the sequencer has ended", "DEPENDENCY_DOWN"))
            self._queue.clear()

    def _take_batch(self) -> Batch | None:
        """Take the next batch from the queue, in order, without commands that are too late or whose caller has gone."""
        batch: list[QueuedCommand] = []
        now = time.monotonic()
        size = self._batch_size()
        while self._queue and len(batch) < size:
            queued = self._queue.popleft()
            if queued.future.done():
                continue
            if queued.deadline <= now:
                queued.future.set_exception(Busy(f"no batch took the command within {self.options.wait_s} s"))
                continue
            batch.append(queued)
        return partial(self._execute_batch, batch) if batch else None

    def _batch_size(self) -> int:
        """How many commands to take: all.

        Of many only half of those that wait or are in flight, so that two batches overlap and neither outgrows the
        other.
        """
        size = len(self._queue)
        total = size + self._in_flight
        if self.store.supports_pipelining and total >= WORTH_TWO:
            size = min(size, (total + 1) // 2)
        return min(size, self.options.max_batch)

    async def _execute_batch(self, batch: list[QueuedCommand], handover: Handover) -> None:
        # the batch shares one transaction, so its first deadline bounds it
        deadline = min(queued.deadline for queued in batch)
        commands = [queued.command for queued in batch]
        self._in_flight += len(batch)
        try:
            answers = await self.store.transact(commands, self.guard, deadline=deadline, on_decided=handover.decided)
        except BaseException as error:
            for queued in batch:
                if not queued.future.done():
                    queued.future.set_exception(Unknown(f"the batch was cancelled: {error!r}"))
            raise
        finally:
            self._in_flight -= len(batch)
        await self._answer(batch, answers, deadline)

    async def _answer(self, batch: Sequence[QueuedCommand], answers: Sequence[CommandResult], deadline: float) -> None:
        """Give the callers their answers, a few in each pass of the event loop.

        Between two passes the event loop learns that the next batch has locked its row. If all callers went on first,
        that batch would hold the row while nothing happens to it.
        """
        again: list[QueuedCommand] = []
        rest = iter(zip(batch, answers, strict=True))
        try:
            for number, (queued, answer) in enumerate(rest, 1):
                _answer_one(queued, answer, deadline, again)
                if number % ANSWERS_PER_PASS == 0:
                    await asyncio.sleep(0)
        finally:  # also when this task is cancelled: the outcomes are committed
            for queued, answer in rest:
                _answer_one(queued, answer, deadline, again)
            self._queue.extendleft(reversed(again))


def _answer_one(queued: QueuedCommand, answer: CommandResult, deadline: float, again: list[QueuedCommand]) -> None:
    """Answer one caller; a command that has time left and failed only on the batch's deadline joins `again`."""
    if queued.future.done():
        return
    if isinstance(answer, Busy) and deadline < queued.deadline:
        again.append(queued)
    elif isinstance(answer, Exception):
        queued.future.set_exception(answer)
    else:
        queued.future.set_result(answer)
