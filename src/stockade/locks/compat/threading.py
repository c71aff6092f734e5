"""`Lock` and `RLock` with the behaviour of those in `threading`, over any provider for threads.

    Lock = compat.threading.factory(RedisLocks(url), "jobs")
    with Lock(): ...

As with `threading.Lock`, any thread may release.
"""

import itertools
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any

from stockade.locks.provider_base import timeout_of
from stockade.locks.runtime.identity import reset_after_fork
from stockade.locks.runtime.sync_runtime import run
from stockade.locks.sync_api import Lease, Provider

_numbers = itertools.count()


class Lock:
    """Not reentrant, not owned by a thread.

    Args:
        provider: where the lock lives.
        name: its name; default: one that nobody else uses.
    """

    def __init__(self, provider: Provider, name: str | None = None) -> None:
        self._provider = provider
        self._lock = provider.lock(name or f"threading:{provider.runtime.new_id()}:{next(_numbers)}", on_lost="raise")
        self._lease: Lease | None = None
        reset_after_fork(self)

    def reset_in_child(self) -> None:
        """In the child of a fork: the parent holds it."""
        self._lease = None

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """As `threading.Lock.acquire`.

        Raises:
            ValueError: a timeout for a call that does not block, or a negative one other than -1.
            OverflowError: a timeout above `threading.TIMEOUT_MAX`.
        """
        if timeout > threading.TIMEOUT_MAX:
            raise OverflowError("timestamp too large to convert to C _PyTime_t")
        timeout_s = timeout_of(blocking, timeout)
        lease = run(self._lock.manager.acquire_unowned(self._lock.spec, timeout_s, blocking=blocking))
        if lease is None:
            return False
        self._lease = lease
        return True

    def release(self) -> None:
        """As `threading.Lock.release`.

        Raises:
            RuntimeError: it is not locked.
        """
        lease, self._lease = self._lease, None
        if lease is None:
            raise RuntimeError("release unlocked lock")
        lease.release()

    def locked(self) -> bool:
        """Whether anybody holds it, here or elsewhere."""
        return self._lock.locked()

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def __repr__(self) -> str:
        state = "locked" if self._lease is not None else "unlocked"
        return (
            f"<{state} {type(self).__module__}.{type(self).__qualname__} {self._lock.name!r} object at {id(self):#x}>"
        )


class RLock:
    """Reentrant, owned by a thread.

    Args:
        provider: where the lock lives.
        name: its name; default: one that nobody else uses.
    """

    def __init__(self, provider: Provider, name: str | None = None) -> None:
        self._inner = Lock(provider, name)
        self._owner: int | None = None
        self._count = 0
        reset_after_fork(self)

    def reset_in_child(self) -> None:
        """In the child of a fork: as for `Lock`."""
        self._owner, self._count = None, 0

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """As `threading.RLock.acquire`."""
        me = threading.get_ident()
        if self._owner == me:
            timeout_of(blocking, timeout)
            self._count += 1
            return True
        if not self._inner.acquire(blocking, timeout):
            return False
        self._owner, self._count = me, 1
        return True

    def release(self) -> None:
        """As `threading.RLock.release`.

        Raises:
            RuntimeError: this thread does not hold it.
        """
        if self._owner != threading.get_ident():
            raise RuntimeError("cannot release un-acquired lock")
        self._count -= 1
        if self._count == 0:
            self._owner = None
            self._inner.release()

    def _is_owned(self) -> bool:
        return self._owner == threading.get_ident()

    def _release_save(self) -> tuple[int, int | None]:
        """For `threading.Condition`: release it, however often it was acquired."""
        if self._count == 0:
            raise RuntimeError("cannot release un-acquired lock")
        saved = (self._count, self._owner)
        self._count, self._owner = 0, None
        self._inner.release()
        return saved

    def _acquire_restore(self, saved: tuple[int, int | None]) -> None:
        self._inner.acquire()
        self._count, self._owner = saved

    def _recursion_count(self) -> int:
        return self._count if self._is_owned() else 0

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def __repr__(self) -> str:
        state = "locked" if self._count else "unlocked"
        kind = f"{type(self).__module__}.{type(self).__qualname__}"
        return f"<{state} {kind} object owner={self._owner} count={self._count} at {id(self):#x}>"


def factory(provider: Provider, name: str | None = None) -> Callable[[], Any]:
    """A function without arguments that makes locks, as `threading.Lock` is one."""
    return lambda: Lock(provider, name)
