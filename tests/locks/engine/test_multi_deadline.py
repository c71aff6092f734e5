"""Several locks have one deadline: once it is over, no lock that is left gets a try of its own."""

import pytest

from stockade.locks.aio import Provider
from stockade.locks.async_api import Lease
from stockade.locks.memory import MemoryBackend
from stockade.locks.runtime.async_runtime import AsyncRuntime
from tests.waiting import eventually_async


class Clock(AsyncRuntime):
    """A runtime whose time the test moves."""

    moved_s = 0.0

    def now(self):
        return AsyncRuntime.now() + self.moved_s


class Slow(MemoryBackend):
    """Each request is granted a second after it was sent."""

    def __init__(self, runtime):
        super().__init__(runtime)
        self.clock, self.asked = runtime, []

    async def acquire(self, request, deadline):
        self.asked.append(request.spec.name)
        grant = await super().acquire(request, deadline)
        self.clock.moved_s += 1.0
        return grant


@pytest.mark.parametrize(
    ("timeout", "asked"), [(0.5, ["a"]), (1.5, ["a", "b"]), (9.0, ["a", "b", "c"]), (0, ["a", "b", "c"])]
)
async def test_a_late_grant_ends_the_acquire(timeout, asked):
    """All locks in time, or none of them; with a timeout of 0 each is tried once, which is what was asked for."""
    runtime = Clock()
    backend = Slow(runtime)
    async with Provider(runtime, backend, Lease) as locks:
        lease = await locks.multi("a", "b", "c").acquire(timeout=timeout)
        assert backend.asked == asked
        assert (lease is not None) == (asked == ["a", "b", "c"])
        if lease is None:

            async def free():
                return not any([(await locks.inspect(name)).holders for name in asked])

            await eventually_async(free)
        else:
            await lease.release()
