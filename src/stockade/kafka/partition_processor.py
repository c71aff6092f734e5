"""One partition in the hands of one worker: its messages become batches, batches become transactions.

Lanes work side by side, so a cold product does not wait for a hot one on another partition. Everything a lane does is
fenced by the epoch under which it took the partition (`store.positions`): a lane that lost its partition without
knowing can neither decide nor move anything. Neighbours: `worker` feeds lanes, `wire` reads messages.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

from stockade.core import (
    Accepted,
    Busy,
    Command,
    Guard,
    IdempotencyKeyReused,
    OffsetCommit,
    Rejected,
    StaleOffset,
    StockadeError,
)
from stockade.kafka.dead_letters import CUT, REASON
from stockade.kafka.options import KafkaOptions
from stockade.kafka.producer import NotSent, Writer
from stockade.kafka.replies import Answer, encode_replies
from stockade.kafka.topics import Record
from stockade.shop.model.command_codec import BadMessage, Sent, decode_command
from stockade.store import SqlStore
from stockade.store.consumer_offsets import ConsumerOffsets

POISON_TRIES = 3  # how often a command that has no outcome is run alone before it counts as poison
FIRST_PAUSE_S, MAX_PAUSE_S = 0.05, 5.0
MAX_REASON = 1_000
WORTH_TWO = 32  # so many messages that wait are worth a second batch in flight
WORTH_SHARING = 100  # from so many on, two batches share what waits while none overlap


class Letter(NamedTuple):
    """A message that cannot be carried out, and why."""

    record: Record
    reason: str


@dataclass(slots=True)
class Tally:
    """What the lanes of a worker have done; read by anyone.

    Attributes:
        decided: commands with an outcome.
        batches: transactions that moved a position.
        dead: messages put aside as dead letters.
        retries: batches that had to be tried again.
        stale: batches that were undone because another worker has the partition.
    """

    decided: int = 0
    batches: int = 0
    dead: int = 0
    retries: int = 0
    stale: int = 0


@dataclass(frozen=True, slots=True)
class Bench:
    """What all lanes of a worker share.

    Attributes:
        store: decides.
        positions: of the topic.
        writer: for replies and dead letters.
        log: names of the topics.
        max_batch: messages in one transaction.
        wait_s: the longest one attempt at a batch may take, in seconds.
        report: told of what an operator should know: an event and its fields.
    """

    store: SqlStore
    positions: ConsumerOffsets
    writer: Writer
    log: KafkaOptions
    max_batch: int
    wait_s: float
    report: Callable[..., None]
    tally: Tally = field(default_factory=Tally)


class Lane:
    """Works one partition off.

    Args:
        bench: what lanes share.
        taken: the position to start from, under this worker's epoch.
        consumed: called with the partition and the next offset after each batch.
    """

    def __init__(self, bench: Bench, taken: OffsetCommit, consumed: Callable[[int, int], None]) -> None:
        self.part = taken.part
        self.next = taken.new  # where the next batch begins
        self.open = False  # until the reader has said that records are from the position on
        self.paused = False
        self._bench = bench
        self._epoch = taken.epoch
        self._consumed = consumed
        self._most = 2 if bench.store.supports_pipelining else 1
        self._queue: deque[Record] = deque()
        self._overlaps = False  # whether the newest batch was begun behind one in flight
        self._undecided: OffsetCommit | None = None  # of the newest batch, until its rows are held and it is decided
        self._woken = asyncio.Event()
        self._closing = asyncio.Event()

    @property
    def depth(self) -> int:
        """Messages that wait here."""
        return len(self._queue)

    def put(self, record: Record) -> None:
        """Take a message."""
        self._queue.append(record)
        self._woken.set()

    def close(self) -> None:
        """Begin no further batch; `run` ends after those under way."""
        self._closing.set()
        self._woken.set()

    async def run(self) -> None:
        """Work until closed; as in the `sequencer`, a batch may be decided while the database writes the one before.

        Only the position keeps them in order: the second moves it from where the first one leaves it, so it cannot be
        committed before the first, nor without it.

        Raises:
            StaleOffset: another worker has the partition.
        """
        flights: deque[asyncio.Task[None]] = deque()
        try:
            while not self._closing.is_set():
                while flights and flights[0].done():
                    flights.popleft().result()
                if self._may_begin(len(flights)):
                    flights.append(self._begin(flights[-1] if flights else None))
                    continue
                self._woken.clear()
                await self._woken.wait()
            for flight in flights:
                await flight
        except StaleOffset:
            self._bench.tally.stale += 1
            raise
        finally:
            await asyncio.gather(*flights, return_exceptions=True)  # the first error is the one that is raised

    def _may_begin(self, in_flight: int) -> bool:
        """Whether enough wait for a batch, and the newest one in flight is decided."""
        enough = WORTH_TWO if in_flight else 1
        return len(self._queue) >= enough and in_flight < self._most and self._undecided is None

    def _begin(self, before: asyncio.Task[None] | None) -> asyncio.Task[None]:
        """Take all that wait off the queue, at most `max_batch`; of many only half while no two batches overlap.

        Else many callers answered together would come again together, and all be one batch for ever: worker and
        database would take turns (128 callers of one product: 15 % more orders with two halves, for 15 to 25 % more
        processor time). What comes after batches that overlapped is not shared: smaller ones would only cost more
        (256 callers, two groups by themselves: 3 to 10 % fewer orders). Few are not either, because a batch costs the
        brokers and the database something whatever its size.
        """
        size = len(self._queue)
        overlaps = before is not None
        if not overlaps and not self._overlaps and self._most > 1 and size >= WORTH_SHARING:
            size = (size + 1) // 2
        self._overlaps = overlaps
        batch = [self._queue.popleft() for _ in range(min(size, self._bench.max_batch))]
        move = OffsetCommit(self._bench.log.topic, self.part, self.next, batch[-1].offset + 1, self._epoch)
        self.next, self._undecided = move.new, move
        flight = asyncio.create_task(self._carry_out(batch, move, before), name=f"stockade-batch-{self.part}")
        flight.add_done_callback(lambda _: self._decided(move))
        return flight

    def _decided(self, move: OffsetCommit) -> None:
        """Let the next batch begin."""
        if self._undecided is move:
            self._undecided = None
        self._woken.set()

    async def _carry_out(self, batch: Sequence[Record], move: OffsetCommit, before: asyncio.Task[None] | None) -> None:
        """Decide a batch, move the position behind it, put poison aside, reply.

        Killed anywhere in here, the next worker finds the position before the batch or behind it: before, it decides
        the batch, or gives the outcomes that are recorded; behind, only replies are lost, and their callers ask again.
        """
        records, sent, letters = _read(batch)
        if letters and not (await _went_well(before) and await self._bury(letters)):
            return
        decided = await self._decide([each.command for each in sent], move, before)
        if decided is None:
            return  # closed in between: the position has not moved
        answers, moved = decided
        poison = [
            Letter(record, _reason(answer))
            for record, answer in zip(records, answers, strict=True)
            if _is_poison(answer)
        ]
        if poison and not await self._bury(poison):
            return
        if not moved:
            await self._advance(move)
        tally = self._bench.tally
        tally.batches += 1
        tally.decided += len(sent) - len(poison)
        self._reply(sent, answers)
        self._consumed(self.part, move.new)

    async def _decide(
        self, commands: Sequence[Command], move: OffsetCommit, before: asyncio.Task[None] | None
    ) -> tuple[list[Answer], bool] | None:
        """An answer for every command that trying again would not change, and whether the position has moved.

        None when closed before, or when the batch before has failed.
        """
        if not commands:
            return [], False
        pause_s = FIRST_PAUSE_S
        while True:
            answers = await self._bench.store.transact(
                commands,
                Guard.ROW,
                deadline=time.monotonic() + self._bench.wait_s,
                offsets=[move],
                on_decided=partial(self._decided, move),
            )
            if not any(isinstance(answer, Exception) for answer in answers):
                return answers, True
            if before is not None:  # whatever it was, it may have been for want of the batch before
                if not await _went_well(before) or self._closing.is_set():
                    return None
                before = None
                continue
            stale = next((answer for answer in answers if isinstance(answer, StaleOffset)), None)
            if stale is not None:
                raise stale
            if not any(_is_passing(answer) for answer in answers):
                final = await self._alone(commands, answers, move)
                return None if final is None else (final, False)
            self._bench.tally.retries += 1
            passing = next(answer for answer in answers if _is_passing(answer))
            self._bench.report("batch tried again", part=self.part, error=repr(passing))
            if await self._pause(pause_s):
                return None
            pause_s = min(MAX_PAUSE_S, pause_s * 2)

    async def _alone(
        self, commands: Sequence[Command], answers: list[Answer], move: OffsetCommit
    ) -> list[Answer] | None:
        """Run those again that have no outcome, each alone: an accident must not make a dead letter."""
        held = [move._replace(new=move.old)]
        for n, command in enumerate(commands):
            for _ in range(POISON_TRIES - 1):
                if not _is_poison(answers[n]):
                    break
                if await self._pause(FIRST_PAUSE_S):
                    return None
                deadline = time.monotonic() + self._bench.wait_s
                (answers[n],) = await self._bench.store.transact([command], Guard.ROW, deadline=deadline, offsets=held)
                answer = answers[n]
                if isinstance(answer, StaleOffset):
                    raise answer
        return answers

    async def _bury(self, letters: Sequence[Letter]) -> bool:
        """Put messages aside, each with its reason, until the brokers have them; False when closed before."""
        for record, reason in letters:
            pause_s = FIRST_PAUSE_S
            value = record.value or b""
            headers = {
                **record.headers,
                REASON: reason[:MAX_REASON].encode(),
                "part": b"%d" % record.part,
                "offset": b"%d" % record.offset,
            }
            while True:
                try:
                    await self._bench.writer.deliver(
                        self._bench.log.dead_topic,
                        value,
                        key=record.key,
                        headers=headers,
                        wait_s=self._bench.wait_s,
                    )
                    break
                except NotSent:
                    # too large with its headers: the beginning is better than a worker that ends here each time
                    if CUT in headers:
                        raise
                    headers[CUT] = b"%d" % len(value)
                    value = value[:MAX_REASON]
                except Busy as error:
                    self._bench.report("dead letter waits", part=self.part, error=repr(error))
                    if await self._pause(pause_s):
                        return False
                    pause_s = min(MAX_PAUSE_S, pause_s * 2)
            self._bench.tally.dead += 1
            self._bench.report("dead letter", part=record.part, offset=record.offset, reason=reason[:MAX_REASON])
        return True

    async def _advance(self, move: OffsetCommit) -> None:
        """Move behind a batch whose transaction could not, until the database answers."""
        pause_s = FIRST_PAUSE_S
        while True:
            try:
                return await self._bench.positions.advance([move])
            except StaleOffset:
                raise
            except Exception as error:  # told, and tried again: a restart would decide the same again
                self._bench.report("position waits", part=self.part, error=repr(error))
                if await self._pause(pause_s):
                    raise StaleOffset("given away before the position moved") from error
                pause_s = min(MAX_PAUSE_S, pause_s * 2)

    async def _pause(self, pause_s: float) -> bool:
        """Wait; whether the lane is to close."""
        try:
            async with asyncio.timeout(pause_s):
                await self._closing.wait()
        except TimeoutError:
            return False
        return True

    def _reply(self, sent: Sequence[Sent], answers: Sequence[Answer]) -> None:
        """One message for each instance that has callers in this batch."""
        by_instance: dict[bytes, list[tuple[int, Answer]]] = {}
        for (_, reply_to, ticket), answer in zip(sent, answers, strict=True):
            if reply_to:
                by_instance.setdefault(reply_to, []).append((ticket, answer))
        for instance, pairs in by_instance.items():
            topic = self._bench.log.reply_topic(instance.decode(errors="replace"))
            for message in encode_replies(pairs):
                try:
                    self._bench.writer.send(topic, message)
                except (Busy, NotSent) as error:  # the outcomes are recorded; their callers time out and ask again
                    self._bench.report("replies not sent", part=self.part, count=len(pairs), error=repr(error))


async def _went_well(flight: asyncio.Task[None] | None) -> bool:
    """Wait for the batch before; whether the next one may follow it."""
    if flight is None:
        return True
    await asyncio.wait([flight])
    return flight.exception() is None


def _read(batch: Sequence[Record]) -> tuple[list[Record], list[Sent], list[Letter]]:
    """The messages of a batch that are commands, those commands, and what is none."""
    records: list[Record] = []
    sent: list[Sent] = []
    letters: list[Letter] = []
    for record in batch:
        try:
            sent.append(decode_command(record.value or b""))
            records.append(record)
        except BadMessage as bad:
            letters.append(Letter(record, str(bad)))
    return records, sent, letters


def _is_passing(answer: Accepted | Rejected | Exception) -> bool:
    """Whether this came from the surroundings (database away, lock not had) and says nothing of the command."""
    return isinstance(answer, StockadeError) and answer.retryable and not isinstance(answer, StaleOffset)


def _is_poison(answer: Accepted | Rejected | Exception) -> bool:
    return isinstance(answer, Exception) and not isinstance(answer, IdempotencyKeyReused) and not _is_passing(answer)


def _reason(answer: Answer) -> str:
    return f"{type(answer).__name__}: {answer}"
