"""A log worker in a child process: it decides the commands in a log, with the code of `stockade worker`.

Neighbours: `execution/processes/` is the process, `log_workers.py` the lab's side, `service` opens it.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import NamedTuple

from stockade.core import Stats
from stockade.kafka.options import KafkaOptions
from stockade.kafka.worker import KafkaWorker
from stockade.lab.execution.metered_database import ConnectionUse, MeteredDatabase
from stockade.lab.execution.section import section
from stockade.service import find_application, open_worker
from stockade.store import Database


class LogAddress(NamedTuple):
    """A log: brokers, topic, group of the workers, and partitions of a topic that is created now."""

    bootstrap: str
    topic: str
    group: str
    partitions: int


class LogWorkerProgress(NamedTuple):
    """What a log worker has done so far.

    Attributes:
        partitions: that it reads.
        decided: commands with an outcome.
        batches: transactions that committed an offset.
        stats: counters of its store.
        connections: what it had of them; nothing where that is not measured.
    """

    partitions: tuple[int, ...]
    decided: int
    batches: int
    stats: Stats
    connections: ConnectionUse = ConnectionUse()


class LogWorker:
    """A worker that runs.

    Args:
        worker: the worker of `stockade worker`.
        task: runs it.
        database: over which it decides.
    """

    def __init__(self, worker: KafkaWorker, task: "asyncio.Task[None]", database: Database) -> None:
        self._worker, self._task, self._database = worker, task, database

    def progress(self) -> LogWorkerProgress:
        """What it has done so far.

        Raises:
            Exception: the worker has ended with it.
        """
        if self._task.done():
            self._task.result()
        done, store_stats = self._worker.stats, Stats(**self._worker.store_stats.as_dict())
        use = self._database.use if isinstance(self._database, MeteredDatabase) else ConnectionUse()
        return LogWorkerProgress(self._worker.partitions, done.decided, done.batches, store_stats, use)


@dataclass(frozen=True, slots=True)
class LogWorkerConfig:
    """Everything a process needs to decide the commands in a log.

    Attributes:
        url: of the database.
        log: its brokers, topic and group.
        pool_size: connections of each process.
        app: where the process finds the application, `MODULE:ATTRIBUTE`.
        metered: the use of connections is measured.
        section_ms: see `SenderConfig`.
    """

    url: str
    log: LogAddress
    pool_size: int
    app: str
    metered: bool = False
    section_ms: float | None = None

    @property
    def kafka(self) -> KafkaOptions:
        """The log as options of the worker."""
        application = find_application(self.app)
        return KafkaOptions(application.codec, partition_kind=application.partition_kind, **self.log._asdict())


@asynccontextmanager
async def run_log_worker(
    config: LogWorkerConfig, checkpoint: Callable[[str], None] | None = None
) -> AsyncIterator[LogWorker]:
    """Run a worker until this context is left; it then finishes its batches and leaves its consumer group.

    What it reports while it runs is visible in the responses, the checks and the summary.

    Args:
        config: what it decides.
        checkpoint: called at each fault point of its store, see `SqlStore`.
    """
    application = find_application(config.app)
    kind = MeteredDatabase if config.metered else Database
    if config.section_ms is not None:
        checkpoint = section(config.section_ms)
    database = await kind.open(config.url, pool_size=config.pool_size, tables=application.tables)
    try:
        # a negative control that a fault has killed may still be registered
        async with open_worker(
            application, database, config.kafka, allow_overselling=True, checkpoint=checkpoint
        ) as worker:
            stop = asyncio.Event()
            task = asyncio.create_task(worker.run(stop), name="stockade-worker")
            try:
                yield LogWorker(worker, task, database)
            finally:
                stop.set()
                await asyncio.wait([task])  # `progress` has raised the exception that it may have ended with
    finally:
        await database.close()
