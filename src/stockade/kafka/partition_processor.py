"""One partition of one worker: its messages become batches, its batches become transactions.

The processors of a worker run side by side, so a cold product does not wait for a hot one on another partition. The
epoch under which a processor took its partition fences all that it does: one that has lost its partition without
noticing can neither decide nor commit. Neighbours: `worker` adds messages; `store.consumer_offsets` holds the epochs.
"""

import asyncio
import random
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from itertools import count

from stockade.core import (
    Backoff,
    Busy,
    Command,
    CommandResult,
    IdempotencyKeyReused,
    OffsetCommit,
    StaleOffset,
    StockadeError,
)
from stockade.core.pipeline import Batch, Handover, Pipeline
from stockade.core.stopping import stopped_within
from stockade.kafka.dead_letters import MAX_REASON, write_dead_letter
from stockade.kafka.message import BadMessage, CommandMessage, Record
from stockade.kafka.options import WORKER_GUARD
from stockade.kafka.producer import MessageRefused
from stockade.kafka.replies import encode_replies
from stockade.kafka.worker_context import WorkerContext

POISON_TRIES = 3  # how often a command without an outcome is executed alone before it counts as poison
BACKOFF = Backoff(first_ms=50, cap_ms=5_000)  # between tries, until one succeeds or the processor closes
WORTH_TWO = 32  # so many messages that wait are worth a second batch in flight
WORTH_SHARING = 100  # from so many on, two batches share what waits while none overlap


class _Closed(Exception):
    """The processor closed, or the batch before failed, before this batch was done: its offset is not committed."""


