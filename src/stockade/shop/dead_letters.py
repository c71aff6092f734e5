"""Messages of the log that could not be carried out: what they are, why, and sending them again.

A worker puts them into the topic `TOPIC.dead` before it moves on, so none is lost and none blocks its partition.
Sending again is safe: what was decided meanwhile gives its recorded outcome. Neighbours: `lane` puts them there.
"""

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

from stockade.strategies.kafka_log import Record, read_topic
from stockade.strategies.kafka_options import KafkaOptions
from stockade.strategies.kafka_writer import Writer

REASON = "reason"
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


async def dead_letters(log: KafkaOptions, limit: int = 1_000) -> list[DeadLetter]:
    """The oldest dead letters.

    Raises:
        Busy: the brokers cannot be reached.
    """
    records = await asyncio.to_thread(read_topic, log.bootstrap, log.dead_topic, limit)
    return [_letter(record) for record in records]


async def send_again(log: KafkaOptions, letters: Sequence[DeadLetter], wait_s: float = 10.0) -> int:
    """Put dead letters back at the end of the log; how many. They stay listed.

    Raises:
        Busy: the brokers cannot be reached; those before it were sent.
    """
    writer = Writer(log.bootstrap)
    try:
        for letter in letters:
            record = letter.record
            headers = {name: value for name, value in record.headers.items() if name not in _OF_THE_LETTER}
            await writer.deliver(log.topic, record.value, key=record.key, headers=headers, wait_s=wait_s)
    finally:
        await asyncio.to_thread(writer.close)
    return len(letters)


def _letter(record: Record) -> DeadLetter:
    text = {name: value.decode(errors="replace") for name, value in record.headers.items()}
    origin = f"{text.get('part', '?')}:{text.get('offset', '?')}"
    return DeadLetter(record.offset, text.get(REASON, ""), origin, record)
