"""`sequencer`: a queue in the process, one transaction for everyone who waits."""

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from typing import ClassVar, NamedTuple, TypeAlias

from stockade.core import Accepted, Busy, Command, Guarantees, Guard, Rejected, Store, Unknown
from stockade.strategies.base import Base
from stockade.strategies.options import Options

AT_ONCE = 16  # callers who get their answers before the event loop looks at its sockets again
WORTH_TWO = 32  # from so many commands on, two batches share them

Answer: TypeAlias = Accepted | Rejected | Exception


class Waiting(NamedTuple):
    """A command in the queue, its caller's future and its deadline on the monotonic clock."""

    command: Command
    future: asyncio.Future[Accepted | Rejected]
    deadline: float


class Sequencer(Base):
    """Callers queue; whoever waits goes into one transaction (at most `max_batch`) under row locks.

    Group commit for decisions: the hot row is locked, read and written once for many orders. It never waits for
    company: alone, a command runs at once. Where the store can decide ahead, two batches are in flight: the second one
    is decided while the database writes the first. Sequencers of several processes take turns on the row locks, which
    every batch takes in the same order. (DeWitt et al. 1984, group commit; LMAX 2010, the single writer; PolarDB's
    two alternating groups.)
    """

    name: ClassVar[str] = "sequencer"
    guarantees: ClassVar[Guarantees] = Guarantees(order="fifo")

    def __init__(self, store: Store, options: Options | None = None) -> None:
        super().__init__(store, options)
        self._queue: deque[Waiting] = deque()
        self._arrived = asyncio.Event()
        self._turn = asyncio.Lock()  # held from the choice of a batch until it is decided: batches keep their order
        self._lanes = 2 if store.supports_pipelining else 1
        self._in_flight = 0  # commands, in the batches that are carried out now
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
        """Start the tasks that empty the queue."""
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
            async with asyncio.TaskGroup() as lanes:
                for _ in range(self._lanes):
                    lanes.create_task(self._lane())
        finally:
            for waiting in self._queue:
                if not waiting.future.done():
                    waiting.future.set_exception(Busy("the sequencer has ended", "DEPENDENCY_DOWN"))
            self._queue.clear()

    async def _lane(self) -> None:
        while True:
            turn = Turn(self._turn)
            try:
                await turn.begin()
                batch = await self._next()
                if not batch:
                    return
                await self._carry_out(batch, turn)
            finally:
                turn.end()

    async def _next(self) -> list[Waiting]:
        """The next batch; empty once the last command before a stop has been taken."""
        while True:
            while self._queue:
                if batch := self._take():
                    return batch
            if self._stopping:
                return []
            self._arrived.clear()
            await self._arrived.wait()

    def _take(self) -> list[Waiting]:
        """Who waits, in order; whoever is past the deadline or gone is not carried out any more."""
        batch: list[Waiting] = []
        now = time.monotonic()
        size = self._size()
        while self._queue and len(batch) < size:
            waiting = self._queue.popleft()
            if waiting.future.done():
                continue
            if waiting.deadline <= now:
                waiting.future.set_exception(Busy(f"no turn within {self.options.wait_s} s"))
                continue
            batch.append(waiting)
        return batch

    def _size(self) -> int:
        """How many to take: all; of many only half of those that wait or are in flight, so that two batches overlap and
        neither outgrows the other."""
        waiting = len(self._queue)
        everyone = waiting + self._in_flight
        if self._lanes > 1 and everyone >= WORTH_TWO:
            waiting = min(waiting, (everyone + 1) // 2)
        return min(waiting, self.options.max_batch)

    async def _carry_out(self, batch: list[Waiting], turn: "Turn") -> None:
        # the batch shares one transaction, so its first deadline bounds it
        deadline = min(waiting.deadline for waiting in batch)
        commands = [waiting.command for waiting in batch]
        self._in_flight += len(batch)
        try:
            answers = await self.store.transact(commands, self.guard, deadline=deadline, on_decided=turn.end)
        except BaseException as error:
            for waiting in batch:
                if not waiting.future.done():
                    waiting.future.set_exception(Unknown(f"the batch was given up: {error!r}"))
            raise
        finally:
            self._in_flight -= len(batch)
        await self._tell(batch, answers, deadline)

    async def _tell(self, batch: Sequence[Waiting], answers: Sequence[Answer], deadline: float) -> None:
        """Give the callers their answers, a few at a time.

        Between them the event loop looks at its sockets. There the next batch hears that it has the row now, and would
        else hold it while all callers of this one go on.
        """
        again: list[Waiting] = []
        rest = iter(zip(batch, answers, strict=True))
        try:
            for number, (waiting, answer) in enumerate(rest, 1):
                _tell_one(waiting, answer, deadline, again)
                if number % AT_ONCE == 0:
                    await asyncio.sleep(0)
        finally:  # also when this is cancelled: what is committed is told
            for waiting, answer in rest:
                _tell_one(waiting, answer, deadline, again)
            if again:
                self._queue.extendleft(reversed(again))
                self._arrived.set()


def _tell_one(waiting: Waiting, answer: Answer, deadline: float, again: list[Waiting]) -> None:
    """Answer one caller; who has time left and only met the end of a neighbour's joins `again`."""
    if waiting.future.done():
        return
    if isinstance(answer, Busy) and deadline < waiting.deadline:
        again.append(waiting)
    elif isinstance(answer, Exception):
        waiting.future.set_exception(answer)
    else:
        waiting.future.set_result(answer)


class Turn:
    """One batch's hold on the right to be next; ended once, by the first who says so."""

    __slots__ = ("_held", "_lock")

    def __init__(self, lock: asyncio.Lock) -> None:
        self._lock, self._held = lock, False

    async def begin(self) -> None:
        """Wait for it."""
        await self._lock.acquire()
        self._held = True

    def end(self) -> None:
        """Let the next batch begin."""
        if self._held:
            self._held = False
            self._lock.release()
