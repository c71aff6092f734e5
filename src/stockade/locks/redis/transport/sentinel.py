"""Whether a client that asks Sentinels is connected to the present master: asked now and then.

A failover by hand leaves the old master up with its connections, and the Sentinels make it a replica 8 s later only.
Until then it grants and renews leases that the new master knows nothing of. Neighbour: `client.py`.
"""

import asyncio
import contextlib
import time
from typing import Any

from stockade.locks.redis.transport.redis_py_copy import load_redis, turn

_LOOK_S = 1.0  # between two questions
_LEAST_LEFT_S = 0.3  # of a call; a shorter one does not ask
_ASK_S = 0.25  # for an answer; Sentinels that are silent cost a call no more


class MasterWatch:
    """Over the pool of a copied client. When it hears of another master, the pool closes its idle connections.

    Args:
        pool: with or without Sentinels.

    Attributes:
        asks: False without Sentinels, or for a replica: then nothing is ever due.
    """

    def __init__(self, pool: Any) -> None:
        self._ask = getattr(pool, "get_master_address", None) if getattr(pool, "is_master", False) else None
        self._due = 0.0
        self.asks = self._ask is not None

    def is_due(self, left_s: float) -> bool:
        """Whether a call with so many seconds left should ask first; true for one caller at a time."""
        now = time.monotonic()
        if left_s < _LEAST_LEFT_S or now < self._due:
            return False
        self._due = now + _LOOK_S
        return True

    def look(self) -> None:
        """Ask, from a thread."""
        assert self._ask is not None
        with contextlib.suppress(load_redis().exceptions.RedisError, OSError), turn(_ASK_S):
            self._ask()  # Sentinels that are away: who is connected stays connected

    async def look_async(self) -> None:
        """Ask, from a task."""
        assert self._ask is not None
        with contextlib.suppress(load_redis().exceptions.RedisError, OSError), turn(_ASK_S):
            async with asyncio.timeout(_ASK_S):  # its TimeoutError is an OSError
                await self._ask()
