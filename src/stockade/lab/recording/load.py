"""The load of a recording: clients that send the requests of a workload, and send one again whose outcome is not known.

Closed loop: each client has one request at a time. Open loop: requests
are offered at a rate, however long the answers take; what finds every client busy is counted as not sent. Neighbours:
`sending.py` sends one request until it is decided, `load_control.py` is what faults change.
"""

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from stockade.lab.errors import LabError
from stockade.lab.recording.load_control import LoadSettings
from stockade.lab.recording.sending import Sender
from stockade.lab.workloads.workload import Request

TICK_S: Final = 0.002  # of the open loop
MAX_CLIENTS: Final = 2_000  # whatever a fault multiplies
LATE_S: Final = 0.1
OFFERED: Final = "offered"  # in `FinalState.extra`: what an open loop offered


@dataclass(slots=True)
class Offered:
    """What an open loop offered.

    Attributes:
        offered: requests that were due.
        late: sent more than `LATE_S` after they were due.
        not_sent: every client was busy.
    """

    offered: int = 0
    late: int = 0
    not_sent: int = 0


class LoadGenerator:
    """Sends until it is stopped.

    Args:
        requests: of the workload, without end.
        sender: sends each.
        settings: how many clients, which rate; faults change them while it runs.

    Attributes:
        offered: of an open loop.
    """

    def __init__(self, requests: Iterator[Request], sender: Sender, settings: LoadSettings) -> None:
        self._requests, self._sender, self._settings = requests, sender, settings
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._stopping = False
        self.offered = Offered()

    async def run(self, stop: asyncio.Event) -> None:
        """Send until `stop` is set; then wait for the requests under way.

        Raises:
            LabError: the workload has no more requests.
            Exception: what a client ended with.
        """
        loop = self._open_loop if self._settings.rate else self._closed_loop
        try:
            await loop(stop)
        finally:
            self._stopping = True
            self._sender.stopping = True
            if self._tasks:
                await asyncio.wait(self._tasks.values())
        self._reap()

    async def _closed_loop(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            for client in range(min(self._settings.wanted_clients, MAX_CLIENTS)):
                if client not in self._tasks:
                    self._tasks[client] = asyncio.create_task(self._client(client))
            self._reap()
            await _wait(stop, 0.05)  # how quickly a fault's change of the clients takes effect

    async def _client(self, client: int) -> None:
        rng = self._settings.rng(client)
        while not self._stopping and client < self._settings.wanted_clients:
            await self._sender.send(client, self._next(), rng)

    async def _open_loop(self, stop: asyncio.Event) -> None:
        free = list(range(self._settings.clients))
        due, last = 0.0, time.monotonic()
        while not stop.is_set():
            await _wait(stop, TICK_S)
            now = time.monotonic()
            due += (now - last) * self._settings.rate * self._settings.rate_factor
            late, last = now - last > LATE_S, now
            while due >= 1:
                due -= 1
                self.offered.offered += 1
                self.offered.late += late
                if not free:
                    self.offered.not_sent += 1
                    continue
                self._start(free, self._next())
            self._reap()

    def _start(self, free: list[int], request: Request) -> None:
        client = free.pop()

        async def send() -> None:
            await self._sender.send(client, request, self._settings.rng(client, self.offered.offered))
            free.append(client)

        self._tasks[client] = asyncio.create_task(send())

    def _next(self) -> Request:
        request = next(self._requests, None)
        if request is None:
            raise LabError("the workload has no more requests: `Workload.requests` must go on without end")
        return request

    def _reap(self) -> None:
        for client, task in list(self._tasks.items()):
            if task.done():
                del self._tasks[client]
                task.result()


async def _wait(stop: asyncio.Event, wait_s: float) -> None:
    try:
        async with asyncio.timeout(wait_s):
            await stop.wait()
    except TimeoutError:
        return
