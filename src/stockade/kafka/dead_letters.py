"""Messages that cannot be executed: write them with their reason, list them, send them again.

A worker writes them to the topic `TOPIC.dead` before it commits their offset, so that none is lost and none blocks its
partition. Sending one again is safe: a command that was decided meanwhile gives its recorded outcome.
Neighbours: `partition_processor` writes; the command line lists and sends again.
"""

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import Connection, select

from stockade.core import Command
from stockade.kafka.admin import Admin, read_topic
from stockade.kafka.message import BadMessage, Record
from stockade.kafka.options import KafkaOptions
from stockade.kafka.producer import MessageRefused, Producer
from stockade.store import Database
from stockade.store.id_chunks import id_chunks

MAX_REASON = 1_000  # characters
MAX_CUT_BYTES = 1_000

# Headers of a dead letter.
REASON = "reason"
CUT = "cut"  # only the beginning of the message is kept; how many bytes it had
PARTITION, OFFSET = "part", "offset"


class DeadLetter(NamedTuple):
    """A message that could not be executed.

    Attributes:
        number: its offset in the topic of dead letters.
        reason: why it could not be executed.
        origin: partition and offset where it was.
        record: the message itself.
        command: as the message is read; None where it is not a command that this program knows.
    """

    number: int
    reason: str
    origin: str
    record: Record
    command: Command | None

    @property
    def cut(self) -> bool:
        """Whether only the beginning of the message was kept, because it would not have fitted with its reason."""
        return CUT in self.record.headers


async def write_dead_letter(producer: Producer, topic: str, record: Record, reason: str, wait_s: float) -> None:
    """Write a message and its reason to the topic of dead letters.

    Raises:
        Busy: the brokers did not confirm it within `wait_s` seconds.
    """
    value = record.value or b""
    headers = {
        **record.headers,
        REASON: reason[:MAX_REASON].encode(),
        PARTITION: b"%d" % record.partition,
        OFFSET: b"%d" % record.offset,
    }
    try:
        await producer.deliver(topic, value, key=record.key, headers=headers, wait_s=wait_s)
    except MessageRefused:  # too large with its headers: keep its beginning, or the worker would end here each time
        headers[CUT] = b"%d" % len(value)
        await producer.deliver(topic, value[:MAX_CUT_BYTES], key=record.key, headers=headers, wait_s=wait_s)


async def dead_letters(options: KafkaOptions, limit: int = 1_000) -> list[DeadLetter]:
    """The oldest dead letters; none where there is no such topic yet.

    Raises:
        Busy: the brokers cannot be reached.
    """
    if await asyncio.to_thread(Admin(options.brokers).partition_count, options.dead_topic) == 0:
        return []
    records = await asyncio.to_thread(read_topic, options.brokers, options.dead_topic, limit)
    return [_dead_letter(options, record) for record in records]


def _dead_letter(options: KafkaOptions, record: Record) -> DeadLetter:
    text = {name: value.decode(errors="replace") for name, value in record.headers.items()}
    origin = f"{text.get(PARTITION, '?')}:{text.get(OFFSET, '?')}"
    try:
        command = options.codec.decode(record.value or b"").command
    except BadMessage:
        command = None
    return DeadLetter(record.offset, text.get(REASON, ""), origin, record, command)


async def decided(database: Database, letters: Sequence[DeadLetter]) -> frozenset[str]:
    """The request ids of those letters whose commands have an outcome by now, e.g. because they were sent again."""
    requests = database.tables.requests
    ids = sorted({letter.command.request_id for letter in letters if letter.command is not None})

    def known(connection: Connection) -> frozenset[str]:
        rows = [connection.execute(select(requests.c.id).where(requests.c.id.in_(chunk))) for chunk in id_chunks(ids)]
        return frozenset(id_ for row in rows for id_ in row.scalars())

    return await database.read(known)


async def send_again(options: KafkaOptions, letters: Sequence[DeadLetter], wait_s: float = 10.0) -> int:
    """Write dead letters to the end of the topic of commands; how many. They stay listed.

    Raises:
        ValueError: one of them is cut, so it cannot be executed, and nothing was sent; or the topic takes no message of
            its size, and those before it were sent.
        Busy: the brokers cannot be reached; those before it were sent.
    """
    if any(letter.cut for letter in letters):
        raise ValueError("a dead letter of which only the beginning was kept cannot be sent again")
    producer = Producer(options.brokers)
    try:
        for letter in letters:
            record = letter.record
            headers = {k: value for k, value in record.headers.items() if k not in (REASON, PARTITION, OFFSET)}
            try:
                await producer.deliver(
                    options.topic, record.value or b"", key=record.key, headers=headers, wait_s=wait_s
                )
            except MessageRefused as error:
                raise ValueError(
                    f"the dead letter {letter.number} cannot be sent to {options.topic}: {error}"
                ) from error
    finally:
        await asyncio.to_thread(producer.close)
    return len(letters)
