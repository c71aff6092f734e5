"""Messages of the log that could not be carried out: what they are, why, and sending them again.

A worker puts them into the topic `TOPIC.dead` before it moves on, so none is lost and none blocks its partition.
Sending again is safe: what was decided meanwhile gives its recorded outcome. Neighbours: `lane` puts them there.
"""

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import Connection, select

from stockade.core import Command
from stockade.kafka.options import KafkaOptions
from stockade.kafka.producer import NotSent, Writer
from stockade.kafka.topics import Record, Topics, read_topic
from stockade.shop.model.command_codec import BadMessage, decode_command
from stockade.store import Database
from stockade.store.schema.tables import requests

REASON = "reason"
CUT = "cut"  # header of a dead letter of which only the beginning is kept: how many bytes it had
CHUNK = 500  # ids in one statement: below the smallest limit of any database
_OF_THE_LETTER = frozenset({REASON, "part", "offset"})


class DeadLetter(NamedTuple):
    """One of them.

    Attributes:
        number: its offset in the topic of dead letters.
        reason: why it could not be carried out.
        origin: partition and offset where it was.
        record: the message itself.
    """

    number: int
    reason: str
    origin: str
    record: Record

    @property
    def cut(self) -> bool:
        """Whether only the message's beginning was kept, because it would not have fitted with its reason."""
        return CUT in self.record.headers


async def dead_letters(log: KafkaOptions, limit: int = 1_000) -> list[DeadLetter]:
    """The oldest dead letters; none where there is no such topic yet.

    Raises:
        Busy: the brokers cannot be reached.
    """
    if await asyncio.to_thread(Topics(log.brokers).parts, log.dead_topic) == 0:
        return []
    records = await asyncio.to_thread(read_topic, log.brokers, log.dead_topic, limit)
    return [_letter(record) for record in records]


def read(letter: DeadLetter) -> Command | None:
    """The command in a letter; None where it is none that this program knows."""
    try:
        return decode_command(letter.record.value or b"").command
    except BadMessage:
        return None


async def decided(database: Database, letters: Sequence[DeadLetter]) -> frozenset[str]:
    """The request ids of those letters whose commands have an outcome by now, e.g. because they were sent again."""
    commands = [command for command in map(read, letters) if command is not None]
    ids = sorted({command.request_id for command in commands})

    def known(connection: Connection) -> frozenset[str]:
        chunks = [ids[at : at + CHUNK] for at in range(0, len(ids), CHUNK)]
        rows = [connection.execute(select(requests.c.id).where(requests.c.id.in_(chunk))) for chunk in chunks]
        return frozenset(id_ for row in rows for id_ in row.scalars())

    return await database.read(known)


async def send_again(log: KafkaOptions, letters: Sequence[DeadLetter], wait_s: float = 10.0) -> int:
    """Put dead letters back at the end of the log; how many. They stay listed.

    Raises:
        ValueError: one of them is cut, so it cannot be carried out again, and nothing was sent; or the topic takes no
            message of its size, and those before it were sent.
        Busy: the brokers cannot be reached; those before it were sent.
    """
    if any(letter.cut for letter in letters):
        raise ValueError("a dead letter of which only the beginning was kept cannot be sent again")
    writer = Writer(log.brokers)
    try:
        for letter in letters:
            record = letter.record
            headers = {name: value for name, value in record.headers.items() if name not in _OF_THE_LETTER}
            try:
                await writer.deliver(log.topic, record.value, key=record.key, headers=headers, wait_s=wait_s)
            except NotSent as error:
                raise ValueError(f"the dead letter {letter.number} cannot be sent to {log.topic}: {error}") from error
    finally:
        await asyncio.to_thread(writer.close)
    return len(letters)


def _letter(record: Record) -> DeadLetter:
    text = {name: value.decode(errors="replace") for name, value in record.headers.items()}
    origin = f"{text.get('part', '?')}:{text.get('offset', '?')}"
    return DeadLetter(record.offset, text.get(REASON, ""), origin, record)
