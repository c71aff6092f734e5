"""The processes that decide for a strategy over a log, and the topics of one run.

Every run of the strategy has a topic and a group of its own, so that nothing is left of the run before; both topics are
removed at its end. Neighbours: `decider` is what runs in each process, `log_meter` reads the figures, `brokers` where.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Self

from stockade.kafka.admin import Admin
from stockade.kafka.options import KafkaOptions
from stockade.lab.errors import LabError
from stockade.lab.execution.log_worker import Decide, Rest, Tell, Told
from stockade.lab.execution.processes import WorkerProcess
from stockade.shop.config.settings import Settings
from stockade.shop.config.strategy_options import kafka_options

OWN_WAIT_S = 30.0
LOOK_AGAIN_S = 0.02


class Deciders:
    """A fixed number of worker processes, started when first needed. A context manager; leaving it ends them.

    Args:
        workers: how many.
        partitions: of the topic of each run.
    """

    def __init__(self, workers: int, partitions: int) -> None:
        self.workers, self.partitions = workers, partitions
        self._processes: list[WorkerProcess] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self._processes:
            process.close()
        for process in self._processes:
            process.join()

    @asynccontextmanager
    async def at_log(self, url: str, bootstrap: str, pool_size: int) -> AsyncIterator[KafkaOptions]:
        """Let all processes decide a fresh log; ready when every partition is read by one of them.

        Args:
            url: of the database.
            bootstrap: brokers to ask first.
            pool_size: connections of each process.

        Raises:
            LabError: a process could not, or the partitions were not all read in time.
        """
        name = f"stockade-lab-{secrets.token_hex(6)}"
        settings = Settings(
            database=url,
            pool_size=pool_size,
            kafka_bootstrap=bootstrap,
            kafka_topic=name,
            kafka_group=name,
            kafka_partitions=self.partitions,
            allow_overselling="yes",  # beside what is left of a control that a fault has killed
        )
        log = kafka_options(settings)
        if not self._processes:
            self._processes = [WorkerProcess(f"log worker {n}") for n in range(self.workers)]
        try:
            await asyncio.gather(*(each.ask(Decide(settings)) for each in self._processes))
            await self._all_read()
            yield log
            await asyncio.gather(*(each.ask(Rest()) for each in self._processes))
        finally:
            admin = Admin(bootstrap)
            for topic in (log.topic, log.dead_topic):
                await asyncio.to_thread(admin.delete_topic, topic)

    async def told(self) -> list[Told]:
        """How far each process is.

        Raises:
            LabError: one has ended, or its worker has; the message says by what.
        """
        answers: list[Told] = await asyncio.gather(*(each.ask(Tell()) for each in self._processes))
        return answers

    async def _all_read(self) -> None:
        """Until every partition has one reader, and they are dealt out evenly."""
        deadline = asyncio.get_running_loop().time() + OWN_WAIT_S
        fewest = self.partitions // self.workers
        while asyncio.get_running_loop().time() < deadline:
            parts = [told.parts for told in await self.told()]
            each_one = sorted(part for each in parts for part in each) == list(range(self.partitions))
            if each_one and min(map(len, parts)) >= fewest:
                return
            await asyncio.sleep(LOOK_AGAIN_S)
        raise LabError(f"the partitions of the log were not all read within {OWN_WAIT_S:.0f} s")
