"""Responses that this process keeps for a short time; simultaneous requests for the same one share one computation.

For figures over days, such as the popular products; stock is never cached. Neighbour: `endpoint`.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable

from stockade.shop.http.responses.response import Response

_MAX_ENTRIES = 256


class ResponseCache:
    """A bounded map from a request to its response, with a time to live.

    Args:
        ttl_s: how long a response is kept, in seconds; 0 keeps nothing.
        clock: monotonic, in seconds.
    """

    def __init__(self, ttl_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._ttl_s = ttl_s
        self._clock = clock
        self._entries: OrderedDict[Hashable, tuple[float, Response]] = OrderedDict()
        self._pending: dict[Hashable, asyncio.Task[Response]] = {}

    async def get(self, key: Hashable, make: Callable[[], Awaitable[Response]]) -> Response:
        """The cached response, or a new one. A second caller for the same key awaits the first one's.

        Raises:
            Exception: what `make` raises; nothing is kept then.
        """
        entry = self._entries.get(key)
        if entry is not None and self._clock() < entry[0]:
            return entry[1]
        pending = self._pending.get(key)
        if pending is None:
            pending = self._pending[key] = asyncio.ensure_future(self._make(key, make))
        return await asyncio.shield(pending)  # a caller that is cancelled must not cancel it for the others

    async def _make(self, key: Hashable, make: Callable[[], Awaitable[Response]]) -> Response:
        try:
            response = await make()
        finally:
            del self._pending[key]
        if self._ttl_s:
            self._entries[key] = self._clock() + self._ttl_s, response
            self._entries.move_to_end(key)
            while len(self._entries) > _MAX_ENTRIES:
                self._entries.popitem(last=False)
        return response
