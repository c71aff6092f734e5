"""The log workers of a run, and the topics that they read.

Each run of the strategy has its own topic and consumer group, so that it reads nothing of an earlier run. Both topics
are deleted at its end. Neighbours: `log_worker.py` runs in each process, `log_repeats.py` reads their progress.
"""

import asyncio
import os
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from stockade.kafka.admin import Admin
from stockade.kafka.options import KafkaOptions
from stockade.lab.errors import LabError
from stockade.lab.execution.child_main import CloseAll, QueryLogWorker, StartLogWorker
from stockade.lab.execution.child_processes import ProcessGroup
from stockade.lab.execution.command_log.log_worker import LogAddress, LogWorkerConfig, LogWorkerProgress

ASSIGNMENT_WAIT_S = 30.0
POLL_S = 0.02


def new_topic_name() -> str:
    """A topic of this process: `stockade-lab-PID-…`, so that whoever finds one that is left knows the lab it is of."""
    return f"stockade-lab-{os.getpid()}-{secrets.token_hex(6)}"


class LogWorkers(ProcessGroup):
    """A fixed number of processes, started when first needed.

    Args:
        workers: how many.
        partitions: of the topic of each run.
    """

    def __init__(self, workers: int, partitions: int) -> None:
        super().__init__()
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
        name = new_topic_name()
        address = LogAddress(bootstrap, name, name, self.partitions)
        config = LogWorkerConfig(url, address, pool_size, app, metered=metered, section_ms=section_ms)
        log = config.kafka
        for number in range(len(self._processes), self.workers):
            self.start(f"log worker {number}")
        try:
            await self.request_all(StartLogWorker(config))
            await self._wait_for_assignment()
            yield log
            await self.request_all(CloseAll())
        finally:
            admin = Admin(bootstrap)
            for topic in (log.topic, log.dead_topic):
                await asyncio.to_thread(admin.delete_topic, topic)

    async def progress(self) -> list[LogWorkerProgress]:
        """What each process has done so far.

        Raises:
            LabError: a process has ended, or its worker has; the message says why.
        """
        return await self.request_all(QueryLogWorker())

    async def _wait_for_assignment(self) -> None:
        """Wait until each partition is assigned to one process, evenly."""
        deadline = asyncio.get_running_loop().time() + ASSIGNMENT_WAIT_S
        fewest = self.partitions // self.workers
        while asyncio.get_running_loop().time() < deadline:
            assigned = [each.partitions for each in await self.progress()]
            complete = sorted(number for each in assigned for number in each) == list(range(self.partitions))
            if complete and min(map(len, assigned)) >= fewest:
                return
            await asyncio.sleep(POLL_S)
        raise LabError(f"the partitions of the log were not all read within {ASSIGNMENT_WAIT_S:.0f} s")
