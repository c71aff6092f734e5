"""`kafka`: a partition of a log decides who is next; workers take whole batches."""

import asyncio
import itertools
import time
from dataclasses import dataclass
from typing import ClassVar
from uuid import uuid4

from stockade.core import Accepted, Busy, Command, Guard, NotSupported, Pending, Promise, Rejected, Store, Unknown
from stockade.strategies.base import Base
from stockade.strategies.kafka_log import NotSent, Replies, Topics, Writer, client
from stockade.strategies.kafka_options import KafkaOptions, message_key
from stockade.strategies.kafka_replies import Answer, decode_replies
from stockade.strategies.options import Options

COMMANDS = {"cleanup.policy": "delete", "retention.ms": str(7 * 24 * 3_600_000)}
DEAD = {"cleanup.policy": "delete", "retention.ms": "-1"}
REPLIES = {"cleanup.policy": "delete", "retention.ms": "600000"}
REPLY_TO, TICKET = "reply-to", "ticket"


@dataclass(slots=True, eq=False)
class Waiting:
    """A caller: its future, and whether the brokers have its command."""

    future: asyncio.Future[Answer]
    accepted: bool = False


class Kafka(Base):
    """A command is a message of a Kafka topic, keyed by its smallest stock key; workers decide whole batches.

    Same product, same partition, one worker, so batches of one hot row never meet (seed 004's choice); the consumed
    position moves in the same transaction as the orders, so nothing is decided twice or lost. This process only writes
    the log: it needs `stockade worker` beside it. (Kreps, "The Log", 2013.)
    """

    name: ClassVar[str] = "kafka"
    promise: ClassVar[Promise] = Promise(faults=("crash", "pause", "broker"), order="fifo", needs=("kafka",))

    def __init__(self, store: Store, options: Options | None = None) -> None:
        super().__init__(store, options)
        self._instance = uuid4().hex
        self._tickets = itertools.count()
        self._waiting: dict[int, Waiting] = {}
        self._writer: Writer | None = None
        self._replies: Replies | None = None

    @property
    def guard(self) -> Guard:
        """What the workers decide under."""
        return Guard.ROW

    @property
    def log(self) -> KafkaOptions:
        """Where the log is.

        Raises:
            NotSupported: the options name none.
        """
        if self.options.kafka is None:
            raise NotSupported("the strategy kafka needs to know its brokers: set kafka_bootstrap")
        return self.options.kafka

    @property
    def depth(self) -> int:
        """Commands under way."""
        return len(self._waiting)

    async def start(self) -> None:
        """Make the topics that are not there, and listen for outcomes.

        Raises:
            Busy: the brokers cannot be reached (DEPENDENCY_DOWN).
            NotSupported: no client library, or no brokers named.
        """
        if self._writer is None:
            client()
            await asyncio.to_thread(make_topics, self.log)
            topic = self.log.reply_topic(self._instance)
            topics = Topics(self.log.bootstrap)
            await asyncio.to_thread(topics.ensure, topic, 1, self.log.replication, REPLIES)
            self._replies = Replies(self.log.bootstrap, topic, self._heard)
            self._writer = Writer(self.log.bootstrap)
            await asyncio.to_thread(self._writer.warm, self.log.topic)

    async def stop(self) -> None:
        """Send what is not sent yet, wait for nothing else; commands under way are decided without us."""
        writer, replies = self._writer, self._replies
        self._writer = self._replies = None
        if writer is not None and replies is not None:
            await asyncio.to_thread(writer.close)
            await asyncio.to_thread(replies.close)
            topics = Topics(self.log.bootstrap)
            try:
                await asyncio.to_thread(topics.remove, self.log.reply_topic(self._instance))
            except Busy:  # the brokers are away, and a topic left behind is empty after ten minutes
                return

    async def execute(self, command: Command) -> Accepted | Rejected:
        """Queue the command and wait for its outcome.

        Raises:
            Pending: it is in the log, and not decided within `wait_s`: it will be.
            Unknown: the brokers did not confirm within `wait_s`: it may be decided yet, or never.
            Busy: too many are under way (TOO_MANY_REQUESTS), or this process does not run (DEPENDENCY_DOWN).
            RequestReused: the request id was used with other content.
        """
        ticket, waiting = self._send(command)
        try:
            async with asyncio.timeout(self.options.wait_s):
                answer = await waiting.future
        except TimeoutError:
            raise self._late(command, waiting) from None
        finally:
            del self._waiting[ticket]
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def submit(self, command: Command) -> float:
        """Queue the command and wait only until it is safe in the log; how many seconds that took.

        Raises:
            Unknown, Busy: as `execute`.
        """
        began_s = time.monotonic()
        value, key = self._message(command)
        writer = self._running()
        try:
            await writer.deliver(self.log.topic, value, key=key, headers={}, wait_s=self.options.wait_s)
        except NotSent as error:
            raise ValueError(f"{command.name} cannot be queued: {error}") from error
        except Busy as error:
            if error.code == "TOO_MANY_REQUESTS":
                raise
            raise Unknown(f"Kafka did not confirm {command.request_id}; send the same request id again") from error
        return time.monotonic() - began_s

    def _send(self, command: Command) -> tuple[int, Waiting]:
        writer = self._running()
        if len(self._waiting) >= self.options.queue_size:
            text = f"{len(self._waiting)} commands are under way already; {self.options.queue_size} may be"
            raise Busy(text, "TOO_MANY_REQUESTS")
        value, key = self._message(command)
        ticket, waiting = next(self._tickets), Waiting(asyncio.get_running_loop().create_future())
        headers = {REPLY_TO: self._instance.encode(), TICKET: b"%d" % ticket}

        def done(error: Exception | None) -> None:  # on the writer's thread: only read when the wait has ended
            waiting.accepted = error is None

        self._waiting[ticket] = waiting
        try:
            writer.send(self.log.topic, value, key=key, headers=headers, done=done)
        except BaseException as error:
            del self._waiting[ticket]
            if isinstance(error, NotSent):
                raise ValueError(f"{command.name} cannot be queued: {error}") from error
            raise
        return ticket, waiting

    def _running(self) -> Writer:
        if self._writer is None:
            raise Busy("the strategy kafka is not running", "DEPENDENCY_DOWN")
        return self._writer

    def _message(self, command: Command) -> tuple[bytes, bytes | None]:
        key = message_key(command)
        return self.log.encode(command), None if key is None else str(key).encode()

    def _late(self, command: Command, waiting: Waiting) -> Pending | Unknown:
        if waiting.accepted:
            return Pending(command.request_id)
        return Unknown(f"Kafka did not confirm {command.request_id}; send the same request id again")

    def _heard(self, message: bytes) -> None:
        for ticket, answer in decode_replies(message):
            waiting = self._waiting.get(ticket)
            if waiting is not None and not waiting.future.done():  # else: its caller has given up
                waiting.future.set_result(answer)


def make_topics(log: KafkaOptions) -> int:
    """Make the topics of commands and of dead letters unless they are there; the number of partitions. Blocks.

    Raises:
        Busy: the brokers cannot be reached.
    """
    topics = Topics(log.bootstrap)
    topics.ensure(log.dead_topic, 1, log.replication, DEAD)
    return topics.ensure(log.topic, log.partitions, log.replication, COMMANDS)
