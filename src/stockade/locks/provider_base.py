"""What the asyncio face and the sync face share and needs no waiting: options, names, arguments."""

import inspect
import re
from collections.abc import Callable
from string import Formatter
from typing import Any, Generic, NoReturn, TypeVar, cast

from stockade.locks.checks import seconds, text
from stockade.locks.engine.lease import BaseLease
from stockade.locks.engine.lock_request import NO_LEASE_S, TRY_ONCE_S, Backend, Kind, LockOptions, Spec
from stockade.locks.engine.manager import LockManager
from stockade.locks.events import Listener
from stockade.locks.runtime.runtime import Runtime

LeaseT = TypeVar("LeaseT", bound=BaseLease)


class ProviderBase(Generic[LeaseT]):
    """Makes specs and remembers the provider's defaults.

    Args:
        port: the face's port.
        backend: where the locks live.
        lease_type: the face's lease class.
        defaults: what options mean when they are not given.
    """

    def __init__(
        self, runtime: Runtime, backend: Backend, lease_type: Callable[..., LeaseT], defaults: LockOptions | None = None
    ) -> None:
        self.runtime = runtime
        self.backend = backend
        self.manager: LockManager[LeaseT] = LockManager(runtime, backend, lease_type)
        self._defaults = defaults or LockOptions()
        if (lease_s := self._defaults.get("lease_s")) is not None:
            seconds("lease_s", lease_s, endless=not backend.needs_lease)

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            "a provider of locks belongs to its process: make another one where it is wanted (pickle, spawn)"
        )

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
            raise ValueError("this provider needs a lease_s: nothing else would tell it that a holder is gone")
        try:
            return Spec(name, kind, capacity, weight, **merged)
        except TypeError:
            wrong = ", ".join(sorted(merged.keys() - LockOptions.__annotations__.keys()))
            if not wrong:
                raise
            raise TypeError(f"a lock has no option {wrong}, only {', '.join(LockOptions.__annotations__)}") from None

    def on_event(self, listener: Listener) -> None:
        """Call `listener(event)` with everything that happens to locks of this provider; it must be quick."""
        self.manager.events.add(listener)


def wait_bound(blocking: bool, timeout: float | None) -> float | None:
    """The arguments of `acquire` as seconds: None without limit, TRY_ONCE_S for one try.

    Raises:
        TypeError, ValueError: a time limit for a call that does not wait, or one that is no number of seconds, 0 or
            more, or -1.
    """
    if not blocking:
        if timeout is not None and timeout != -1:
            raise ValueError("a call that does not block takes no timeout")
        return TRY_ONCE_S
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
