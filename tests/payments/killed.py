"""A process that pays, cancels or reconciles, and is killed with SIGKILL when it reaches a fault point."""

import asyncio
import multiprocessing
import os
import signal
from typing import NamedTuple

from stockade.devservers.gateway import GatewayClient
from tests.payments.checkout import open_checkout

POINTS = ("after-claim", "before-ask", "after-ask", "before-record", "after-record")


class Task(NamedTuple):
    """What a process does, to which order, and the fault point at which it ends."""

    database: str
    gateway: str
    dialect: str
    order: str
    does: str
    point: str


def start(task):
    """The process, which has begun."""
    context = multiprocessing.get_context("forkserver")  # it has imported everything, so a process begins in no time
    context.set_forkserver_preload(["tests.payments.killed", "stripe", "psycopg", "stockade.shop.bootstrap"])
    process = context.Process(target=_run, args=(task,), daemon=True)
    process.start()
    return process


def _run(task):
    asyncio.run(_work(task))


async def _work(task):
    def reach(point):
        if point == task.point:
            os.kill(os.getpid(), signal.SIGKILL)

    judge = GatewayClient(task.gateway)
    opened = open_checkout(task.database, judge, task.gateway, dialect=task.dialect, new=False, checkpoint=reach)
    async with opened as checkout:
        match task.does:
            case "pay":
                await checkout.pay(task.order)
            case "cancel":
                await checkout.cancel(task.order)
            case "reconcile":
                await checkout.reconcile(rounds=1)
            case "ask without a claim":
                claim = checkout.claim(task.order)
                await checkout.payments.ask(claim.payment_id, claim.attempt(f"{task.order}-1"))
