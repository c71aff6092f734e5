"""A protected section of a given length: a pause in each transaction after its rows were read, and locked if they are.

It stands for what a service does there besides: more statements, a slow disk, a calculation. A transaction of many
commands has one such pause, as it has one commit. Neighbours: `order_senders.py` and `command_log/log_worker.py` give
it to the store.
"""

import asyncio
import time
from collections.abc import Callable

from sqlalchemy.util import await_only

POINT = "loaded"  # fault point of the store: between reading and writing


def section(length_ms: float) -> Callable[[str], None]:
    """A checkpoint of the store that takes so long in each transaction.

    Args:
        length_ms: in milliseconds; 0 takes no time, and the store has fault points all the same.
    """

    def pause(point: str) -> None:
        if point != POINT or not length_ms:
            return
        try:
            asyncio.get_running_loop()
        except RuntimeError:  # in a thread of SQLite
            time.sleep(length_ms / 1000)
        else:  # in the greenlet of an asynchronous driver
            await_only(asyncio.sleep(length_ms / 1000))

    return pause
