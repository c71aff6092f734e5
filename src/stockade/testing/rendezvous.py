"""Makes transactions meet at a point of the store, so that a race needs no luck."""

import asyncio
import threading
import time

from sqlalchemy.util import await_only

POLL_S = 0.005


class Rendezvous:
    """A checkpoint of the store at which transactions wait for each other: each has read before any has written.

    Pass it as `checkpoint` to `open_service` or `SqlStore`. Under `unprotected` the transactions meet, and one update
    is lost: the negative control fails each time. Under a strategy that protects the rows they may not meet, because
    the second waits for a lock; then the first goes on after `timeout_s`. On SQLite a service reads in one thread:
    give each transaction a service of its own on the same file, with one rendezvous for all of them.

    Args:
        parties: how many transactions meet. Those that come later do not wait.
        point: `begin`, `loaded` or `saved`, see `SqlStore`.
        timeout_s: how long a transaction waits for the others, in seconds.

    Attributes:
        arrived: how often the point was reached, at most `parties`: a transaction that is tried again counts again.
    """

    def __init__(self, parties: int = 2, *, point: str = "loaded", timeout_s: float = 0.5) -> None:
        if parties < 2 or timeout_s <= 0:
            raise ValueError(f"at least 2 parties and more than 0 seconds are needed, not {parties} and {timeout_s}")
        self._parties, self._point, self._timeout_s = parties, point, timeout_s
        self._lock = threading.Lock()
        self.arrived = 0

    @property
    def met(self) -> bool:
        """Whether the point was reached as often as wanted."""
        return self.arrived >= self._parties

    def __call__(self, point: str) -> None:
        """Called by the store: on the event loop inside a greenlet, or in one of SQLite's threads."""
        if point != self._point:
            return
        with self._lock:
            if self.met:
                return
            self.arrived += 1
        deadline = time.monotonic() + self._timeout_s
        while time.monotonic() < deadline and not self.met:
            _pause()


def _pause() -> None:
    try:
        asyncio.get_running_loop()
    except RuntimeError:  # a thread of SQLite's backend
        time.sleep(POLL_S)
    else:
        await_only(asyncio.sleep(POLL_S))
