"""What a recording leaves behind: counters of the processes before and after it, lock keys, locks that are not free.

Neighbours: `execution/processes/` counts in each process, `../final_phase.py` puts the result into the final state.
"""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Final

from stockade.core import Command, IdempotencyKeyReused
from stockade.lab.errors import LabError
from stockade.lab.execution.processes.answers import Answer
from stockade.lab.execution.processes.messages import QUEUED, REQUESTS, WAITING, Count, Counters
from stockade.lab.execution.processes.service_process import ServiceProcess
from stockade.lab.history.final_state import Leftovers
from stockade.lab.history.operation import OK, REFUSED
from stockade.lab.recording.servers import RecordingServers
from stockade.lab.recording.service_processes import ServiceProcesses
from stockade.lab.site.redis_server import MAX_KEYS, SCAN_COUNT

SETTLE_WAIT_S: Final = 5.0  # until the counters are back to where they were
SETTLE_POLL_S: Final = 0.05
SAMPLE_EVERY_S: Final = 0.5
SAMPLE_WAIT_S: Final = 1.0
WARM_UP: Final = 1  # commands of the setup, those with the fewest rows, sent again to each process
MOST_USED: Final = 40  # commands that are sent again for rows that the setup has not made
AT_ONCE: Final = 8  # so that some of them wait for each other
WARM_UP_WAIT_S: Final = 10.0
NO_EXPIRY: Final = -1  # what Redis answers to PTTL
POOLED: Final = ("files", "threads")  # opened when first needed, by pools with a bound
TASKS_MAY_GROW: Final = 2  # of each process: a client that reconnects has one
THREADS_MAY_GROW: Final = 2
FILES_MAY_GROW: Final = 8  # of each process, beside its connections to the database
QUEUES: Final = (QUEUED, WAITING, REQUESTS)  # the most in each is kept; of requests, the most that a sample saw
NOT_FREE_LIMIT_S: Final = 30.0  # after which no try begins: a service that is silent takes as long for each as it may
FREE_AFTER_LEASE_S: Final = 1.0  # a lock must be free within its lease and this time


