"""Writes to Kafka: an idempotent producer on an event loop.

Neighbours: the strategy `kafka` writes commands, `partition_processor` replies, `dead_letters` dead letters,
`service.relay` events.
"""

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

from stockade.core import Busy
from stockade.kafka.client import (
    CALL_TIMEOUT_S,
    CLOSE_TIMEOUT_S,
    ErrorReports,
    client_settings,
    load_library,
    make_client,
    topic_metadata,
    unavailable,
)
from stockade.kafka.security import Brokers

POLL_INTERVAL_S = 0.001  # how often a producer polls for the reports that somebody waits for
FLUSH_S = 0.001  # longest wait of one flush: the client's shortest, and nearly always long enough
MAX_MESSAGE_BYTES = 1_000_000  # the brokers' own default
FOREVER_MS = 2_147_483_647


class MessageRefused(Exception):
    """The client or the brokers refuse this message itself, e.g. as too large: it is not in the topic, and never is."""


OnDelivery = Callable[[Exception | None], None]


class _WithHeaders(NamedTuple):
    """A message of the next batch that has headers."""

    topic: str
    value: bytes
    key: bytes | None
    headers: list[tuple[str, bytes]]
    on_delivery: OnDelivery


class Producer:
    """An idempotent producer (acks=all). It lives on an event loop, and receives most delivery reports there.

    The client calls back once for each message, under Python's lock. On a thread of its own that would be two thread
    switches for each order. So the loop polls for the reports instead: whenever it sends, and every
    `POLL_INTERVAL_S` while somebody waits for one.

    Args:
        brokers: see `Brokers`.
        delivery_timeout_s: after how long the client stops sending a message; None: never, so that the messages that
            have arrived are always a prefix of those that were sent to a partition.
        linger_ms: how long a message waits for others before it is sent. A batch of `enqueue` does not wait: a thread
            flushes it, because the client can end a linger only by `flush`, which blocks (docs/adr/0019).
        batch_interval_s: least time between two batches of `enqueue`; the first after a pause is sent at once.
    """

    def __init__(
        self,
        brokers: Brokers,
        delivery_timeout_s: float | None = 30.0,
        linger_ms: float = 0,
        batch_interval_s: float = 0,
    ) -> None:
        kafka = load_library()
        self._kafka_error: type[Exception] = kafka.KafkaException
        self._loop = asyncio.get_running_loop()
        settings = client_settings(brokers)
        self._reports: ErrorReports = settings["error_cb"]
        self._client: Any = make_client(
            kafka.Producer,
            {
                **settings,
                "enable.idempotence": True,
                "acks": "all",
                "linger.ms": linger_ms,
                "partitioner": "murmur2_random",  # what Java clients use: the same key, the same partition
                "delivery.timeout.ms": FOREVER_MS if delivery_timeout_s is None else int(delivery_timeout_s * 1000),
                "message.max.bytes": MAX_MESSAGE_BYTES,
                "queue.buffering.max.messages": 100_000,
            },
        )
        self._enqueued: dict[str, list[dict[str, Any]]] = {}  # by topic
        self._with_headers: list[_WithHeaders] = []
        self._batch_interval_s = batch_interval_s
        self._next_batch_s = 0.0  # on the loop's clock
        self._awaited: set[_AwaitedReport] = set()
        self._polls = False
        self._closed = False
        self._flusher = ThreadPoolExecutor(1, "stockade-kafka-flush") if linger_ms else None
        self._flushed: Future[int] | None = None

    def send(
        self,
        topic: str,
        value: bytes,
        *,
        key: bytes | None = None,
        headers: Mapping[str, bytes] | None = None,
        on_delivery: OnDelivery | None = None,
    ) -> None:
        """Send a message.

        Args:
            topic: its name.
            value: at most a million bytes.
            key: messages of one key are in one partition, in order.
            headers: names and bytes.
            on_delivery: called with None when all in-sync replicas have it, else with the error, e.g. `MessageRefused`;
                on the loop or on another thread, and must not block.

        Raises:
            Busy: too many messages wait for the brokers (TOO_MANY_REQUESTS), or the client can send no more
                (DEPENDENCY_DOWN).
            MessageRefused: by the client.
        """
        pairs = list(headers.items()) if headers else None
        if on_delivery is None:
            self._produce(topic, value, key, pairs, None)
            self.poll()
            return
        report = _AwaitedReport(self._awaited, on_delivery)
        try:
            self._produce(topic, value, key, pairs, report)
        except BaseException:
            self._awaited.discard(report)
            raise
        self._poll_soon()

    def _produce(
        self, topic: str, value: bytes, key: bytes | None, headers: list[tuple[str, bytes]] | None, report: Any
    ) -> None:
        try:
            self._client.produce(topic, value, key, headers=headers, callback=report)
        except BufferError as error:
            raise _queue_full() from error
        except self._kafka_error as error:
            raise _not_taken(error.args[0]) from error

    def enqueue(
        self,
        topic: str,
        value: bytes,
        *,
        key: bytes | None,
        on_delivery: OnDelivery,
        headers: Mapping[str, bytes] | None = None,
    ) -> None:
        """Add a message to the next batch: the messages of one pass of the event loop, or of one batch interval.

        A batch travels in one request, and its reader gets it in one answer: requests cost more than messages. The
        parameters are those of `send`; `on_delivery` also gets the errors that `send` would raise. Delivery reports
        arrive when something else is sent or flushed, or with `poll`. The client takes those with headers one by one.
        """
        if not self._enqueued and not self._with_headers:
            self._loop.call_at(max(self._next_batch_s, self._loop.time()), self.send_batch)
        if headers:
            self._with_headers.append(_WithHeaders(topic, value, key, list(headers.items()), on_delivery))
            return
        message = {"value": value, "key": key, "callback": _report(on_delivery), "_on_delivery": on_delivery}
        self._enqueued.setdefault(topic, []).append(message)

    def send_batch(self) -> None:
        """Send the next batch now."""
        batch, self._enqueued = self._enqueued, {}
        single, self._with_headers = self._with_headers, []
        self._next_batch_s = self._loop.time() + self._batch_interval_s
        for topic, messages in batch.items():
            if self._client.produce_batch(topic, messages) < len(messages):
                for message in messages:
                    if error := message.get("_error"):
                        message["_on_delivery"](_not_taken(error))
        for each in single:
            try:
                self._produce(each.topic, each.value, each.key, each.headers, _report(each.on_delivery))
            except (Busy, MessageRefused) as error:
                each.on_delivery(error)
        if (batch or single) and self._flusher is not None and not self._closed:
            self._flush(self._flusher)
        self.poll()

    def _flush(self, flusher: ThreadPoolExecutor) -> None:
        """End the linger of the batch; a flush that still runs does it too, or else the batch lingers."""
        if self._flushed is None or self._flushed.done():
            self._flushed = flusher.submit(self._client.flush, FLUSH_S)
            self._flushed.add_done_callback(self._raise_on_loop)

    def _raise_on_loop(self, flushed: "Future[int]") -> None:
        """An error of an `on_delivery` on that thread goes to the loop's exception handler, as one on the loop does."""
        if flushed.exception() is not None:
            self._loop.call_soon_threadsafe(flushed.result)

    def poll(self) -> None:
        """Receive the delivery reports that have arrived."""
        self._client.poll(0)

    async def deliver(
        self, topic: str, value: bytes, *, key: bytes | None, headers: Mapping[str, bytes], wait_s: float
    ) -> None:
        """Send, and wait until all in-sync replicas have it.

        Raises:
            Busy: not within `wait_s` seconds (DEPENDENCY_DOWN); it may arrive later.
            MessageRefused: by the client or by the brokers.
        """
        delivered: asyncio.Future[Exception | None] = self._loop.create_future()

        def settle(error: Exception | None) -> None:
            if not delivered.done():
                delivered.set_result(error)

        def on_delivery(error: Exception | None) -> None:
            self._loop.call_soon_threadsafe(settle, error)

        self.send(topic, value, key=key, headers=headers, on_delivery=on_delivery)
        try:
            async with asyncio.timeout(wait_s):
                error = await delivered
        except TimeoutError as late:
            raise Busy(f"Kafka did not confirm within {wait_s} s", "DEPENDENCY_DOWN") from late
        if isinstance(error, MessageRefused):
            raise error
        if error is not None:
            raise unavailable(error) from error

    def fetch_metadata(self, topic: str, wait_s: float = CALL_TIMEOUT_S) -> None:
        """Learn a topic's leaders now, so that the first message does not wait for it. Blocks.

        Args:
            topic: its name.
            wait_s: the longest that it may take, in seconds.

        Raises:
            Busy: the brokers cannot be reached.
        """
        topic_metadata(self._client, self._reports, topic, wait_s)

    def _poll_soon(self) -> None:
        if not self._polls:
            self._polls = True
            self._loop.call_later(POLL_INTERVAL_S, self._poll_while_awaited)

    def _poll_while_awaited(self) -> None:
        self._polls = False
        if not self._closed:
            self.poll()
            if self._awaited:
                self._poll_soon()

    def close(self, wait_s: float = CLOSE_TIMEOUT_S) -> int:
        """Send what waits, for at most `wait_s` seconds; how many messages are given up. Blocks: use a thread.

        Nothing may be enqueued from here on.
        """
        self._closed = True
        if self._flusher is not None:
            self._flusher.shutdown()
        left = int(self._client.flush(wait_s))
        self._client.purge()
        self._client.flush(0)
        return left


