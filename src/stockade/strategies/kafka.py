"""`kafka`: a partition of a topic orders the commands; workers decide them in batches."""

import asyncio
import itertools
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar
from uuid import uuid4

from stockade.core import Busy, Command, Guarantees, Guard, NotSupported, Outcome, Pending, Store, Unknown
from stockade.kafka.admin import create_topic, create_topics, delete_topic
from stockade.kafka.client import load_library
from stockade.kafka.message import message_key
from stockade.kafka.options import WORKER_GUARD, KafkaOptions
from stockade.kafka.producer import MessageRefused, Producer
from stockade.kafka.replies import decode_replies
from stockade.kafka.reply_reader import ReplyReader
from stockade.strategies.base import Base
from stockade.strategies.options import Options

BATCH_INTERVAL_S = 0.005  # between two requests of a busy service; a worker needs longer for a batch anyway
# At 0 the client sends the first message of a batch alone. A message that has waited for longer than this behind a
# request of the same partition makes the client spin until the answer (librdkafka 2.16). The producer ends the linger.
LINGER_MS = 1.0
PROBE_WAIT_S = 2.0  # for the brokers, when somebody asks whether this strategy is ready
REPLIES = {"cleanup.policy": "delete", "retention.ms": "600000"}


@dataclass(slots=True, eq=False)
class PendingCall:
    """A caller that waits for its outcome: its future, and its deadline on the loop's clock.

    Attributes:
        confirmed: whether the brokers have the command.
    """

    command: Command
    future: asyncio.Future[Outcome]
    deadline: float
    confirmed: bool = False

    def on_delivery(self, error: Exception | None) -> None:
        """See `Producer.enqueue`; on any thread."""
        if error is None:
            self.confirmed = True
        elif isinstance(error, MessageRefused):
            text = f"{self.command.name} cannot be queued: {error}"
            self.future.get_loop().call_soon_threadsafe(self.fail, ValueError(text))
        elif isinstance(error, Busy):
            self.future.get_loop().call_soon_threadsafe(self.fail, error)
        # after any other error the command may be in the topic all the same: wait until the deadline

    def fail(self, error: Exception) -> None:
        """Raise this to the caller, unless the call has ended."""
        if not self.future.done():
            self.future.set_exception(error)

    def timeout(self) -> Pending | Unknown:
        """The error of a call whose deadline has passed."""
        if self.confirmed:
            return Pending(self.command.request_id)
        return _not_confirmed(self.command)


