"""A database that measures its connections: how long callers wait for one, and how long they hold it.

Neighbours: `payer.py` reads the waits, `order_senders.py` and `command_log/log_worker.py` both for a sweep.
"""

import asyncio
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from sqlalchemy import Connection

from stockade.store import Database
from stockade.store.engine.backends import TransactionRun

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ConnectionUse:
    """What the callers of one process had of their connections, since the process began or between two moments.

    Attributes:
        held_s: connections x time: how long all callers together held one, in seconds.
        waited_s: how long all callers together waited for one, in seconds.
    """

    held_s: float = 0.0
    waited_s: float = 0.0

    def __add__(self, other: "ConnectionUse") -> "ConnectionUse":
        return ConnectionUse(self.held_s + other.held_s, self.waited_s + other.waited_s)

    def __sub__(self, earlier: "ConnectionUse") -> "ConnectionUse":
        return ConnectionUse(self.held_s - earlier.held_s, self.waited_s - earlier.waited_s)


class MeteredDatabase(Database):
    """Measures each transaction and read.

    Attributes:
        waits_s: how long each one waited for a connection, in seconds; whoever reads it may replace it.
    """

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]  # those of Database
        self.waits_s: list[float] = []
        self._inside_s = self._waited_s = 0.0

    @property
    def use(self) -> ConnectionUse:
        """Since it was opened."""
        return ConnectionUse(self._inside_s - self._waited_s, self._waited_s)

    async def read(self, body: Callable[[Connection], T], *, timeout_s: float = 5.0, deadline: float = math.inf) -> T:
        """See `Database.read`."""
        began_s = time.monotonic()
        try:
            return await super().read(body, timeout_s=timeout_s, deadline=deadline)
        finally:
            self._inside_s += time.monotonic() - began_s

    async def _write(self, body: Callable[[Connection], T], run: TransactionRun) -> T:
        began_s = time.monotonic()
        try:
            return await super()._write(body, run)
        finally:
            self._inside_s += time.monotonic() - began_s

    async def _enter(self, queue: asyncio.Semaphore, deadline: float) -> None:
        began_s = time.monotonic()
        try:
            await super()._enter(queue, deadline)
        finally:
            waited_s = time.monotonic() - began_s
            if (
                queue is not self._places
            ):  # a slot of `reserve_slot` is no connection, and is waited for outside of both
                self._waited_s += waited_s
        self.waits_s.append(waited_s)
