"""What a process of the lab does that decides for a strategy over a log: the very work of `stockade worker`.

Neighbours: `worker` is the process, `deciders` the lab's side of it, `shop.wiring.open_worker` what is run.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import NamedTuple

from stockade.core import Stats
from stockade.kafka.worker import KafkaWorker
from stockade.shop.bootstrap import open_worker
from stockade.shop.config.settings import Settings


@dataclass(frozen=True, slots=True)
class Decide:
    """Close what was open, and decide what is in the log that these settings name."""

    settings: Settings


@dataclass(frozen=True, slots=True)
class Tell:
    """Say how far you are."""


@dataclass(frozen=True, slots=True)
class Rest:
    """Close what was open."""


class Told(NamedTuple):
    """How far a worker is.

    Attributes:
        parts: partitions that it reads.
        decided: commands with an outcome.
        batches: transactions that moved a position.
        effort: what its store did.
    """

    parts: tuple[int, ...]
    decided: int
    batches: int
    effort: Stats


class Decider:
    """A worker at work.

    Args:
        worker: who decides.
        task: runs it.
    """

    def __init__(self, worker: KafkaWorker, task: "asyncio.Task[None]") -> None:
        self._worker, self._task = worker, task

    def told(self) -> Told:
        """How far it is.

        Raises:
            Exception: what it has ended by.
        """
        if self._task.done():
            self._task.result()
        stats = self._worker.stats
        effort = Stats(**self._worker.store_stats.as_dict())
        return Told(self._worker.partitions, stats.decided, stats.batches, effort)


@asynccontextmanager
async def deciding(what: Decide) -> AsyncIterator[Decider]:
    """Let a worker work until this is left; it then finishes its batches and leaves the group."""
    async with open_worker(what.settings, _quiet) as worker:
        stop = asyncio.Event()
        task = asyncio.create_task(worker.run(stop), name="stockade-worker")
        try:
            yield Decider(worker, task)
        finally:
            stop.set()
            await asyncio.wait([task])  # what it may have ended by was told already


def _quiet(event: str, **fields: object) -> None:
    """What a worker reports as it goes shows in the answers, the checks and the figures."""
