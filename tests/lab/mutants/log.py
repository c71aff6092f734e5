"""Mutants of the strategy over a log, each played in the simulator."""

from itertools import count

from stockade.core import Accepted
from stockade.kafka.partition_processor import PartitionProcessor
from stockade.kafka.worker import KafkaWorker
from stockade.lab.checkers.system.log_decided import RULE as LOG_DECIDED
from stockade.lab.simulation.settings import Faults
from stockade.strategies.kafka import Kafka
from tests.lab.mutants.mutant import CALLS_END, Mutant, settings
from tests.lab.mutants.strategies import no_request_id

ONCE = {"tries": 1}  # a client that asks again would hide what is lost: its second message is decided
CRASHES = Faults(crash=0.1)


def offset_first(patch):
    """The position moves in a transaction of its own, before the commands are decided."""
    decide = PartitionProcessor._decide

    async def then(self, commands, commit, handover):
        await self._context.offsets.advance([commit])
        moved = commit._replace(old=commit.new)
        return await decide(self, commands, moved, handover)

    patch.setattr(PartitionProcessor, "_decide", then)


def from_the_end(patch):
    """A partition that was never read is read from its end."""
    assigned = KafkaWorker.assigned
    patch.setattr(KafkaWorker, "assigned", lambda self, partition, first, end: assigned(self, partition, end, end))


def poison_is_tried_again(patch):
    """A message that cannot be read counts as an error of the worker: the partition waits for it."""

    async def again(self, poison):
        for attempt in count() if poison else ():
            await self._pause(attempt)

    patch.setattr(PartitionProcessor, "_write_dead_letters", again)


def accepted_when_queued(patch):
    """The caller is told that it has the goods as soon as the log has the message."""

    async def execute(self, command):
        await self.submit(command)
        return Accepted({})

    patch.setattr(Kafka, "execute", execute)


MUTANTS = (
    Mutant(
        "log offset committed before the database",
        "the position moves before its commands are decided, and a worker ends between both",
        LOG_DECIDED,
        settings("kafka", faults=CRASHES, **ONCE),
        offset_first,
    ),
    Mutant(
        "first messages skipped",
        "a new group begins at the end of the topic",
        LOG_DECIDED,
        settings("kafka", **ONCE),
        from_the_end,
    ),
    Mutant(
        "redelivery that decides again",
        "messages that come again are carried out again",
        "exactly-once",
        settings("kafka", "replay"),
        no_request_id,
    ),
    Mutant(
        "poison that blocks its partition",
        "a message that cannot be read is tried again for ever",
        CALLS_END,
        settings("kafka", "poison"),
        poison_is_tried_again,
    ),
    Mutant(
        "accepted without a look at the stock",
        "the caller is told that the order is made when it is only queued",
        "exactly-once",
        settings("kafka"),
        accepted_when_queued,
    ),
)
