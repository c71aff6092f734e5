"""A group of service processes, or of log workers: what the load sends to and what faults hit.

Neighbours: `service_process.py` is one of them, `fault.Processes` what faults know of a group.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from stockade.lab.recording.messages import Count, Counters
from stockade.lab.recording.service_process import ServiceProcess


class ServiceProcesses:
    """A fixed number of places for processes; `fault.Processes` for faults.

    Args:
        name: of the kind, e.g. `service`.
        count: how many.
        opening: what each opens.
    """

    def __init__(self, name: str, count: int, opening: Any) -> None:
        self.places = [ServiceProcess(f"{name} {number}", opening) for number in range(count)]

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self.places)

    async def start(self) -> None:
        """Start all of them.

        Raises:
            LabError: one cannot open what it is for.
        """
        await asyncio.gather(*(each.start() for each in self.places))

    async def kill(self, number: int) -> None:
        """See `fault.Processes`."""
        await self.places[number].kill()

    async def pause(self, number: int) -> None:
        """See `fault.Processes`."""
        await self.places[number].pause()

    async def resume(self, number: int) -> None:
        """See `fault.Processes`."""
        await self.places[number].resume()

    async def replace(self, number: int, environment: Mapping[str, str] | None = None) -> None:
        """See `fault.Processes`."""
        place = self.places[number]
        await place.kill()
        await place.start(environment)

    async def signal_at_point(self, number: int, point: str, signal: int) -> None:
        """See `fault.Processes`."""
        await self.places[number].signal_at_point(point, signal)

    async def was_signalled(self, number: int, wait_s: float) -> bool:
        """See `fault.Processes`."""
        return await self.places[number].was_stopped(wait_s)

    def pid(self, number: int) -> int:
        """See `fault.Processes`."""
        return self.places[number].pid

    async def restore(self) -> None:
        """Resume and start what a fault has left paused or away."""
        for number, place in enumerate(self.places):
            await place.resume()
            if not place.running:
                await self.replace(number)

    async def counters(self) -> list[Counters]:
        """Of each process, in their order.

        Raises:
            LabError: one is away or does not answer.
        """
        found: list[Counters] = await asyncio.gather(*(each.ask(Count()) for each in self.places))
        return found

    async def close(self) -> None:
        """End all of them."""
        await asyncio.gather(*(each.close() for each in self.places))


@asynccontextmanager
async def running(name: str, count: int, opening: Any) -> AsyncIterator[ServiceProcesses]:
    """Processes that run inside the block.

    Args:
        name: of the kind.
        count: how many; 0: none, an empty group.
        opening: what each opens.

    Raises:
        LabError: one cannot open it.
    """
    group = ServiceProcesses(name, count, opening)
    try:
        await group.start()
        yield group
    finally:
        await group.close()