class _AwaitedReport:
    """A delivery report that somebody waits for; the producer polls until it arrives."""

    __slots__ = ("_awaited", "_report")

    def __init__(self, awaited: "set[_AwaitedReport]", on_delivery: OnDelivery) -> None:
        self._awaited, self._report = awaited, _report(on_delivery)
        awaited.add(self)  # before the message is sent: the report may come on another thread

    def __call__(self, error: Any, message: Any) -> None:
        self._awaited.discard(self)
        self._report(error, message)


def _report(on_delivery: OnDelivery) -> Callable[[Any, Any], None]:
    def report(error: Any, _message: Any) -> None:
        on_delivery(None if error is None else _delivery_error(error))

    return report


def _delivery_error(error: Any) -> Exception:
    """The error of a message that the client has tried to deliver."""
    kafka = load_library()
    refused = (kafka.KafkaError.MSG_SIZE_TOO_LARGE, kafka.KafkaError.INVALID_RECORD, kafka.KafkaError.INVALID_MSG)
    return MessageRefused(error.str()) if error.code() in refused else kafka.KafkaException(error)


def _not_taken(error: Any) -> Busy | MessageRefused:
    """The error of a message that the client did not take."""
    if error.code() == load_library().KafkaError._QUEUE_FULL:  # noqa: SLF001 - the client's own errors all begin so
        return _queue_full()
    cause = _delivery_error(error)
    return cause if isinstance(cause, MessageRefused) else unavailable(cause)


def _queue_full() -> Busy:
    return Busy("too many messages wait for Kafka", "TOO_MANY_REQUESTS")
