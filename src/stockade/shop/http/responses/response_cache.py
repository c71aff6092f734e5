"""Answers kept for a short time in this process, and made once when many ask at the same moment.

For figures over days, such as the popular products; stock is never kept. (Seed 000 meant 24 hours and wrote 24
minutes; here the one setting `cache_s` is in seconds and a test holds it.) Neighbours: `endpoint` asks.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable

from stockade.shop.http.responses.response import Reply

_MAX_KEPT = 256


class Kept:
    """A bounded map from a request to its answer, with an end of life.

    Args:
        ttl_s: how long an answer is kept, in seconds; 0 keeps nothing.
        clock: monotonic, in seconds.
    """

    def __init__(self, ttl_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._ttl_s = ttl_s
        self._clock = clock
        self._answers: OrderedDict[Hashable, tuple[float, Reply]] = OrderedDict()
        self._making: dict[Hashable, asyncio.Task[Reply]] = {}

    async def get(self, key: Hashable, make: Callable[[], Awaitable[Reply]]) -> Reply:
        """The kept answer, or a new one; whoever asks while it is being made waits for the same one.

        Raises:
            Exception: what `make` raises; nothing is kept then.
        """
        kept = self._answers.get(key)
        if kept is not None and self._clock() < kept[0]:
            return kept[1]
        making = self._making.get(key)
        if making is None:
            making = asyncio.ensure_future(self._make(key, make))
            self._making[key] = making
        return await asyncio.shield(making)

    async def _make(self, key: Hashable, make: Callable[[], Awaitable[Reply]]) -> Reply:
        try:
            reply = await make()
        finally:
            del self._making[key]
        if self._ttl_s:
            self._answers[key] = self._clock() + self._ttl_s, reply
            self._answers.move_to_end(key)
            while len(self._answers) > _MAX_KEPT:
                self._answers.popitem(last=False)
        return reply
