"""The shop under a service that is broken on purpose, for recordings: the lab must notice each kind.

A service process imports this module for the application and is patched by that; the process of the tests is not.
"""

import asyncio
import os
import sys
from pathlib import Path

from stockade.core import Busy, Rejected
from stockade.service import Service
from stockade.shop.application import APPLICATION
from stockade.shop.commands import PlaceOrder
from stockade.shop.model import constants

__all__ = ["APPLICATION", "PATH"]
PATH = f"{__name__}:APPLICATION"
KIND = "STOCKADE_TEST_BROKEN"  # environment variable: which of the services below
ENDED = "STOCKADE_TEST_ENDED"  # environment variable: a file that exists once a process has ended
MANY = 30  # commands before the process ends
execute, decide = Service.execute, PlaceOrder.decide
counts = {"commands": 0}


def share(command, parts):
    """One of `parts` equal parts of the requests; tries of one request are in the same one."""
    return int(command.request_id[:8], 16) % parts


async def unreliable(self, command):
    """Lies about failures, forgets a task that failed, and ends in the middle."""
    counts["commands"] += 1
    if counts["commands"] > MANY and first_of_all():
        print("the end", flush=True)
        os._exit(3)
    outcome = await execute(self, command)
    if share(command, 4) == 0 and not outcome.replayed:
        raise Busy("nothing happened")
    if share(command, 4) == 1:
        asyncio.create_task(fail())  # noqa: RUF006 - that is what is wrong here
    return outcome


def first_of_all():
    """Whether no process has ended before; from then on one has."""
    try:
        Path(os.environ[ENDED]).touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


async def fail():
    """A task that nobody looks after."""
    raise ValueError("nobody waits for this")


def refusing(self, rows):
    """Refuses a part of the orders although there is enough."""
    if share(self, 3) == 0:
        return self._reject(Rejected(constants.OUT_OF_STOCK, {}))
    return decide(self, rows)


async def unavailable(self, command):
    """Is busy nearly always, and gives no answer to some."""
    if isinstance(command, PlaceOrder):
        if share(command, 8) == 0:
            await asyncio.Event().wait()
        if share(command, 8) > 1:
            raise Busy("not now")
    return await execute(self, command)


if Path(sys.argv[0]).name == "service_main.py":
    if os.environ[KIND] == "unavailable":
        Service.execute = unavailable
    else:
        Service.execute, PlaceOrder.decide = unreliable, refusing
