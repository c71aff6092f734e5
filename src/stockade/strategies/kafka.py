"""`kafka`: a partition of a log decides who is next; workers take whole batches."""

import asyncio
import itertools
import time
from dataclasses import dataclass
from typing import ClassVar
from uuid import uuid4

from stockade.core import Accepted, Busy, Command, Guarantees, Guard, NotSupported, Pending, Rejected, Store, Unknown
from stockade.kafka.client import client
from stockade.kafka.options import KafkaOptions, message_key
from stockade.kafka.producer import NotSent, Refusal, Writer
from stockade.kafka.replies import decode_replies
from stockade.kafka.topics import Replies, Topics, make_topics
from stockade.strategies.base import Base
from stockade.strategies.options import Options

GAP_S = 0.005  # between two requests of a busy service; a worker needs longer for a batch anyway
# At 0 the client sends the first of what is posted together alone, and what has waited for longer than this behind a
# request of the same partition makes it spin until the answer (librdkafka 2.16). The writer ends the linger itself.
LINGER_MS = 1.0
REPLIES = {"cleanup.policy": "delete", "retention.ms": "600000"}


@dataclass(slots=True, eq=False)
class Waiting:
    """A caller: its future, its deadline on the loop's clock, and whether the brokers have its command."""

    command: Command
    future: asyncio.Future[Accepted | Rejected]
    deadline: float
    accepted: bool = False

    def sent(self, error: Exception | None) -> None:
        """Hear what became of the message; on any thread."""
        if error is None:
            self.accepted = True
        elif isinstance(error, NotSent | Refusal):  # else it may be in the log all the same: the deadline tells
            text = f"{self.command.name} cannot be queued: {error}"
            self.future.get_loop().call_soon_threadsafe(self.end, ValueError(text))
        elif isinstance(error, Busy):
            self.future.get_loop().call_soon_threadsafe(self.end, error)

    def end(self, error: Exception) -> None:
        """Fail the call, unless it is over."""
        if not self.future.done():
            self.future.set_exception(error)

    def late(self) -> Pending | Unknown:
        """What a caller is told that has waited long enough."""
        if self.accepted:
            return Pending(self.command.request_id)
        return Unknown(f"Kafka did not confirm {self.command.request_id}; send the same request id again")


class Kafka(Base):
    """A command is a message of a Kafka topic, keyed by its smallest stock key; workers decide whole batches.

    Same product, same partition, one worker, so batches of one hot row never meet (seed 004's choice); the consumed
    position moves in the same transaction as the orders, so nothing is decided twice or lost. This process only writes
    the log: it needs `stockade worker` beside it. (Kreps, "The Log", 2013.)
    """

    name: ClassVar[str] = "kafka"
    guarantees: ClassVar[Guarantees] = Guarantees(faults=("crash", "pause", "broker"), order="fifo", needs=("kafka",))

    def __init__(self, store: Store, options: Options | None = None) -> None:
        super().__init__(store, options)
        self._instance = uuid4().hex
        self._reply_to = self._instance.encode()
        self._tickets = itertools.count()
        self._waiting: dict[int, Waiting] = {}  # in the order of their deadlines
        self._watched = False
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
            topics = Topics(self.log.brokers)
            await asyncio.to_thread(topics.ensure, topic, 1, self.log.replication, REPLIES)
            self._replies = Replies(self.log.brokers, topic, self._heard)
            self._writer = Writer(self.log.brokers, linger_ms=LINGER_MS, gap_s=GAP_S)
            await asyncio.to_thread(self._writer.warm, self.log.topic)

    async def stop(self) -> None:
        """Send what is not sent yet, wait for nothing else; commands under way are decided without us."""
        writer, replies = self._writer, self._replies
        self._writer = self._replies = None
        if writer is not None and replies is not None:
            writer.flush()
            await asyncio.to_thread(writer.close)
            await asyncio.to_thread(replies.close)
            topics = Topics(self.log.brokers)
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
            IdempotencyKeyReused: the request id was used with other content.
        """
        ticket, waiting = self._queue(command)
        try:
            return await waiting.future
        finally:
            del self._waiting[ticket]

    async def submit(self, command: Command) -> float:
        """Queue the command and wait only until it is safe in the log; how many seconds that took.

        Raises:
            Unknown, Busy: as `execute`.
        """
        began_s = time.monotonic()
        writer, key = self._running(), _key(command)
        try:
            value = self.log.encode(command)
            await writer.deliver(self.log.topic, value, key=key, headers={}, wait_s=self.options.wait_s)
        except NotSent as error:
            raise ValueError(f"{command.name} cannot be queued: {error}") from error
        except Busy as error:
            if error.code == "TOO_MANY_REQUESTS":
                raise
            raise Unknown(f"Kafka did not confirm {command.request_id}; send the same request id again") from error
        return time.monotonic() - began_s

    def _queue(self, command: Command) -> tuple[int, Waiting]:
        writer = self._running()
        if len(self._waiting) >= self.options.queue_size:
            text = f"{len(self._waiting)} commands are under way already; {self.options.queue_size} may be"
            raise Busy(text, "TOO_MANY_REQUESTS")
        ticket, loop = next(self._tickets), asyncio.get_running_loop()
        value = self.log.encode(command, self._reply_to, ticket)
        waiting = Waiting(command, loop.create_future(), loop.time() + self.options.wait_s)
        writer.post(self.log.topic, value, key=_key(command), done=waiting.sent)
        self._waiting[ticket] = waiting
        if not self._watched:
            self._watched = True
            loop.call_at(waiting.deadline, self._watch)
        return ticket, waiting

    def _watch(self) -> None:
        """End the calls whose deadline is over. All wait for the same time, so one timer, for the oldest, is enough."""
        loop = asyncio.get_running_loop()
        if self._writer is not None:
            self._writer.hear()  # nearly all that is safe in the log is known then, if anybody asks
        self._watched = False
        for waiting in self._waiting.values():
            if waiting.deadline > loop.time():
                self._watched = True
                loop.call_at(waiting.deadline, self._watch)
                return
            waiting.end(waiting.late())

    def _running(self) -> Writer:
        if self._writer is None:
            raise Busy("the strategy kafka is not running", "DEPENDENCY_DOWN")
        return self._writer

    def _heard(self, message: bytes) -> None:
        for ticket, answer in decode_replies(message):
            waiting = self._waiting.get(ticket)
            if waiting is None or waiting.future.done():
                continue  # its caller has given up
            if isinstance(answer, Exception):
                waiting.future.set_exception(answer)
            else:
                waiting.future.set_result(answer)


def _key(command: Command) -> bytes | None:
    key = message_key(command)
    return None if key is None else str(key).encode()
