"""Events for pages: kept in one place for all of them, so that a slow page costs nothing and blocks nobody.

A page has a place in the row of events, and no queue of its own. One that falls behind, or comes back after more than
is kept, gets the whole state instead. Source: the HTML standard, server-sent events. Neighbour: `session.py`.
"""

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Any, Final

KEPT: Final = 256  # events
MOST_BEHIND: Final = 40  # events, before a page gets the state instead
PING_S: Final = 15.0  # so that a connection that is gone is noticed
RETRY_MS: Final = 1_000  # after which a browser connects again


class Feed:
    """The events of one server.

    Args:
        state: makes the whole state, for pages that have seen nothing or too little.
    """

    def __init__(self, state: Callable[[], Any]) -> None:
        self._state = state
        self._kept: deque[tuple[int, bytes]] = deque(maxlen=KEPT)
        self._last = 0
        self._waiting: set[asyncio.Event] = set()
        self._closed = False

    @property
    def pages(self) -> int:
        """How many listen now."""
        return len(self._waiting)

    def publish(self, kind: str, data: Any) -> None:
        """Tell every page; encoded once for all.

        Args:
            kind: name of the event.
            data: of JSON.
        """
        self._last += 1
        self._kept.append((self._last, _encoded(kind, data, self._last)))
        self._wake()

    def close(self) -> None:
        """End every stream, with an event that says so."""
        self._closed = True
        self._wake()

    def _wake(self) -> None:
        for each in self._waiting:
            each.set()

    async def stream(self, seen: int | None) -> AsyncIterator[bytes]:
        """What a page is sent.

        Args:
            seen: the last event that it has; None: none.
        """
        changed = asyncio.Event()
        self._waiting.add(changed)
        try:
            yield b"retry: %d\n\n" % RETRY_MS
            place = seen if seen is not None and seen <= self._last else -1
            while not self._closed:
                changed.clear()
                chunk, place = self._since(place)
                if chunk:
                    yield chunk
                    continue
                try:
                    async with asyncio.timeout(PING_S):
                        await changed.wait()
                except TimeoutError:
                    yield b": still here\n\n"
            yield _encoded("end", {}, self._last)
        finally:
            self._waiting.discard(changed)

    def _since(self, place: int) -> tuple[bytes, int]:
        """What follows a place, and the new place."""
        if place == self._last:
            return b"", place
        oldest = self._kept[0][0] if self._kept else self._last + 1
        if place < max(0, oldest - 1) or self._last - place > MOST_BEHIND:
            return _encoded("state", self._state(), self._last), self._last
        return b"".join(encoded for number, encoded in self._kept if number > place), self._last


def _encoded(kind: str, data: Any, number: int) -> bytes:
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    return f"id: {number}\nevent: {kind}\ndata: {text}\n\n".encode()
