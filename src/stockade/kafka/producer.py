"""Writes to Kafka: an idempotent producer on an event loop.

Neighbours: the strategy `kafka` writes commands, `shop.lane` replies and dead letters, `shop.relay` events.
"""

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from stockade.core import Busy
from stockade.kafka.client import CALL_S, Reports, client, common, down, make, metadata
from stockade.kafka.security import Brokers
from stockade.kafka.topics import END_S

ASK_S = 0.001  # how often a writer asks for the answers that somebody waits for
PUSH_S = 0.001  # how long what was sent is pushed: the client's shortest wait, and nearly always long enough
MAX_MESSAGE = 1_000_000  # bytes; the brokers' own default


class NotSent(Exception):
    """The message was refused for what it is, e.g. too large: it is certainly not in the log."""


class Refusal(Exception):
    """The brokers refuse this message for what it is, e.g. too large for the topic: sending again would not help."""


Done = Callable[[Exception | None], None]


class Writer:
    """An idempotent producer (acks=all). It lives on an event loop, and hears most of the brokers' answers there.

    The client calls back once for each message and takes Python's lock for it; on a thread of its own that is two
    changes of thread for each order, so the loop asks for the answers instead: whenever it sends, and every few
    milliseconds while somebody waits for them.

    A writer that lingers has a thread that ends the linger of what is posted together, since the client knows no other
    way than to call `flush`, which waits. (Without: 1 to 2 ms in which everybody slept, 6 % of a round of 128 callers.)

    Args:
        brokers: see `Brokers`.
        give_up_s: after how long the client stops sending a message; None: never, so that what has arrived is always a
            prefix of what was sent to a partition.
        linger_ms: how long a message waits for company before it leaves; what is posted has company and does not wait.
        gap_s: what is posted is sent at once when nothing was for so many seconds, else when they are over.
    """

    def __init__(
        self, brokers: Brokers, give_up_s: float | None = 30.0, linger_ms: float = 0, gap_s: float = 0
    ) -> None:
        kafka = client()
        self._failed: type[Exception] = kafka.KafkaException
        self._loop = asyncio.get_running_loop()
        settings = common(brokers)
        self._reports: Reports = settings["error_cb"]
        self._producer: Any = make(
            kafka.Producer,
            {
                **settings,
                "enable.idempotence": True,
                "acks": "all",
                "linger.ms": linger_ms,
                "partitioner": "murmur2_random",  # what Java clients use: the same key, the same partition
                "delivery.timeout.ms": 2_147_483_647 if give_up_s is None else int(give_up_s * 1000),
                "message.max.bytes": MAX_MESSAGE,
                "queue.buffering.max.messages": 100_000,
            },
        )
        self._posted: dict[str, list[dict[str, Any]]] = {}  # by topic
        self._gap_s = gap_s
        self._next_s = 0.0  # on the loop's clock: when what is posted may be sent
        self._awaited: set[_Awaited] = set()  # answers that somebody waits for
        self._asking = False
        self._closed = False
        self._pusher = ThreadPoolExecutor(1, "stockade-kafka-push") if linger_ms else None
        self._pushed: Future[int] | None = None

    def send(
        self,
        topic: str,
        value: bytes,
        *,
        key: bytes | None = None,
        headers: Mapping[str, bytes] | None = None,
        done: Done | None = None,
    ) -> None:
        """Put a message on its way.

        Args:
            topic: where to.
            value: at most a million bytes.
            key: messages of one key are in one partition, in order.
            headers: names and bytes.
            done: called with None when all in-sync replicas have it, else with a Refusal or what went wrong; on the
                loop or on another thread, and must not block.

        Raises:
            Busy: too many messages wait for the brokers (TOO_MANY_REQUESTS), or the client can send no more
                (DEPENDENCY_DOWN).
            NotSent: the message itself is at fault.
        """
        listed = list(headers.items()) if headers else None
        if done is None:
            self._produce(topic, value, key, listed, None)
            self.hear()
            return
        answer = _Awaited(self._awaited, done)
        try:
            self._produce(topic, value, key, listed, answer)
        except BaseException:
            self._awaited.discard(answer)
            raise
        self._ask_soon()

    def _produce(
        self, topic: str, value: bytes, key: bytes | None, headers: list[tuple[str, bytes]] | None, report: Any
    ) -> None:
        try:
            self._producer.produce(topic, value, key, headers=headers, callback=report)
        except BufferError as error:
            raise _full() from error
        except self._failed as error:
            raise _unsent(error.args[0]) from error

    def post(self, topic: str, value: bytes, *, key: bytes | None, done: Done) -> None:
        """Send a message together with all that are posted in the same pass of the event loop, or in the same gap.

        They go to the brokers in one request, and to whoever reads in one answer: requests cost more than messages.

        Args:
            topic: where to.
            value: at most a million bytes.
            key: messages of one key are in one partition, in order.
            done: as of `send`, and with the Busy or NotSent that `send` would raise. Answers of the brokers come when
                something else is sent or pushed, or with `hear`.
        """
        if not self._posted:
            self._loop.call_at(max(self._next_s, self._loop.time()), self.flush)
        self._posted.setdefault(topic, []).append({"value": value, "key": key, "callback": _report(done), "done": done})

    def flush(self) -> None:
        """Send what is posted now."""
        posted, self._posted = self._posted, {}
        self._next_s = self._loop.time() + self._gap_s
        for topic, messages in posted.items():
            if self._producer.produce_batch(topic, messages) < len(messages):
                for message in messages:
                    if error := message.get("_error"):
                        message["done"](_unsent(error))
        if posted and self._pusher is not None and not self._closed:
            self._push(self._pusher)
        self.hear()

    def _push(self, pusher: ThreadPoolExecutor) -> None:
        """Let what was just sent leave now; one that still runs does it too, or else what was sent lingers."""
        if self._pushed is None or self._pushed.done():
            self._pushed = pusher.submit(self._producer.flush, PUSH_S)
            self._pushed.add_done_callback(self._tell)

    def _tell(self, pushed: "Future[int]") -> None:
        """What a `done` has raised there goes where it would go to from the loop: to the loop's exception handler."""
        if pushed.exception() is not None:
            self._loop.call_soon_threadsafe(pushed.result)

    def hear(self) -> None:
        """Take the answers of the brokers that are there."""
        self._producer.poll(0)

    async def deliver(
        self, topic: str, value: bytes, *, key: bytes | None, headers: Mapping[str, bytes], wait_s: float
    ) -> None:
        """Send, and wait until all in-sync replicas have it.

        Raises:
            Busy: not within `wait_s` seconds (DEPENDENCY_DOWN); it may arrive yet.
            NotSent: the message itself is at fault; the client did not send it, or the brokers refused it.
        """
        answered: asyncio.Future[Exception | None] = self._loop.create_future()

        def settle(error: Exception | None) -> None:
            if not answered.done():
                answered.set_result(error)

        def done(error: Exception | None) -> None:
            self._loop.call_soon_threadsafe(settle, error)

        self.send(topic, value, key=key, headers=headers, done=done)
        try:
            async with asyncio.timeout(wait_s):
                error = await answered
        except TimeoutError as late:
            raise Busy(f"Kafka did not confirm within {wait_s} s", "DEPENDENCY_DOWN") from late
        if isinstance(error, NotSent | Refusal):
            raise NotSent(str(error)) from error
        if error is not None:
            raise down(error) from error

    def warm(self, topic: str) -> None:
        """Ask for a topic's leaders now, so that the first message need not. Blocks.

        Raises:
            Busy: the brokers cannot be reached.
        """
        metadata(self._producer, self._reports, topic, CALL_S)

    def _ask_soon(self) -> None:
        if not self._asking:
            self._asking = True
            self._loop.call_later(ASK_S, self._ask)

    def _ask(self) -> None:
        self._asking = False
        if not self._closed:
            self.hear()
            if self._awaited:
                self._ask_soon()

    def close(self, wait_s: float = END_S) -> int:
        """Send what waits, for at most `wait_s` seconds; how many messages are given up. Blocks: use a thread.

        Nothing may be posted from here on.
        """
        self._closed = True
        if self._pusher is not None:
            self._pusher.shutdown()
        left = int(self._producer.flush(wait_s))
        self._producer.purge()
        self._producer.flush(0)
        return left


