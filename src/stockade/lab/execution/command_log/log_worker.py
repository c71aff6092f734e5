"""A log worker in a child process: it decides the commands in a log, with the code of `stockade worker`.

Neighbours: `execution/child_main.py` is the process, `log_workers.py` the lab's side, `shop/bootstrap.py` opens it.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple

from stockade.core import Stats
from stockade.kafka.worker import KafkaWorker
from stockade.shop.bootstrap import open_worker
from stockade.shop.config.settings import Settings


class LogWorkerProgress(NamedTuple):
    """What a log worker has done so far.

    Attributes:
        partitions: that it reads.
        decided: commands with an outcome.
        batches: transactions that committed an offset.
        stats: counters of its store.
    """

    partitions: tuple[int, ...]
    decided: int
    batches: int
    stats: Stats


class LogWorker:
    """A worker that runs.

    Args:
        worker: the worker of `stockade worker`.
        task: runs it.
    """

    def __init__(self, worker: KafkaWorker, task: "asyncio.Task[None]") -> None:
        self._worker, self._task = worker, task

    def progress(self) -> LogWorkerProgress:
        """What it has done so far.

        Raises:
            Exception: the worker has ended with it.
        """
        if self._task.done():
            self._task.result()
        done, store_stats = self._worker.stats, Stats(**self._worker.store_stats.as_dict())
        return LogWorkerProgress(self._worker.partitions, done.decided, done.batches, store_stats)


@asynccontextmanager
async def run_log_worker(settings: Settings) -> AsyncIterator[LogWorker]:
    """Run a worker until this context is left; it then finishes its batches and leaves its consumer group."""
    async with open_worker(settings, _ignore_event) as worker:
        stop = asyncio.Event()
        task = asyncio.create_task(worker.run(stop), name="stockade-worker")
        try:
            yield LogWorker(worker, task)
        finally:
            stop.set()
            await asyncio.wait([task])  # `progress` has raised the exception that it may have ended with


def _ignore_event(event: str, **fields: object) -> None:
    """What a worker reports while it runs is visible in the responses, the checks and the summary."""
