"""Actors and waits of the contract suite, and what only our own tests need. `TaskActor` and `ThreadActor` run calls."""

import asyncio

from stockade.locks.testing import TaskActor, ThreadActor
from stockade.locks.testing.contract.world import eventually, queued, waiting

__all__ = ["Interrupt", "TaskActor", "ThreadActor", "eventually", "queued", "waiting", "work_for", "work_for_ever"]


class Interrupt(BaseException):
    """What a signal raises, as KeyboardInterrupt would be."""


async def work_for(seconds: float) -> None:
    """Stands for work that takes this long."""
    loop = asyncio.get_running_loop()
    done = loop.create_future()
    timer = loop.call_later(seconds, lambda: done.done() or done.set_result(None))
    try:
        await done
    finally:
        timer.cancel()


async def work_for_ever() -> None:
    """Stands for work that ends only by being cancelled."""
    await asyncio.Event().wait()
