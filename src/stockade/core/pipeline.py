"""Runs the batches of one queue in order, the next one decided while the database still writes the one before.

Neighbours: `strategies.sequencer` and the partition processors of `kafka` run their batches here; the store calls
`Handover.decided`. Source: group commit (DeWitt et al., 1984), with two alternating groups as in PolarDB; what it
brings was measured (docs/adr/0008).
"""

import asyncio
from collections.abc import Awaitable, Callable


class Handover:
    """The turn of one batch in its pipeline: the batch hands over to the next one once it is decided.

    Args:
        predecessor: whether the batch before succeeds; None where none was in flight when this one began.
        turn: held by this batch, until it is decided.
    """

    def __init__(self, predecessor: "asyncio.Future[bool] | None", turn: asyncio.Lock) -> None:
        self._predecessor, self._turn = predecessor, turn
        self._is_decided = False
        self.succeeded: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    @property
    def follows(self) -> bool:
        """Whether another batch was in flight when this one began."""
        return self._predecessor is not None

    def decided(self) -> None:
        """Let the next batch begin. Only the first call has an effect; the end of the batch calls it too."""
        if not self._is_decided:
            self._is_decided = True
            self._turn.release()

    async def predecessor_succeeded(self) -> bool:
        """Wait until the batch before has ended; whether it ended without an error."""
        return self._predecessor is None or await asyncio.shield(self._predecessor)


Batch = Callable[[Handover], Awaitable[None]]


class Pipeline:
    """At most `max_in_flight` batches are in flight, and each begins only after the one before it is decided.

    Args:
        max_in_flight: batches in flight at most; 1 runs them one after another.
        name: of the tasks, for debuggers.
    """

    def __init__(self, max_in_flight: int, name: str) -> None:
        self._max_in_flight, self._name = max_in_flight, name
        self._turn = asyncio.Lock()  # held from the choice of a batch until it is decided
        self._newest: Handover | None = None
        self._changed = asyncio.Event()
        self._closed = False
        self._error: BaseException | None = None
        self.in_flight = 0  # batches that have begun and not ended

    async def run(self, take: Callable[[], Batch | None]) -> None:
        """Run batches until `close` was called, `take` returns None and the last batch has ended.

        An error or a cancellation ends the run too, after the batches in flight have ended.

        Args:
            take: takes the next batch from the queue; None if no batch should begin now. Called whenever a batch may
                begin, so call `wake` when something was added to the queue.

        Raises:
            Exception: what a batch raised; of two, the first.
        """
        tasks = [asyncio.create_task(self._run_batches(take), name=self._name) for _ in range(self._max_in_flight)]
        try:
            await asyncio.wait(tasks)
        except BaseException as error:
            self._fail(error)
            await asyncio.wait(tasks)
            raise
        if self._error is not None:
            raise self._error

    def wake(self) -> None:
        """Look at the queue again."""
        self._changed.set()

    def close(self) -> None:
        """End once `take` returns None."""
        self._closed = True
        self._changed.set()

    async def _run_batches(self, take: Callable[[], Batch | None]) -> None:
        """Run one batch after another: the same task goes on, so that no pass of the event loop is between two."""
        while True:
            await self._turn.acquire()
            batch = None
            try:
                batch = await self._next(take)
            finally:  # cancelled, too: at the end of `asyncio.run` the other task would wait for its turn for ever
                if batch is None:
                    self._turn.release()
            if batch is None:
                return
            await self._run_batch(batch)

    async def _next(self, take: Callable[[], Batch | None]) -> Batch | None:
        """Wait for a batch; None when the run ends."""
        while self._error is None:
            batch = take()
            if batch is not None or (self._closed and not self.in_flight):
                return batch
            self._changed.clear()
            await self._changed.wait()
        return None

    async def _run_batch(self, batch: Batch) -> None:
        handover = self._newest = Handover(
            self._newest.succeeded if self.in_flight and self._newest else None, self._turn
        )
        self.in_flight += 1
        succeeded = False
        try:
            await batch(handover)
            succeeded = True
        except BaseException as error:  # noqa: BLE001 - `run` raises it, after the batches in flight have ended
            self._fail(error)
        finally:
            self.in_flight -= 1
            handover.succeeded.set_result(succeeded)
            handover.decided()
            self._changed.set()

    def _fail(self, error: BaseException) -> None:
        self._error = self._error or error
        self._changed.set()
