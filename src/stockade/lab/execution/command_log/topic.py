"""The topic of a run or a recording, from its name to its end, and the wait until workers read it.

Neighbours: `log_workers.py` (bursts) and `recording/command_log.py` start the workers.
"""

import asyncio
import os
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Final

from stockade.kafka.admin import Admin
from stockade.kafka.options import KafkaOptions
from stockade.lab.errors import LabError
from stockade.lab.execution.command_log.log_worker import LogAddress, LogWorkerConfig

ASSIGNMENT_WAIT_S: Final = 30.0
POLL_S: Final = 0.02


def new_address(bootstrap: str, partitions: int) -> LogAddress:
    """A topic of this process: `stockade-lab-PID-…`, so that whoever finds one that is left knows the lab it is of.

    Args:
        bootstrap: Kafka's bootstrap servers.
        partitions: of the topic.
    """
    name = f"stockade-lab-{os.getpid()}-{secrets.token_hex(6)}"
    return LogAddress(bootstrap, name, name, partitions)


@asynccontextmanager
async def topic_of(config: LogWorkerConfig) -> AsyncIterator[KafkaOptions]:
    """The topic that workers create inside the block; it and that of its dead letters are deleted at the end."""
    log = config.kafka
    try:
        yield log
    finally:
        with Admin(log.brokers) as admin:
            for topic in (log.topic, log.dead_topic):
                await asyncio.to_thread(admin.delete_topic, topic)


async def wait_for_assignment(assigned: Callable[[], Awaitable[Sequence[Sequence[int]]]], partitions: int) -> None:
    """Wait until each partition is assigned to one worker, evenly: a fault that kills an idle one shows nothing.

    Args:
        assigned: of each worker, the partitions that it reads now.
        partitions: how many there are.

    Raises:
        LabError: not in time.
    """
    deadline = asyncio.get_running_loop().time() + ASSIGNMENT_WAIT_S
    while asyncio.get_running_loop().time() < deadline:
        found = await assigned()
        complete = sorted(number for each in found for number in each) == list(range(partitions))
        if complete and min(map(len, found)) >= partitions // len(found):
            return
        await asyncio.sleep(POLL_S)
    raise LabError(f"the partitions of the log were not all read within {ASSIGNMENT_WAIT_S:.0f} s")