class Kafka(Base):
    """A command is a message of a Kafka topic, keyed by its smallest key; workers decide whole batches.

    Orders of one product are in one partition, and one worker decides it, so batches of one hot row never compete. The
    consumed offset is committed in the same transaction as the orders, so nothing is decided twice or lost. This
    process only writes the topic: `stockade worker` must run beside it. (Kreps, "The Log", 2013.)
    """

    name: ClassVar[str] = "kafka"
    guarantees: ClassVar[Guarantees] = Guarantees(order="fifo", needs=("kafka",))

    def __init__(self, store: Store, options: Options | None = None) -> None:
        super().__init__(store, options)
        self._instance = uuid4().hex
        self._reply_to = self._instance.encode()
        self._correlation_ids = itertools.count()
        self._calls: dict[int, PendingCall] = {}  # by correlation id, in the order of their deadlines
        self._has_timer = False
        self._producer: Producer | None = None
        self._replies: ReplyReader | None = None
        self._probe: asyncio.Task[None] | None = None  # the last question whether the brokers answer

    @property
    def guard(self) -> Guard:
        """The guard under which the workers decide."""
        return WORKER_GUARD

    @property
    def kafka_options(self) -> KafkaOptions:
        """The topic of commands.

        Raises:
            NotSupported: the options name none.
        """
        if self.options.kafka is None:
            raise NotSupported("the strategy kafka needs to know its brokers: set kafka_bootstrap")
        return self.options.kafka

    @property
    def depth(self) -> int:
        """Commands that this process waits for."""
        return len(self._calls)

    async def start(self) -> None:
        """Create the topics that do not exist, and read replies.

        Raises:
            Busy: the brokers cannot be reached (DEPENDENCY_DOWN).
            NotSupported: no client library, or no brokers named.
        """
        if self._producer is None:
            load_library()
            kafka = self.kafka_options
            await asyncio.to_thread(create_topics, kafka)
            reply_topic = kafka.reply_topic(self._instance)
            await asyncio.to_thread(create_topic, kafka.brokers, reply_topic, 1, kafka.replication, REPLIES)
            self._replies = ReplyReader(kafka.brokers, reply_topic, self._on_reply)
            self._producer = Producer(kafka.brokers, linger_ms=LINGER_MS, batch_interval_s=BATCH_INTERVAL_S)
            await asyncio.to_thread(self._producer.fetch_metadata, kafka.topic)

    async def stop(self) -> None:
        """Send the commands that are not sent yet, and wait for no outcome: the workers decide them all the same."""
        producer, replies = self._producer, self._replies
        self._producer = self._replies = None
        if producer is not None and replies is not None:
            producer.send_batch()
            await asyncio.to_thread(producer.close)
            await asyncio.to_thread(replies.close)
            kafka = self.kafka_options
            try:
                await asyncio.to_thread(delete_topic, kafka.brokers, kafka.reply_topic(self._instance))
            except Busy:  # the brokers are away, and a topic left behind is empty after ten minutes
                return

    async def execute(self, command: Command) -> Outcome:
        """Queue the command and wait for its outcome.

        Raises:
            Pending: it is in the topic, and not decided within `wait_s`: it will be.
            Unknown: the brokers did not confirm within `wait_s`: it may be decided later, or never.
            Busy: too many are in flight (TOO_MANY_REQUESTS), or this process does not run (DEPENDENCY_DOWN).
            IdempotencyKeyReused: the request id was used with other content.
        """
        correlation_id, call = self._enqueue(command)
        try:
            return await call.future
        finally:
            del self._calls[correlation_id]

    def _enqueue(self, command: Command) -> tuple[int, PendingCall]:
        producer = self._require_producer()
        if len(self._calls) >= self.options.queue_size:
            text = f"{len(self._calls)} commands are under way already; {self.options.queue_size} may be"
            raise Busy(text, "TOO_MANY_REQUESTS")
        correlation_id, loop = next(self._correlation_ids), asyncio.get_running_loop()
        value = self.kafka_options.codec.encode(command, self._reply_to, correlation_id)
        call = PendingCall(command, loop.create_future(), loop.time() + self.options.wait_s)
        producer.enqueue(
            self.kafka_options.topic,
            value,
            key=self._key(command),
            on_delivery=call.on_delivery,
            headers=_headers(self.kafka_options, command),
        )
        self._calls[correlation_id] = call
        if not self._has_timer:
            self._has_timer = True
            loop.call_at(call.deadline, self._end_late_calls)
        return correlation_id, call

    def _on_reply(self, message: bytes) -> None:
        for correlation_id, answer in decode_replies(message):
            call = self._calls.get(correlation_id)
            if call is None or call.future.done():
                continue  # its caller has given up
            if isinstance(answer, Exception):
                call.future.set_exception(answer)
            else:
                call.future.set_result(answer)

    def _end_late_calls(self) -> None:
        """End the calls whose deadline has passed. All wait for the same time: one timer, for the oldest, is enough."""
        loop = asyncio.get_running_loop()
        if self._producer is not None:
            self._producer.poll()  # to know which commands the brokers have confirmed
        self._has_timer = False
        for call in self._calls.values():
            if call.deadline > loop.time():
                self._has_timer = True
                loop.call_at(call.deadline, self._end_late_calls)
                return
            call.fail(call.timeout())

    async def submit(self, command: Command) -> float:
        """Queue the command and wait only until the brokers have confirmed it; how many seconds that took.

        Raises:
            Unknown, Busy: as `execute`.
        """
        began_s = time.monotonic()
        producer = self._require_producer()
        kafka = self.kafka_options
        value = kafka.codec.encode(command, b"", 0)
        try:
            headers = _headers(kafka, command) or {}
            await producer.deliver(
                kafka.topic, value, key=self._key(command), headers=headers, wait_s=self.options.wait_s
            )
        except MessageRefused as error:
            raise ValueError(f"{command.name} cannot be queued: {error}") from error
        except Busy as error:
            if error.code == "TOO_MANY_REQUESTS":
                raise
            raise _not_confirmed(command) from error
        return time.monotonic() - began_s

    def _key(self, command: Command) -> bytes | None:
        key = message_key(command, self.kafka_options.partition_kind)
        return None if key is None else str(key).encode()

    async def missing_server(self, wait_s: float) -> str:
        """See `stockade.core.SupportsReadiness`. Callers at the same time share one question to the brokers."""
        producer = self._producer
        if producer is None:
            return "the strategy kafka is not running"
        if self._probe is None or self._probe.done():
            look = asyncio.to_thread(producer.fetch_metadata, self.kafka_options.topic, min(wait_s, PROBE_WAIT_S))
            self._probe = asyncio.create_task(look, name="stockade-kafka-probe")
        done, _ = await asyncio.wait([self._probe], timeout=wait_s)
        if not done:
            return "Kafka did not answer in time"
        error = self._probe.exception()
        if isinstance(error, Busy):
            return f"Kafka cannot be used: {error.code}"
        if error is not None:
            raise error
        return ""

    def _require_producer(self) -> Producer:
        if self._producer is None:
            raise Busy("the strategy kafka is not running", "DEPENDENCY_DOWN")
        return self._producer


def _headers(kafka: KafkaOptions, command: Command) -> Mapping[str, bytes] | None:
    return None if kafka.context is None else kafka.context.headers(command)


def _not_confirmed(command: Command) -> Unknown:
    return Unknown(f"Kafka did not confirm {command.request_id}; send the same request id again")
