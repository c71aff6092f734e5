"""Processes of their own that are killed: a relay that writes a file, and the reports' way to publish.

python -m tests.relay.child relay URL FILE COUNT      relays; kills itself after COUNT events, before noting them
python -m tests.relay.child after-commit URL FILE N   places orders; kills itself between the commit and the send of N
"""

import asyncio
import os
import signal
import sys
import time
from pathlib import Path

from stockade.core import Guard
from stockade.service.relay import Handlers, Policy, Relay
from stockade.shop.model.resources import SHOP_RESOURCES
from stockade.store import Database, SqlStore
from stockade.store.outbox import Outbox
from tests.relay.after_commit import AfterCommit
from tests.store.commands import Take, rid


def die():
    """At once, like a power cut."""
    os.kill(os.getpid(), signal.SIGKILL)


async def relay(url, file, count):
    """Relay into a file."""
    seen = 0

    async def write(event):
        nonlocal seen
        with Path(file).open("a") as out:
            out.write(f"{event.key} {event.event_id}\n")
        seen += 1
        if seen == count:
            die()

    database = await Database.open(url)
    worker = Relay(Outbox(database), Handlers(write), lambda: time.time_ns() // 1_000_000, Policy(batch=count + 5))
    await worker.run(asyncio.Event(), lambda told: None)


async def after_commit(url, file, number):
    """Place orders one after the other, publishing each after its commit."""
    database = await Database.open(url)
    store = SqlStore(database, SHOP_RESOURCES)

    async def execute(command):
        (answer,) = await store.transact([command], Guard.ROW, deadline=time.monotonic() + 10)
        return answer

    async def publish(command):
        if command.request_id == rid("buy", number):
            die()
        with Path(file).open("a") as out:
            out.write(f"stock:a {command.request_id}:0\n")

    shop = AfterCommit(execute, publish)
    for n in range(number + 1):
        await shop.execute(Take(rid("buy", n), skus=("a",)))


if __name__ == "__main__":
    what, url, file, number = sys.argv[1:]
    asyncio.run({"relay": relay, "after-commit": after_commit}[what](url, file, int(number)))
