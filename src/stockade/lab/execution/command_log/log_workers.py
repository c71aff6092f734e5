"""The log workers of a run, and the topics that they read.

Each run of the strategy has its own topic and consumer group, so that it reads nothing of an earlier run. Neighbours:
`log_worker.py` runs in each process, `topic.py` has the life of a topic, `log_repeats.py` reads their progress.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from stockade.kafka.options import KafkaOptions
from stockade.lab.execution.command_log.log_worker import LogWorkerConfig, LogWorkerProgress
from stockade.lab.execution.command_log.topic import new_address, topic_of, wait_for_assignment
from stockade.lab.execution.order_processes import ProcessGroup
from stockade.lab.execution.processes.messages import Close, OpenLogWorker, QueryLogWorker


class LogWorkers(ProcessGroup):
    """A fixed number of processes, started when first needed.

    Args:
        workers: how many.
        partitions: of the topic of each run.
    """

    def __init__(self, workers: int, partitions: int) -> None:
        super().__init__([f"log worker {number}" for number in range(workers)])
        self.workers, self.partitions = workers, partitions

    @asynccontextmanager
    async def open_log(
        self,
        app: str,
        url: str,
        bootstrap: str,
        pool_size: int,
        *,
        metered: bool = False,
        section_ms: float | None = None,
    ) -> AsyncIterator[KafkaOptions]:
        """Create a topic and let all processes decide it; ready when each partition is assigned to one of them.

        Args:
            app: where the processes find the application.
            url: of the database.
            bootstrap: Kafka's bootstrap servers.
            pool_size: connections of each process.
            metered: see `LogWorkerConfig`.
            section_ms: see `LogWorkerConfig`.

        Raises:
            LabError: a process failed, or the partitions were not all assigned in time.
        """
        address = new_address(bootstrap, self.partitions)
        config = LogWorkerConfig(url, address, pool_size, app, metered=metered, section_ms=section_ms)
        async with topic_of(config) as log:
            await self.open(OpenLogWorker(config))
            await wait_for_assignment(self._assigned, self.partitions)
            yield log
            await self.ask_all(Close())

    async def progress(self) -> list[LogWorkerProgress]:
        """What each process has done so far.

        Raises:
            LabError: a process has ended, or its worker has; the message says why.
        """
        return await self.ask_all(QueryLogWorker())

    async def _assigned(self) -> list[Sequence[int]]:
        return [each.partitions for each in await self.progress()]
