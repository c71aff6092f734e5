"""A lock over several names in Redis that is granted whole or not at all, in one step of the server.

So nobody holds one name while it waits for another. `locks.multi` of this project takes the names one by one in one
order instead (it queues fairly); this one only polls. Neighbour: `arms.py` measures what the polling costs.
"""

from collections.abc import Sequence
from types import TracebackType
from typing import Self

from stockade.locks.redis.transport.multiplexed import MultiplexedTransport

CALL_S = 2.0
LIFETIME_MS = 3000
_TAKE = """
for _, name in ipairs(KEYS) do
  if redis.call('EXISTS', name) == 1 then return 0 end
end
for _, name in ipairs(KEYS) do redis.call('SET', name, ARGV[1], 'PX', ARGV[2]) end
return 1
"""
_GIVE_BACK = """
for _, name in ipairs(KEYS) do
  if redis.call('GET', name) == ARGV[1] then redis.call('DEL', name) end
end
return 1
"""


class AllOrNothing:
    """Locks of one Redis server.

    Args:
        url: of the server.
        prefix: of the names; unique to a run.
    """

    def __init__(self, url: str, prefix: str) -> None:
        self._transport = MultiplexedTransport(url)
        self._prefix = prefix

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._transport.close()

    async def take(self, names: Sequence[int], token: str) -> bool:
        """Take all of them, if all are free."""
        keys = [f"{self._prefix}:{name}" for name in names]
        got = await self._transport.call("EVAL", _TAKE, len(keys), *keys, token, LIFETIME_MS, timeout_s=CALL_S)
        return bool(got)

    async def give_back(self, names: Sequence[int], token: str) -> None:
        """Free those that still have this token."""
        keys = [f"{self._prefix}:{name}" for name in names]
        await self._transport.call("EVAL", _GIVE_BACK, len(keys), *keys, token, timeout_s=CALL_S)
