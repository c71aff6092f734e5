"""A worker process that kills or stops itself at a named point: `python -m tests.kafka.child JSON`.

Points: `before` a batch's transaction, `saved` inside it before the commit, `after` its commit and before the replies.
Mode `offset_first` is the control: it moves the position before the orders, as a consumer does that commits its
offset first.
"""

import asyncio
import json
import os
import signal
import sys

from stockade.kafka.options import KafkaOptions
from stockade.kafka.worker import KafkaWorker
from stockade.shop.model.command_codec import COMMAND_CODEC
from stockade.shop.model.resources import SHOP_RESOURCES
from stockade.store import Database, SqlStore
from stockade.store.consumer_offsets import ConsumerOffsets

SIGNALS = {"kill": signal.SIGKILL, "stop": signal.SIGSTOP}


def say(event, **fields):
    """One line of JSON to the parent."""
    sys.stdout.write(json.dumps({"event": event, **fields}) + "\n")
    sys.stdout.flush()


class Hurt:
    """Does its harm at one point, the n-th time that it comes by."""

    def __init__(self, at, after, then):
        self._at, self._left, self._then = at, after, then

    def __call__(self, point):
        if point == self._at:
            self._left -= 1
            if self._left == 0:
                say("here", point=point)
                os.kill(os.getpid(), SIGNALS[self._then])


class HurtStore(SqlStore):
    """A store with points before and after each batch of a log."""

    hurt = None
    offset_first = None

    async def transact(self, commands, guard, *, deadline, offsets=(), on_decided=None):
        """The same, with harm."""
        self.hurt("before")
        if self.offset_first is not None:
            await self.offset_first.advance(offsets)
            self.hurt("offset moved")
        answers = await super().transact(commands, guard, deadline=deadline, offsets=offsets, on_decided=on_decided)
        self.hurt("after")
        return answers


async def main(given):
    """Work until SIGTERM."""
    hurt = Hurt(given["at"], given["after"], given["then"])
    database = await Database.open(given["url"])
    store = HurtStore(database, SHOP_RESOURCES, hurt)
    store.hurt = hurt
    log = KafkaOptions(COMMAND_CODEC, partition_kind="stock", **given["log"])
    if given.get("offset_first"):
        store.offset_first = ConsumerOffsets(database, log.topic)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    worker = KafkaWorker(store, log, max_batch=given["max_batch"], report=say)
    await worker.run(stop)
    await database.close()
    say("ended", decided=worker.stats.decided, stale=worker.stats.stale)


if __name__ == "__main__":
    asyncio.run(main(json.loads(sys.argv[1])))
