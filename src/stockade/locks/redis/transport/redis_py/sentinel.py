"""Keeps a client that uses Sentinels connected to the present master: the Sentinels are queried now and then.

After a failover by hand the old master stays up with its connections, and the Sentinels make it a replica only 8 s
later. Until then it grants and renews leases that the new master knows nothing of.
"""

import asyncio
import contextlib
import time
from typing import Any

from stockade.locks.redis.transport.redis_py.deadline import CallDeadline
from stockade.locks.redis.transport.redis_py.errors import load_redis

_PERIOD_S = 1.0  # between two queries
_LEAST_LEFT_S = 0.3  # of a call; a shorter one does not query
_QUERY_S = 0.25  # for an answer; Sentinels that are silent cost a call no more


class MasterWatch:
    """Over the pool of a copied client. When the answer names another master, the pool closes its idle connections.

    Args:
        pool: with or without Sentinels.
    """

    def __init__(self, pool: Any) -> None:
        # without Sentinels, or for a replica, there is nothing to query
        self._query = getattr(pool, "get_master_address", None) if getattr(pool, "is_master", False) else None
        self._due = 0.0

    def claim(self, left_s: float) -> bool:
        """Whether a call with so many seconds left must query first. True for one caller in each period."""
        if self._query is None:
            return False
        now = time.monotonic()
        if left_s < _LEAST_LEFT_S or now < self._due:
            return False
        self._due = now + _PERIOD_S
        return True

    def query(self) -> None:
        """Query from a thread."""
        assert self._query is not None
        # Sentinels that are away: the present connections stay
        with contextlib.suppress(load_redis().exceptions.RedisError, OSError), CallDeadline.after(_QUERY_S):
            self._query()

    async def query_async(self) -> None:
        """Query from a task."""
        assert self._query is not None
        with contextlib.suppress(load_redis().exceptions.RedisError, OSError), CallDeadline.after(_QUERY_S):
            async with asyncio.timeout(_QUERY_S):  # its TimeoutError is an OSError
                await self._query()
