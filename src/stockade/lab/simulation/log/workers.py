"""The workers of the simulated log: each a process with a store, and the worker of production in it.

Neighbours: `simulation.py` starts, crashes and stops them; `client_library.py` is what they read and write with.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from stockade.core import Busy
from stockade.kafka.message import BadMessage, Record
from stockade.kafka.options import KafkaOptions
from stockade.kafka.worker import KafkaWorker
from stockade.lab.history.final_state import LogRecord
from stockade.lab.simulation.database.server import DatabaseServer
from stockade.lab.simulation.log.broker import Broker, LogFaults
from stockade.lab.simulation.log.client_library import simulated_library
from stockade.lab.simulation.log.group import Group
from stockade.lab.simulation.service import open_store
from stockade.lab.simulation.world import Process, World
from stockade.store.consumer_offsets import ConsumerOffsets
from stockade.store.engine.backends import CommitUnconfirmed
from stockade.store.schema.tables import DEFAULT

WORKERS = 2


@dataclass
class Worker:
    """One worker: its process, what ends it, and its task."""

    process: Process
    stop: asyncio.Event
    task: "asyncio.Task[None]"


class Workers:
    """The log and its workers.

    Args:
        world: where they are.
        server: the database.
        options: the topic.
        faults: see `LogFaults`.

    Attributes:
        broker: the log.
        group: of the workers.
        running: the workers; one that crashed is replaced.
    """

    def __init__(self, world: World, server: DatabaseServer, options: KafkaOptions, faults: LogFaults) -> None:
        self._world, self._server, self._options = world, server, options
        self.broker = Broker(world, faults, {options.topic: options.partitions})
        self.group = Group(world, options.partitions)
        self.running: list[Worker] = []

    @contextmanager
    def library(self) -> Iterator[None]:
        """See `simulated_library`."""
        with simulated_library(self.broker, self.group):
            yield

    def start(self, name: str) -> None:
        """Start one more worker."""
        self.running.append(self._start(name))

    def _start(self, name: str) -> Worker:
        process, stop = self._world.process(name), asyncio.Event()

        async def work() -> None:
            await KafkaWorker(open_store(self._server, process), self._options).run(stop)

        task = process.loop.create_task(work())
        task.add_done_callback(lambda ended: None if ended.cancelled() else ended.result())
        return Worker(process, stop, task)

    def replace(self, process: Process) -> None:
        """Start another worker in the place of this process, if it was one."""
        for number, worker in enumerate(self.running):
            if worker.process is process:
                self.running[number] = self._start(f"{process.name}'")

    def stop_one(self) -> None:
        """End the first worker as SIGTERM does; the others take its partitions."""
        if len(self.running) > 1:
            self._stop(self.running[0])

    def _stop(self, worker: Worker) -> None:
        worker.process.loop.call_soon(worker.stop.set)

    def poison(self) -> None:
        """Put a message that is no command into each partition."""
        for number, records in enumerate(self.broker.topics[self._options.topic]):
            records.append(Record(number, len(records), None, b"no command", {}))

    def rewind(self) -> None:
        """Let a person set the first partition back to its first message, and the group assign all anew."""
        process = self._world.process("console")

        async def rewind() -> None:
            database = open_store(self._server, process).database
            await ConsumerOffsets(database, self._options.topic).rewind(0, 0)

        def rewound(task: "asyncio.Task[None]") -> None:
            if not task.cancelled() and not isinstance(task.exception(), Busy | CommitUnconfirmed):
                task.result()  # who sees one of these does not know whether it is set, and goes on all the same
            self.group.rotate()

        process.loop.create_task(rewind()).add_done_callback(rewound)

    def stop(self) -> Callable[[], bool]:
        """Ask every worker to end; whether all have."""
        for worker in self.running:
            self._stop(worker)
        return lambda: all(worker.task.done() for worker in self.running)

    # -- for the end of a run ------------------------------------------------------------------------------

    def is_drained(self) -> bool:
        """Whether every worker that crashed is replaced, and the position of each partition is at its end."""
        if any(worker.process.loop.crashed for worker in self.running):
            return False
        table = self._server.tables[DEFAULT.consumer_offsets.name]
        for number, records in enumerate(self.broker.topics[self._options.topic]):
            row = table.latest((self._options.topic, number))
            if records and (row is None or row["position"] < len(records)):
                return False
        return True

    def records(self) -> tuple[LogRecord, ...]:
        """The commands of the log."""
        found = []
        for records in self.broker.topics[self._options.topic]:
            for record in records:
                try:
                    command = self._options.codec.decode(record.value or b"").command
                except BadMessage:
                    continue
                found.append(LogRecord(record.partition, record.offset, command.request_id))
        return tuple(found)

    def dead_letters(self) -> int:
        """How many messages were put aside."""
        return len(self.broker.partitions(self._options.dead_topic)[0])