class LeftoverWatch:
    """Counts before, meanwhile and after.

    Args:
        opened: servers and workers of the recording.
        processes: of the service.
        setup: commands that made the rows: sent again they change nothing, and need the locks of these rows.
        bounds: by the names of `QUEUES`: what each process may have at most.
        connections: that each process may open to the database.
    """

    def __init__(
        self,
        opened: RecordingServers,
        processes: ServiceProcesses,
        setup: Sequence[Command],
        bounds: dict[str, int],
        connections: int,
    ) -> None:
        self._opened, self._processes, self._setup = opened, processes, setup
        self._bounds = bounds
        count = processes.count + opened.workers.count
        self._may_grow = {
            "tasks": count * TASKS_MAY_GROW,
            "threads": count * THREADS_MAY_GROW,
            "files": count * (connections + FILES_MAY_GROW),
        }
        self._before: dict[str, int] = {}
        self._highest: dict[str, int] = {}

    async def begin(self) -> None:
        """Open what a strategy opens when it is first used, then count."""
        for process in self._processes.processes:
            for command in sorted(self._setup, key=lambda each: len(each.keys))[:WARM_UP]:
                await asyncio.gather(*(process.execute(command, WARM_UP_WAIT_S) for _ in range(AT_ONCE)))
        await self._processes.start_failed()
        for process in (*self._processes.processes, *self._opened.workers.processes):
            await process.ask(Count(begin_anew=True))  # what the warm-up had in the queues is not of the load
        self._before = await self._held()

    async def warmed(self) -> None:
        """Count again at the end of the fault-free load what pools have opened in it."""
        held = await self._held()
        for name in POOLED:
            self._before[name] = max(self._before.get(name, 0), held.get(name, 0))

    @asynccontextmanager
    async def sampling(self) -> AsyncIterator[None]:
        """Note the fullest queues inside the block."""
        task = asyncio.create_task(self._sample())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])
            if not task.cancelled():
                task.result()

    async def _sample(self) -> None:
        while True:
            await self._note_queues()
            await asyncio.sleep(SAMPLE_EVERY_S)

    async def _note_queues(self) -> None:
        for process in (*self._processes.processes, *self._opened.workers.processes):
            try:
                counted: Counters = await process.ask(Count(), SAMPLE_WAIT_S)
            except LabError:  # a fault has stopped or killed it
                continue
            for name in QUEUES:
                most = max(counted.held.get(name, 0), counted.highest.get(name, 0))
                self._highest[name] = max(self._highest.get(name, 0), most)

    async def end(self, lease_s: float, used: Mapping[str, Command]) -> Leftovers:
        """Count, when the counters are back to where they were or had the time for it.

        Args:
            lease_s: of a lock, in seconds.
            used: by row: a command that was decided and needed it.
        """
        not_free = await self._not_free(lease_s, used)
        for group in (self._processes, self._opened.workers):
            await group.start_failed()  # what hangs now is noted, and would be asked in vain
        deadline = time.monotonic() + SETTLE_WAIT_S
        after = await self._held()
        while time.monotonic() < deadline and not self._is_back(after):
            await asyncio.sleep(SETTLE_POLL_S)
            after = await self._held()
        keys = await self._keys_without_expiry()
        return Leftovers(self._before, after, keys, not_free, self._highest, self._bounds, self._may_grow)

    def _is_back(self, held: Mapping[str, int]) -> bool:
        return all(held[name] <= self._before.get(name, 0) + self._may_grow.get(name, 0) for name in held)

    async def _held(self) -> dict[str, int]:
        sums = Counter[str]()
        for group in (self._processes, self._opened.workers):
            for each in await group.counters():
                sums.update(each.held)
        return dict(sums)

    async def _not_free(self, lease_s: float, used: Mapping[str, Command]) -> tuple[str, ...]:
        """Rows that cannot be used in some process: commands of setup and load again, which need their locks.

        They were decided before, so they change nothing. The last round of tries begins after the time for it is over:
        one that a busy machine made slow proves nothing. Of a silent service not all can be asked: no try begins after
        `NOT_FREE_LIMIT_S` seconds.
        """
        made = {str(key) for command in self._setup for key in command.keys}
        others = [command for key, command in used.items() if key not in made]
        commands = {each.request_id: each for each in (*self._setup, *others[-MOST_USED:])}.values()
        left = [(process, command) for process in self._processes.processes for command in commands]
        turns = asyncio.Semaphore(AT_ONCE)

        began = time.monotonic()
        deadline, limit = began + lease_s + FREE_AFTER_LEASE_S, began + NOT_FREE_LIMIT_S

        async def undecided_at(process: ServiceProcess, command: Command) -> float | None:
            """When the try began; None: it was decided."""
            async with turns:
                at = time.monotonic()
                decided = at < limit and _is_decided(await process.execute(command, WARM_UP_WAIT_S))
                return None if decided else at

        while True:
            is_last = time.monotonic() > deadline
            tried = await asyncio.gather(*(undecided_at(process, command) for process, command in left))
            times = [at for at in tried if at is not None]
            left = [each for each, at in zip(left, tried, strict=True) if at is not None]
            if not left or is_last or time.monotonic() > limit:
                late = [command for (_, command), at in zip(left, times, strict=True) if deadline < at < limit]
                return tuple(sorted({str(key) for command in late for key in command.keys}))

    async def _keys_without_expiry(self) -> tuple[str, ...]:
        """Of the private Redis servers, which have nothing but locks."""
        found: list[str] = []
        for server in self._opened.site.redis if self._opened.site is not None else ():
            cursor = b"0"
            for _ in range(MAX_KEYS // SCAN_COUNT):
                cursor, keys = await server.call("SCAN", cursor.decode(), "COUNT", SCAN_COUNT)
                found += [key.decode() for key in keys if await server.call("PTTL", key.decode()) == NO_EXPIRY]
                if cursor == b"0":
                    break
        return tuple(sorted(found))


def _is_decided(answer: Answer) -> bool:
    return answer.type in (OK, REFUSED) or answer.code == IdempotencyKeyReused.code
