"""What the providers of both APIs have in common: everything that awaits nothing.

They check options, names and arguments, and make lock objects.
"""

import inspect
import re
from collections.abc import Callable
from string import Formatter
from typing import Any, Generic, NoReturn, TypeVar, Unpack, cast

from stockade.locks.checks import count, function, seconds, text
from stockade.locks.engine.held_leases import LeaseT
from stockade.locks.engine.lock_request import NO_LEASE_S, RW_CAPACITY, Backend, Kind, LockOptions, Spec
from stockade.locks.engine.manager import LockManager
from stockade.locks.events import Listener
from stockade.locks.lock_base import LockBase, LockT, MultiLockT, RWLockBase
from stockade.locks.multi_lock import in_order
from stockade.locks.runtime.runtime import Runtime

_NEEDS_LEASE = "this provider needs a lease_s: nothing else would tell it that a holder is gone"
RWLockT = TypeVar("RWLockT", bound=RWLockBase[Any])


class ProviderBase(Generic[LeaseT, LockT, RWLockT, MultiLockT]):
    """Makes locks over one backend.

    Args:
        runtime: time, waiting and background work, for asyncio or for threads.
        backend: where the locks live.
        lease_type: the lease class of the API.
        defaults: the values of options that a lock does not set.
    """

    _lock_type: type[LockT]
    _rwlock_type: type[RWLockT]
    _multi_lock_type: type[MultiLockT]

    def __init__(
        self, runtime: Runtime, backend: Backend, lease_type: Callable[..., LeaseT], defaults: LockOptions | None = None
    ) -> None:
        self.runtime = runtime
        self.backend = backend
        self.manager: LockManager[LeaseT] = LockManager(runtime, backend, lease_type)
        self._defaults = defaults or LockOptions()
        if (lease_s := self._defaults.get("lease_s", NO_LEASE_S)) is not None:
            seconds("lease_s", lease_s, endless=not backend.needs_lease or "lease_s" not in self._defaults)
        elif backend.needs_lease:
            raise ValueError(_NEEDS_LEASE)

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            "a provider of locks belongs to its process: make another one where it is wanted (pickle, spawn)"
        )

    def lock(self, name: str, **options: Unpack[LockOptions]) -> LockT:
        """A mutual exclusion lock. Options: see `LockOptions`."""
        return self._lock_type(self.manager, self.spec(name, "lock", options))

    def rwlock(self, name: str, **options: Unpack[LockOptions]) -> RWLockT:
        """A lock with many readers or one writer. Options: see `LockOptions`."""
        read = self.spec(name, "rw", options, capacity=RW_CAPACITY)
        write = self.spec(name, "rw", options, capacity=RW_CAPACITY, weight=RW_CAPACITY)
        return self._rwlock_type(self._lock_type(self.manager, read), self._lock_type(self.manager, write))

    def semaphore(self, name: str, permits: int, **options: Unpack[LockOptions]) -> LockT:
        """A lock that `permits` holders may have at once. Options: see `LockOptions`."""
        count("permits", permits, 1)
        return self._lock_type(self.manager, self.spec(name, "semaphore", options, capacity=permits))

    def multi(self, *names_or_locks: str | LockT, **options: Unpack[LockOptions]) -> MultiLockT:
        """Several locks as one, in any order and possibly repeated. Options apply to those given by name.

        Raises:
            TypeError: an argument is neither a name nor a lock.
            ValueError: nothing was named, or a lock belongs to another provider.
        """
        locks = [self.lock(each, **options) if isinstance(each, str) else each for each in names_or_locks]
        for each in locks:
            if not isinstance(each, LockBase):
                raise TypeError(f"several locks are given by name, or as locks; got {type(each).__name__}")
        if any(lock.manager is not self.manager for lock in locks):
            raise ValueError("locks of several providers have no common order")
        return self._multi_lock_type(self.manager, in_order(lock.spec for lock in locks))

    def spec(self, name: str, kind: Kind, options: LockOptions, *, capacity: int = 1, weight: int = 1) -> Spec:
        """The value behind a lock object.

        Raises:
            TypeError: there is no such option, or it is of another type.
            ValueError: an option makes no sense, or not here.
        """
        merged = cast(dict[str, Any], {**self._defaults, **options})
        if merged.get("lease_s") is None:
            merged["lease_s"] = NO_LEASE_S
        if merged["lease_s"] == NO_LEASE_S and self.backend.needs_lease:
            raise ValueError(_NEEDS_LEASE)
        try:
            return Spec(name, kind, capacity, weight, **merged)
        except TypeError:
            wrong = ", ".join(sorted(merged.keys() - LockOptions.__annotations__.keys()))
            if not wrong:
                raise
            raise TypeError(f"a lock has no option {wrong}, only {', '.join(LockOptions.__annotations__)}") from None

    def on_event(self, listener: Listener) -> None:
        """Call `listener(event)` with everything that happens to locks of this provider; it must be quick.

        Raises:
            TypeError: it cannot be called.
        """
        function("listener", listener)
        self.manager.events.add(listener)

    def _check_synchronized(self, template: str, timeout: float | None, options: LockOptions) -> None:
        """Check the arguments of `synchronized` where it is written.

        Raises:
            TypeError, ValueError: there is no template, or a wrong option or time limit.
        """
        if callable(template):
            raise TypeError('synchronized needs the name of the lock: @locks.synchronized("order:{order_id}")')
        text("the template", template)
        timeout_of(True, timeout)
        self.lock(template, **options)


def timeout_of(blocking: bool, timeout: float | None) -> float | None:
    """The arguments of `acquire` as seconds; None: without limit, or a call that does not wait.

    Raises:
        TypeError, ValueError: a time limit for a call that does not wait, or one that is no number of seconds, 0 or
            more, or -1; or `blocking` is neither True nor False.
    """
    if blocking not in (True, False):
        raise TypeError(f"blocking is True or False, got {blocking!r}; a time limit is timeout=2.5")
    if not blocking:
        if timeout is not None and timeout != -1:
            raise ValueError("a call that does not block takes no timeout")
        return None
    if timeout is None or timeout == -1:
        return None
    if not (type(timeout) is float and timeout >= 0):  # quick, for most
        seconds("timeout", timeout, zero=True, endless=True)
    return timeout


def name_from_call(template: str, function: Callable[..., Any]) -> Callable[..., str]:
    """A function of the call's arguments that fills them into `template`, e.g. `order:{order_id}`.

    Raises:
        TypeError: the template is no text.
        ValueError: it is no template, or names what the function does not take.
    """
    text("the template", template)
    signature = inspect.signature(function)
    try:
        parts = list(Formatter().parse(template))
    except ValueError as error:
        raise ValueError(f"the template {template!r}: {error}") from None
    for _, field, _, _ in parts:
        if field is not None and re.split(r"[.\[]", field, maxsplit=1)[0] not in signature.parameters:
            takes = ", ".join(signature.parameters) or "nothing"
            raise ValueError(f"the template {template!r} names {field!r}; {function.__qualname__} takes {takes}")

    def fill(*args: Any, **kwargs: Any) -> str:
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        return template.format_map(bound.arguments)

    return fill