class PartitionProcessor:
    """Decides the messages of one partition.

    Args:
        context: what the processors of a worker share.
        taken: the position to start from, under this worker's epoch.
        on_committed: called with the partition and the next offset after each batch.

    Attributes:
        partition: its number.
        next_offset: where the next batch begins.
        seek_done: whether the consumer has reported that the records begin at the position.
        paused: whether the worker has paused the partition.
    """

    def __init__(self, context: WorkerContext, taken: OffsetCommit, on_committed: Callable[[int, int], None]) -> None:
        self.partition = taken.part
        self.next_offset = taken.new
        self.seek_done = False
        self.paused = False
        self._context = context
        self._epoch = taken.epoch
        self._on_committed = on_committed
        self._queue: deque[Record] = deque()
        self._pipelined = context.store.supports_pipelining
        self._pipeline = Pipeline(2 if self._pipelined else 1, f"stockade-batch-{self.partition}")
        self._overlapped = False  # whether the newest batch began behind one in flight
        self._closing = asyncio.Event()
        self._random = random.Random()

    @property
    def waiting(self) -> int:
        """Messages that wait."""
        return len(self._queue)

    def add(self, record: Record) -> None:
        """Add a message to the queue."""
        self._queue.append(record)
        self._pipeline.wake()

    def close(self) -> None:
        """Begin no further batch; `run` ends after those in flight."""
        self._closing.set()
        self._pipeline.close()

    async def run(self) -> None:
        """Process messages until closed; one batch may be decided while the database writes the one before.

        Only the offsets keep the two in order: the second batch commits from where the first one ends, so the database
        accepts it only after the first.

        Raises:
            StaleOffset: another worker has the partition.
        """
        try:
            await self._pipeline.run(self._take_batch)
        except StaleOffset:
            self._context.stats.stale += 1
            raise
        except _Closed:
            return

    def _take_batch(self) -> Batch | None:
        """Take all messages that wait, at most `max_batch`; of many only half while no two batches overlap.

        Else many callers who get their answers together would send their next commands together, and all would be one
        batch for ever: worker and database would take turns. Behind batches that overlap nothing is halved: smaller
        batches would only cost more. Few messages are not halved either, because a batch costs the brokers and the
        database something whatever its size. docs/adr/0018 has the figures.
        """
        size = len(self._queue)
        overlaps = self._pipeline.in_flight > 0
        if self._closing.is_set() or size < (WORTH_TWO if overlaps else 1):
            return None
        if self._pipelined and not overlaps and not self._overlapped and size >= WORTH_SHARING:
            size = (size + 1) // 2
        self._overlapped = overlaps
        records = [self._queue.popleft() for _ in range(min(size, self._context.max_batch))]
        topic, end = self._context.options.topic, records[-1].offset + 1
        commit = OffsetCommit(topic, self.partition, self.next_offset, end, self._epoch)
        self.next_offset = end
        return partial(self._execute, records, commit)

    async def _execute(self, records: Sequence[Record], commit: OffsetCommit, handover: Handover) -> None:
        """Decide a batch and commit its offset, write its dead letters, reply.

        If the worker is killed anywhere in here, the next one finds the position before the batch or behind it. Before:
        it decides the batch, or gets the outcomes that are recorded. Behind: only replies are lost, and their callers
        ask again.
        """
        decoded, unreadable = self._decode(records)
        messages = [message for _, message in decoded]
        if unreadable:
            await _follow(handover)
            await self._write_dead_letters(unreadable)
        answers, committed = await self._decide([each.command for each in messages], commit, handover)
        poison = [
            (record, f"{type(answer).__name__}: {answer}")
            for (record, _), answer in zip(decoded, answers, strict=True)
            if _is_poison(answer)
        ]
        await self._write_dead_letters(poison)
        if not committed:
            offsets = self._context.offsets
            await self._until_done("position waits", lambda: offsets.advance([commit]), Exception)
        self._context.stats.batches += 1
        self._context.stats.decided += len(messages) - len(poison)
        self._reply(messages, answers)
        self._on_committed(self.partition, commit.new)

    def _decode(
        self, records: Sequence[Record]
    ) -> tuple[list[tuple[Record, CommandMessage]], list[tuple[Record, str]]]:
        """The records that are commands, each with its command, and the others, each with the reason."""
        decoded: list[tuple[Record, CommandMessage]] = []
        unreadable: list[tuple[Record, str]] = []
        for record in records:
            try:
                message = self._context.options.codec.decode(record.value or b"")
            except BadMessage as bad:
                unreadable.append((record, str(bad)))
                continue
            decoded.append((record, message))
            if self._context.options.context is not None:
                self._context.options.context.received(message.command, record.headers)
        return decoded, unreadable

    async def _decide(
        self, commands: Sequence[Command], commit: OffsetCommit, handover: Handover
    ) -> tuple[list[CommandResult], bool]:
        """An answer for every command that a retry would not change, and whether the offset is committed."""
        if not commands:
            return [], False
        for attempt in count():
            answers = await self._context.store.transact(
                commands,
                WORKER_GUARD,
                deadline=time.monotonic() + self._context.wait_s,
                offsets=[commit],
                on_decided=handover.decided,
            )
            if not any(isinstance(answer, Exception) for answer in answers):
                return answers, True
            if attempt == 0 and handover.follows:  # the cause may be that the batch before was not committed yet
                await _follow(handover)
                continue
            _raise_stale(answers)
            transient = next((answer for answer in answers if _is_transient(answer)), None)
            if transient is None:
                return await self._retry_alone(commands, answers, commit), False
            self._context.stats.retries += 1
            self._context.report("batch tried again", part=self.partition, error=repr(transient))
            await self._pause(attempt)
        raise AssertionError("only success, an error or the close ends this")

    async def _retry_alone(
        self, commands: Sequence[Command], answers: list[CommandResult], commit: OffsetCommit
    ) -> list[CommandResult]:
        """Execute each command without an outcome again, alone: an accident must not make a dead letter."""
        unmoved = [commit._replace(new=commit.old)]
        for n, command in enumerate(commands):
            for _ in range(POISON_TRIES - 1):
                if not _is_poison(answers[n]):
                    break
                await self._pause(0)
                deadline = time.monotonic() + self._context.wait_s
                (answers[n],) = await self._context.store.transact(
                    [command], WORKER_GUARD, deadline=deadline, offsets=unmoved
                )
                _raise_stale([answers[n]])
        return answers

    async def _write_dead_letters(self, poison: Sequence[tuple[Record, str]]) -> None:
        """Write messages with their reasons to the topic of dead letters."""
        context = self._context
        for record, reason in poison:
            write = partial(
                write_dead_letter, context.producer, context.options.dead_topic, record, reason, context.wait_s
            )
            await self._until_done("dead letter waits", write, Busy)
            context.stats.dead += 1
            context.report("dead letter", part=record.partition, offset=record.offset, reason=reason[:MAX_REASON])

    def _reply(self, messages: Sequence[CommandMessage], answers: Sequence[CommandResult]) -> None:
        """Send the outcomes: one message for each service instance that has callers in this batch."""
        by_instance: dict[bytes, list[tuple[int, CommandResult]]] = {}
        for message, answer in zip(messages, answers, strict=True):
            if message.reply_to:
                by_instance.setdefault(message.reply_to, []).append((message.correlation_id, answer))
        for instance, pairs in by_instance.items():
            topic = self._context.options.reply_topic(instance.decode(errors="replace"))
            for reply in encode_replies(pairs):
                try:
                    self._context.producer.send(topic, reply)
                except (Busy, MessageRefused) as error:  # the outcomes are recorded; callers time out and ask again
                    self._context.report("replies not sent", part=self.partition, count=len(pairs), error=repr(error))

    async def _until_done(self, event: str, call: Callable[[], Awaitable[None]], retried: type[Exception]) -> None:
        """Call until it succeeds: brokers and databases come back, and a restart would only decide the same again."""
        for attempt in count():
            try:
                await call()
            except StaleOffset:
                raise
            except retried as error:
                self._context.report(event, part=self.partition, error=repr(error))
                await self._pause(attempt)
            else:
                return

    async def _pause(self, attempt: int) -> None:
        if await stopped_within(self._closing, BACKOFF.pause_s(attempt, self._random)):
            raise _Closed


async def _follow(handover: Handover) -> None:
    """Wait for the batch before; this one can be committed only if that one was."""
    if not await handover.predecessor_succeeded():
        raise _Closed


def _raise_stale(answers: Sequence[CommandResult]) -> None:
    for answer in answers:
        if isinstance(answer, StaleOffset):
            raise answer


def _is_transient(answer: CommandResult) -> bool:
    """Whether the surroundings caused this (database away, lock timeout): it says nothing about the command."""
    return isinstance(answer, StockadeError) and answer.retryable and not isinstance(answer, StaleOffset)


def _is_poison(answer: CommandResult) -> bool:
    return isinstance(answer, Exception) and not isinstance(answer, IdempotencyKeyReused) and not _is_transient(answer)
