"""A provider of locks in the simulated world, with the interface of `stockade.locks.aio.RedisLocks`.

So code that is written for that provider runs in a history that its seed replays. Neighbours: `simulator.py` (time,
processes), `simulated_redis.py` (the server).
"""

from stockade.locks import async_api
from stockade.locks.engine.lock_request import LockOptions
from stockade.locks.provider_base import ProviderBase
from stockade.locks.redis.backend import RedisBackend
from stockade.locks.redis.tuning import RedisTuning
from stockade.locks.testing.simulated_redis import SimNetwork, SimTransport
from stockade.locks.testing.simulator import SimRuntime

_USUAL = RedisTuning()


class SimLocks(async_api.Provider):
    """The locks of one simulated process: mutexes. Awaits nothing but the simulation.

    A loss does not cancel the block here: `lease.check()` and the end of the block raise LockLost.

    Args:
        runtime: of the process; its `sleep` stands for the work inside a lock.
        network: the way to the server.
        tuning: times and prefix, in seconds of the simulation.
        lease_s: default lease in seconds.
    """

    def __init__(
        self, runtime: SimRuntime, network: SimNetwork, tuning: RedisTuning = _USUAL, *, lease_s: float = 30.0
    ) -> None:
        backend = RedisBackend(runtime, SimTransport(runtime, network), tuning)
        # not the constructor of `Provider`: it follows event loops, and here is none
        ProviderBase.__init__(self, runtime, backend, async_api.Lease, LockOptions(lease_s=lease_s))
