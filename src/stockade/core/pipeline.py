"""Runs the batches of one queue in order, the next one decided while the database still writes the one before.

Neighbours: `strategies.sequencer` and the partition processors of `kafka` run their batches here; the store calls
`Handover.decided`. Source: group commit (DeWitt et al., 1984), with two alternating groups as in PolarDB; what it
brings was measured (docs/adr/0008).
"""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any


class Handover:
    """The place of one batch in its pipeline: it hands over to the next batch once it is decided.

    Args:
        predecessor: the batch that began before and had not ended then; None where there was none.
        on_decided: called once.
    """

    def __init__(self, predecessor: "asyncio.Task[None] | None", on_decided: Callable[[], None]) -> None:
        self._predecessor, self._on_decided = predecessor, on_decided
        self.is_decided = False

    @property
    def follows(self) -> bool:
        """Whether another batch was in flight when this one began."""
        return self._predecessor is not None

    def decided(self) -> None:
        """Let the next batch begin. Only the first call has an effect; the end of the batch calls it too."""
        if not self.is_decided:
            self.is_decided = True
            self._on_decided()

    async def predecessor_succeeded(self) -> bool:
        """Wait until the batch before has ended; whether it ended without an error."""
        if self._predecessor is None:
            return True
        await asyncio.wait([self._predecessor])
        return not self._predecessor.cancelled() and self._predecessor.exception() is None


Batch = Callable[[Handover], Coroutine[Any, Any, None]]


class Pipeline:
    """At most `depth` batches are in flight, and each begins only after the one before it is decided.

    Args:
        depth: batches in flight at most; 1 runs them one after another.
        name: of the tasks, for debuggers.
    """

    def __init__(self, depth: int, name: str) -> None:
        self._depth, self._name = depth, name
        self._tasks: deque[asyncio.Task[None]] = deque()
        self._newest: Handover | None = None
        self._changed = asyncio.Event()
        self._closed = False

    @property
    def in_flight(self) -> int:
        """Batches that have begun and not ended."""
        return len(self._tasks)

    async def run(self, take: Callable[[], Batch | None]) -> None:
        """Run batches until `close` was called, `take` returns None and the last batch has ended.

        An error or a cancellation ends the run too, after the batches in flight have ended.

        Args:
            take: takes the next batch from the queue; None where too little waits there. Called whenever a batch may
                begin, so call `wake` when something was added to the queue.

        Raises:
            Exception: what a batch raised; of two, what the earlier one raised.
        """
        try:
            while True:
                self._changed.clear()
                while self._tasks and self._tasks[0].done():
                    self._tasks.popleft().result()
                batch = take() if self._may_begin() else None
                if batch is not None:
                    self._begin(batch)
                elif self._closed and not self._tasks:
                    return
                else:
                    await self._changed.wait()
        finally:
            await asyncio.gather(*self._tasks, return_exceptions=True)  # the first error is the one that is raised

    def wake(self) -> None:
        """Look at the queue again."""
        if self._may_begin():  # else the end or the decision of a batch wakes the run, once for all that came meanwhile
            self._changed.set()

    def close(self) -> None:
        """End once `take` returns None."""
        self._closed = True
        self._changed.set()

    def _may_begin(self) -> bool:
        return len(self._tasks) < self._depth and (self._newest is None or self._newest.is_decided)

    def _begin(self, batch: Batch) -> None:
        handover = self._newest = Handover(self._tasks[-1] if self._tasks else None, self._changed.set)
        task = asyncio.create_task(batch(handover), name=self._name)
        self._tasks.append(task)
        task.add_done_callback(lambda _: self._end(handover))

    def _end(self, handover: Handover) -> None:
        handover.decided()
        self._changed.set()