class _Awaited:
    """Hears what became of a message, and is among those that are waited for until then."""

    __slots__ = ("_among", "_report")

    def __init__(self, among: "set[_Awaited]", done: Done) -> None:
        self._among, self._report = among, _report(done)
        among.add(self)  # before it is sent: the answer may come on another thread

    def __call__(self, error: Any, message: Any) -> None:
        self._among.discard(self)
        self._report(error, message)


Report = Callable[[Any, Any], None]


def _report(done: Done) -> Report:
    def report(error: Any, _message: Any) -> None:
        done(None if error is None else _refusal(error))

    return report


def _at_fault(error: Any) -> bool:
    kinds = client().KafkaError
    return error.code() in (kinds.MSG_SIZE_TOO_LARGE, kinds.INVALID_RECORD, kinds.INVALID_MSG)


def _refusal(error: Any) -> Exception:
    """What the brokers' answer to a message means."""
    return Refusal(error.str()) if _at_fault(error) else client().KafkaException(error)


def _full() -> Busy:
    return Busy("too many messages wait for Kafka", "TOO_MANY_REQUESTS")


def _unsent(error: Any) -> Busy | NotSent:
    """Why the client did not take a message."""
    if error.code() == client().KafkaError._QUEUE_FULL:  # noqa: SLF001 - the client's own errors all begin so
        return _full()
    return NotSent(error.str()) if _at_fault(error) else down(client().KafkaException(error))
