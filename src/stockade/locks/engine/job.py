"""One background job at a time: begun when it is needed, begun anew when it has died, ended when nothing is left.

No lock guards it: a signal handler may come at any point of the main thread, and would wait for ever for a lock that
this thread holds. Two that begin it at once start two; the last one goes on, the other ends at its next step.
"""

from collections.abc import Callable, Coroutine
from typing import Any

from stockade.locks.runtime.runtime import Runtime

_RESTART_S = 0.2  # after a cancellation: a loop that is ending closes within that time, another one needs the job


class Job:
    """The job of one owner.

    Args:
        port: what runs it.
        name: of its thread or task.
        work: the job's coroutine; it gets a ticket and ends when `is_current(ticket)` is False: it looks at its begin,
            and each time it has made the notice that it waits for.
        needed: whether there is something to do.
        wake: publishes that notice.
    """

    def __init__(
        self,
        runtime: Runtime,
        name: str,
        work: Callable[[object], Coroutine[Any, Any, None]],
        *,
        needed: Callable[[], bool],
        wake: Callable[[], None],
    ) -> None:
        self._runtime = runtime
        self._name = name
        self._work = work
        self._needed = needed
        self._wake = wake
        self._ticket: object = None
        self._handle: Any = None

    @property
    def running(self) -> bool:
        """Whether it is under way: not ended, not died, not left behind in a parent process or a closed loop."""
        handle = self._handle
        return handle is not None and self._runtime.is_running(handle)

    def is_current(self, ticket: object) -> bool:
        """Whether the job that was given this ticket should go on."""
        return self._ticket is ticket

    def begin(self) -> None:
        """Start it, unless it is under way."""
        if self.running:
            return
        ticket = self._ticket = object()
        self._wake()  # one that was begun at the same time, so that it ends
        handle = self._runtime.spawn(self._run(ticket), self._name)
        if self._ticket is ticket:
            self._handle = handle

    async def _run(self, ticket: object) -> None:
        try:
            await self._work(ticket)
        except BaseException:  # cancelled with all tasks of its loop, which may go on
            if self._ticket is ticket:
                self._ticket = self._handle = None
                self._runtime.call_later(_RESTART_S, self._begin_if_needed)
            raise
        if self._ticket is ticket:  # who adds work after its last look finds it ended, or is found here
            self._ticket = self._handle = None
            self._begin_if_needed()

    def _begin_if_needed(self) -> None:
        if self._needed():
            self.begin()

    def forget(self) -> None:
        """It is not here any more (the child of a fork, another event loop), or must not go on."""
        self._ticket = self._handle = None

    async def join(self, timeout_s: float) -> None:
        """Wait for its end, `timeout_s` seconds at most."""
        handle = self._handle
        if handle is not None:
            await self._runtime.join(handle, timeout_s)
