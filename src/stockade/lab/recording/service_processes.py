"""A group of service processes, or of log workers: what the load sends to and what faults hit.

Neighbours: `execution/processes/service_process.py` is one of them, `fault.Processes` what faults know of a group.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

from stockade.core import JsonValue
from stockade.lab.checkers.requests.unexpected import ENDS, ERRORS
from stockade.lab.errors import LabError
from stockade.lab.execution.processes.messages import Counters
from stockade.lab.execution.processes.service_process import ServiceProcess

START_AGAIN_S: Final = 45.0  # how long a process is started again and again: servers that it needs come back sooner
START_PAUSE_S: Final = 0.3
SILENT_S: Final = 20.0  # after which a process that no fault disturbs counts as failed
START_WAIT_S: Final = 3.0  # how long a fault waits for that
POLL_S: Final = 0.05


class ServiceProcesses:
    """A fixed number of processes, each of which may end and be started anew; `fault.Processes` for faults.

    Args:
        name: of the kind, e.g. `service`.
        count: how many.
        opening: what each opens.

    Attributes:
        name: as given.
    """

    def __init__(self, name: str, count: int, opening: Any) -> None:
        self.name = name
        self.processes = [ServiceProcess(f"{name} {number}", opening) for number in range(count)]
        self._starting: dict[int, asyncio.Task[None]] = {}  # those that could not be started yet

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self.processes)

    async def start(self) -> None:
        """Start all of them.

        Raises:
            LabError: one cannot open what it is for.
        """
        await asyncio.gather(*(each.start() for each in self.processes))

    async def kill(self, number: int) -> None:
        """See `fault.Processes`."""
        await self._stop_starting(number)
        await self.processes[number].kill()

    async def pause(self, number: int) -> None:
        """See `fault.Processes`."""
        await self.processes[number].pause()

    async def resume(self, number: int) -> None:
        """See `fault.Processes`."""
        await self.processes[number].resume()

    async def replace(self, number: int, environment: Mapping[str, str] | None = None) -> None:
        """See `fault.Processes`. While a server that it needs is away, it is started again and again, as a supervisor
        does; `restore` waits for it.
        """
        await self.kill(number)
        task = self._starting[number] = asyncio.create_task(self._start_again(self.processes[number], environment))
        done, _ = await asyncio.wait([task], timeout=START_WAIT_S)
        if done:
            self._starting.pop(number, None)
            task.result()

    def set_environment(self, number: int, environment: Mapping[str, str]) -> None:
        """See `fault.Processes`."""
        self.processes[number].set_environment(environment)

    async def signal_at_point(self, number: int, point: str, signal: int) -> bool:
        """See `fault.Processes`."""
        return await self.processes[number].signal_at_point(point, signal)

    async def was_signalled(self, number: int, wait_s: float) -> bool:
        """See `fault.Processes`."""
        process = self.processes[number]
        if await process.was_signalled(wait_s):
            return True
        is_safe = await process.disarm()
        if await process.was_signalled(0.0):  # in this moment
            return True
        if not is_safe:
            await self.replace(number)
        return False

    async def serves(self, number: int, wait_s: float) -> bool:
        """See `fault.Processes`; one that is being started does not yet."""
        deadline_s = time.monotonic() + wait_s
        while True:
            left_s = deadline_s - time.monotonic()
            starting = self._starting.get(number)
            if (starting is None or starting.done()) and await self.processes[number].serves(max(left_s, POLL_S)):
                return True
            if left_s <= 0:
                return False
            await asyncio.sleep(POLL_S)

    def pid(self, number: int) -> int:
        """See `fault.Processes`."""
        return self.processes[number].pid

    async def restore(self) -> None:
        """Resume and start what a fault has left paused or away, and what has failed without one.

        Raises:
            LabError: one cannot be started.
        """
        await self.start_failed()
        while self._starting:
            _, task = self._starting.popitem()
            await task

    async def start_failed(self) -> None:
        """Start every process anew that is away or has failed, when no fault is active, as a supervisor does.

        So the recording goes on, and `noted` says what failed. One that is being started is left to that.
        """
        await asyncio.gather(*(self._start_if_failed(number) for number in range(self.count)))

    async def _start_if_failed(self, number: int) -> None:
        process, starting = self.processes[number], self._starting.get(number)
        if starting is not None and not starting.done():
            return
        await process.resume()
        if not process.running or await process.counters(SILENT_S) is None:
            await self.replace(number)

    async def _start_again(self, process: ServiceProcess, environment: Mapping[str, str] | None) -> None:
        """Start it until that succeeds, for a bounded time.

        Raises:
            LabError: what it said the last time.
        """
        deadline = time.monotonic() + START_AGAIN_S
        while True:
            await process.kill()
            try:
                return await process.start(environment)
            except LabError:
                if time.monotonic() > deadline:
                    raise
            await asyncio.sleep(START_PAUSE_S)

    async def _stop_starting(self, number: int) -> None:
        task = self._starting.pop(number, None)
        if task is not None:
            task.cancel()
            await asyncio.wait([task])

    async def counters(self) -> list[Counters]:
        """Of each process that runs and answers, in their order; what has failed is in `noted`."""
        found = await asyncio.gather(*(each.counters() for each in self.processes))
        return [each for each in found if each is not None]

    def noted(self) -> dict[str, list[JsonValue]]:
        """What no fault explains, for `FinalState.extra`: ends of processes, and their errors."""
        for each in self.processes:
            each.note_errors()
        return {
            ENDS: [[each.name, at_ns, code, text] for each in self.processes for at_ns, code, text in each.ends],
            ERRORS: [[each.name, text] for each in self.processes for text in each.errors],
        }

    async def close(self) -> None:
        """End all of them."""
        for number in list(self._starting):
            await self._stop_starting(number)
        await asyncio.gather(*(each.close() for each in self.processes))


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
