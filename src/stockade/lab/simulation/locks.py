"""The locks of a simulated process: the engine and the Redis backends of production, over simulated Redis servers.

Neighbours: `stockade.locks.testing.simulated_redis` has the servers; `service.py` gives the locks to a strategy.
"""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, cast

from stockade.lab.simulation.world import Process, World
from stockade.locks import async_api
from stockade.locks.aio import RedisTuning
from stockade.locks.engine.lock_request import LockOptions
from stockade.locks.redis.backend import RedisBackend
from stockade.locks.redis.quorum import QuorumBackend
from stockade.locks.runtime.async_runtime import AsyncRuntime
from stockade.locks.testing.simulated_redis import SimNetwork, SimTransport
from stockade.locks.testing.simulator import SimRuntime

SPIN, QUORUM = RedisTuning(), RedisTuning(call_s=0.25, spin_s=0.02)  # as the providers of production have them


class LoopRuntime(AsyncRuntime):
    """The runtime on asyncio in a simulated process, with what a `SimTransport` needs besides."""

    def __init__(self, process: Process) -> None:
        super().__init__()
        self.home = process
        self.sim: World = process.world
        self.new_id = self._new_id  # of this process, not of the interpreter
        self.process = lambda: process.name

    def _new_id(self) -> str:
        return f"{self.home.name}.{next(self.home.numbers)}"

    async def external(self, begin: Callable[[Callable[[Any], None], Callable[[BaseException], None]], None]) -> Any:
        """See `SimRuntime.external`."""
        loop = self.home.loop
        future = loop.create_future()
        self.sim.step(self.home)

        def done(value: Any) -> None:
            loop.call_soon(_set, future, value, None)

        def failed(error: BaseException) -> None:
            loop.call_soon(_set, future, None, error)

        begin(done, failed)
        return await future


def _set(future: "asyncio.Future[Any]", value: Any, error: BaseException | None) -> None:
    if not future.done():
        if error is None:
            future.set_result(value)
        else:
            future.set_exception(error)


def simulated_locks(process: Process, networks: Sequence[SimNetwork]) -> async_api.Provider:
    """A provider of locks in one process; over several servers it needs the majority.

    Args:
        process: that has the connections.
        networks: the way to each server.
    """
    runtime = LoopRuntime(process)
    transports = [SimTransport(cast(SimRuntime, runtime), network) for network in networks]
    if len(transports) == 1:
        backend: Any = RedisBackend(runtime, transports[0], SPIN)
    else:
        backend = QuorumBackend(runtime, transports, QUORUM, _at_once)
    return async_api.Provider(runtime, backend, async_api.Lease, LockOptions())


async def _at_once(works: Sequence[Coroutine[Any, Any, Any]]) -> list[Any]:
    return list(await asyncio.gather(*works, return_exceptions=True))
