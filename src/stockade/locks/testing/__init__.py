"""For tests of code that uses locks, and for providers of locks written elsewhere.

- `LockContract` tests a provider: what every provider of this package must do (`contract/`).
- `Sim`, `SimProcess` and `SimRuntime` run the lock engine in one thread on a virtual clock; the seed of a history
  replays it (`simulator.py`).
- `SimRedis`, `SimNetwork`, `Weather` and `SimTransport` are a Redis server in that world (`simulated_redis.py`).
- `SimLocks` is a provider over that server, for code of your own (`simulated_locks.py`).
"""

from stockade.locks.testing.contract import LockContract
from stockade.locks.testing.contract.actors import TaskActor, ThreadActor
from stockade.locks.testing.contract.world import World
from stockade.locks.testing.simulated_locks import SimLocks
from stockade.locks.testing.simulated_redis import SimNetwork, SimRedis, SimTransport, Weather
from stockade.locks.testing.simulator import Cancelled, Sim, SimProcess, SimRuntime, SimTask, Stuck

__all__ = [
    "Cancelled",
    "LockContract",
    "Sim",
    "SimLocks",
    "SimNetwork",
    "SimProcess",
    "SimRedis",
    "SimRuntime",
    "SimTask",
    "SimTransport",
    "Stuck",
    "TaskActor",
    "ThreadActor",
    "Weather",
    "World",
]
