"""Keys that are loaded in the background and again from time to time: rotation without a restart.

A thread of its own loads, so that no event loop waits for a disk, a name server or a provider. At most one thread
loads. Neighbours: `jwks_keys` and `secret_keys` say what is loaded, `verifier` asks.
"""

import asyncio
import logging
import math
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from stockade.identity.errors import BadKeys, KeysUnavailable
from stockade.identity.keys import Key, Keys

log = logging.getLogger(__name__)
Report = Callable[[str | None], None]
_IDLE_FACTOR = 2  # so many times `refresh_s` without a request: the first request waits for new keys


@dataclass(frozen=True, slots=True, kw_only=True)
class Refresh:
    """How often keys are loaded; times in seconds.

    Attributes:
        refresh_s: age at which keys are loaded again, in the background.
        retry_s: least time between two attempts, whatever tokens arrive.
        keep_s: age until which keys are used while loading fails.
        wait_s: longest time of one attempt, and longest time that a request waits for it.

    Raises:
        ValueError: one is not above 0, or `keep_s` is less than `refresh_s`.
    """

    refresh_s: float = 300.0
    retry_s: float = 10.0
    keep_s: float = 86_400.0
    wait_s: float = 5.0

    def __post_init__(self) -> None:
        for name in ("refresh_s", "retry_s", "keep_s", "wait_s"):
            value = getattr(self, name)
            if not isinstance(value, int | float) or not 0 < value < math.inf:
                raise ValueError(f"{name} must be a number of seconds above 0, not {value}")
        if self.keep_s < self.refresh_s:
            raise ValueError(f"keep_s ({self.keep_s:g}) must not be less than refresh_s ({self.refresh_s:g})")


DEFAULT = Refresh()


class RefreshingKeys:
    """A source of keys that loads them with a function.

    Args:
        load: returns the keys; it runs in a thread and may block.
        refresh: how often.
        report: called in that thread with the reason when loading begins to fail, and with None when it works again.
            What it raises is logged.
        first: keys that were loaded just now.
        clock: monotonic, in seconds.
    """

    def __init__(
        self,
        load: Callable[[], Iterable[Key]],
        refresh: Refresh,
        report: Report | None = None,
        *,
        first: Keys | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._load = load
        self._refresh = refresh
        self._report = report
        self._clock = clock
        self._lock = threading.Lock()  # of all that follows
        self._keys = first
        self._loaded_s = self._tried_s = -math.inf if first is None else clock()
        self._running = False
        self._failing = False
        self._waiters: set[tuple[asyncio.AbstractEventLoop, asyncio.Future[None]]] = set()
        self.loads = 0

    def at_hand(self) -> Keys | None:
        """The keys; None when they must be awaited. Begins to load them again when they are old."""
        now_s, refresh = self._clock(), self._refresh
        age_s = now_s - self._loaded_s
        if age_s < refresh.refresh_s:
            return self._keys
        if age_s >= refresh.keep_s or now_s - self._tried_s >= _IDLE_FACTOR * refresh.refresh_s:
            return None  # nobody asked for long: a key may have been removed meanwhile
        self.begin()
        return self._keys

    def begin(self) -> None:
        """Begin to load now, unless it runs already or was tried less than `retry_s` ago."""
        with self._lock:
            self._begin()

    async def load(self) -> Keys:
        """The keys, loaded now unless that was tried less than `retry_s` ago.

        Raises:
            KeysUnavailable: they were never loaded, or longer ago than `keep_s`.
        """
        loop = asyncio.get_running_loop()
        done = loop.create_future()
        waiter = loop, done
        with self._lock:
            self._begin()
            if self._running:
                self._waiters.add(waiter)
            else:
                done.set_result(None)
        try:
            await asyncio.wait([done], timeout=self._refresh.wait_s)
        finally:
            with self._lock:
                self._waiters.discard(waiter)
        keys, age_s = self._keys, self._clock() - self._loaded_s
        if keys is None or age_s >= self._refresh.keep_s:
            raise KeysUnavailable("the keys that verify tokens cannot be loaded", self._refresh.retry_s)
        return keys

    def _begin(self) -> None:
        now_s = self._clock()
        if self._running or now_s - self._tried_s < self._refresh.retry_s:
            return
        self._tried_s = now_s
        self.loads += 1
        # a daemon: a process that ends does not wait for a provider
        thread = threading.Thread(target=self._run, args=(now_s,), name="stockade-keys", daemon=True)
        try:
            thread.start()
        except (
            RuntimeError
        ) as error:  # too many threads: the keys at hand are used, and `retry_s` later it is tried again
            log.warning("the keys of tokens are not loaded: %s", error)
            return
        self._running = True  # only now: what sets it back is the thread, which waits for this lock

    def _run(self, began_s: float) -> None:
        keys, reason = None, "loading was ended"
        try:
            keys = Keys(self._load())
        except (OSError, BadKeys) as error:
            reason = str(error) or type(error).__name__
        except BaseException as error:  # noqa: BLE001  # a thread has no caller: the report is how a defect is seen
            reason = f"{type(error).__name__}: {error}"
        finally:
            self._finish(began_s, keys, reason)

    def _finish(self, began_s: float, keys: Keys | None, reason: str) -> None:
        """Wake whoever waits, and report last: a report that hangs or fails holds up nobody."""
        failing = keys is None
        with self._lock:
            changed = self._failing != failing
            if keys is not None:
                self._loaded_s = began_s
                self._keys = self._keys if keys == self._keys else keys
            self._failing = failing
            waiters, self._waiters = self._waiters, set()
            self._running = False
        for loop, done in waiters:
            try:
                loop.call_soon_threadsafe(_wake, done)
            except RuntimeError:
                continue  # this loop has ended, and with it whoever waited
        if not changed or self._report is None:
            return
        try:
            self._report(reason if failing else None)
        except Exception:  # it is the application's: what it raises must not end the thread unseen
            log.exception("the report about the keys of tokens failed")


def _wake(done: asyncio.Future[None]) -> None:
    if not done.done():
        done.set_result(None)
