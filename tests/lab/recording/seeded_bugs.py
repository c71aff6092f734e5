"""Bugs of service processes, each by the name of an application: the child that opens it has the bug, not the lab."""

import asyncio
import os
import sys
from contextlib import asynccontextmanager

from sqlalchemy import select

from stockade.lab.execution.processes.events import FileSink
from stockade.service import Service
from stockade.shop.application import APPLICATION

LEAKS, PUBLISHES_LATE = (f"{__name__}:{name}" for name in ("with_leaks", "publishes_late"))
MAIN = sys.modules["__main__"]
KEPT = []


def __getattr__(name):
    """The shop; its name plants the bug if this is a service process."""
    if name not in ("with_leaks", "publishes_late"):
        raise AttributeError(name)
    if getattr(MAIN.__spec__, "name", "") == "stockade.lab.execution.processes.service_main":
        {"with_leaks": leak, "publishes_late": publish_late}[name]()
    return APPLICATION


def leak():
    """Each command leaves a task that waits for ever, and an open file."""
    execute = Service.execute

    async def leaking(self, command):
        KEPT.append(asyncio.create_task(asyncio.Event().wait()))
        KEPT.append(os.open(os.devnull, os.O_RDONLY))
        return await execute(self, command)

    Service.execute = leaking


def publish_late():
    """Nothing relays: a process publishes the events of a command itself, after the commit."""
    execute, sinks = Service.execute, []

    async def publishing(self, command):
        outcome = await execute(self, command)
        if outcome.accepted and not outcome.replayed:
            outbox = self.database.tables.outbox
            columns = (outbox.c.request_id, outbox.c.seq, outbox.c.key)
            mine = select(*columns).where(outbox.c.request_id == command.request_id).order_by(outbox.c.seq)
            for row in await self.read(lambda connection: connection.execute(mine).all()):
                sinks[0].append(f"{row.request_id}:{row.seq}", row.key)
        return outcome

    @asynccontextmanager
    async def no_relay(path, database):
        sinks.append(FileSink(path))
        yield

    Service.execute, MAIN.relaying_to = publishing, no_relay
