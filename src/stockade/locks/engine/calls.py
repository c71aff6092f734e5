"""The guard of every call to a backend: refuses calls of a closed provider, counts calls, explains failures."""

from collections.abc import Coroutine
from typing import Any, TypeVar

from stockade.locks.engine.lock_request import Backend, LockRequest
from stockade.locks.errors import LockUnavailable, ProviderClosed
from stockade.locks.runtime.runtime import Runtime

T = TypeVar("T")
_EXTEND_S = 5.0  # of one call that extends, at most


class CallCount:
    """The number of calls that run in one event loop or process."""

    running = 0


class BackendCalls:
    """The calls of one provider.

    Attributes:
        closed: whether the provider was closed.
        count: of the calls in the current event loop and process. A call that began elsewhere counts there.
    """

    def __init__(self, runtime: Runtime, backend: Backend) -> None:
        self._runtime = runtime
        self._backend = backend
        self.closed = False
        self.count = CallCount()

    def reset(self) -> None:
        """Start a new count: calls of the parent process or of the previous event loop do not count here."""
        self.count = CallCount()

    def require_open(self, lock_name: str = "") -> None:
        """Refuse a call that cannot be carried out here.

        Raises:
            ProviderClosed: the provider is closed.
            WrongLoop: it is in use in another event loop.
        """
        if self.closed:
            raise ProviderClosed(lock_name=lock_name)
        self._runtime.enter_loop()

    def explain(self, error: Exception, lock_name: str = "") -> None:
        """Make a LockUnavailable name its server.

        Raises:
            ProviderClosed: `close` caused the error.
        """
        if isinstance(error, LockUnavailable):
            if self.closed:
                raise ProviderClosed(lock_name=lock_name) from error
            error.name_server(self._backend.where)

    async def extend(self, request: LockRequest) -> bool:
        """Extend one lease now, to the length in `request`. False: the server no longer knows it."""
        return (await self.run(self._backend.extend([request], min(request.spec.lease_s, _EXTEND_S)))) == [True]

    async def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine of the backend. Errors as for `require_open`, and those of the backend."""
        try:
            self.require_open()
        except BaseException:
            work.close()
            raise
        count = self.count
        count.running += 1
        try:
            return await work
        except LockUnavailable as error:
            self.explain(error)
            raise
        finally:
            count.running -= 1
