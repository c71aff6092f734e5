"""The command log of a recording under the strategy `kafka`: its topic, and the worker processes that decide it.

Neighbours: `execution/command_log/` has the topic and runs a worker in a process, `service_processes.py` are the
processes, so that faults can kill and pause them.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Final, NamedTuple

from stockade.core import JsonValue
from stockade.kafka.admin import Admin, read_topic
from stockade.kafka.options import KafkaOptions
from stockade.lab.errors import LabError
from stockade.lab.execution.command_log.log_worker import LogWorkerConfig
from stockade.lab.execution.command_log.topic import new_address, topic_of, wait_for_assignment
from stockade.lab.execution.processes.messages import OpenLogWorker
from stockade.lab.history.final_state import LogRecord
from stockade.lab.recording.plan import RecordingPlan
from stockade.lab.recording.service_processes import ServiceProcesses, running

MAX_RECORDS: Final = 10_000_000


class CommandLog(NamedTuple):
    """An open log: where it is, and the processes that decide it."""

    options: KafkaOptions
    workers: ServiceProcesses

    async def records(self) -> tuple[LogRecord, ...]:
        """What the topic contains, in the order of its partitions."""
        log = self.options
        found: list[LogRecord] = []
        for number in range(log.partitions):
            records = await asyncio.to_thread(read_topic, log.brokers, log.topic, MAX_RECORDS, number)
            commands = [log.codec.decode(each.value or b"").command for each in records]
            pairs = zip(records, commands, strict=True)
            found += [LogRecord(each.partition, each.offset, command.request_id) for each, command in pairs]
        return tuple(found)

    async def ends(self) -> list[JsonValue]:
        """Of each partition: its number, the offset of its oldest record, and the one of the next."""
        with Admin(self.options.brokers) as admin:
            ranges = await asyncio.to_thread(admin.offset_ranges, self.options.topic)
        return [[number, each.first, each.end] for number, each in sorted(ranges.items())]


@asynccontextmanager
async def open_command_log(plan: RecordingPlan, url: str, bootstrap: str) -> AsyncIterator[CommandLog]:
    """Create a topic and let workers decide it; ready when all partitions are assigned. It is deleted at the end.

    Args:
        plan: of the recording.
        url: of the database.
        bootstrap: Kafka's bootstrap servers.

    Raises:
        LabError: a process failed, or the partitions were not all assigned in time.
    """
    config = LogWorkerConfig(url, new_address(bootstrap, plan.partitions), plan.open_connections, plan.app)
    fault_points = any(fault.fault_points for fault in plan.faults)
    async with (
        topic_of(config) as log,
        running("log worker", plan.workers, OpenLogWorker(config, fault_points)) as workers,
    ):
        await wait_for_assignment(partial(_assigned, workers), plan.partitions)
        yield CommandLog(log, workers)


async def _assigned(workers: ServiceProcesses) -> list[Sequence[int]]:
    """The partitions of each worker.

    Raises:
        LabError: one has failed.
    """
    found = await workers.counters()
    if len(found) < workers.count:
        errors = [text for each in workers.processes for text in (*each.errors, *(end[-1] for end in each.ends))]
        raise LabError(f"a log worker failed at once: {'; '.join(errors)}")
    return [each.partitions for each in found]
