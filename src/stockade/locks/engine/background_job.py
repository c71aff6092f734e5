"""A background task or thread that runs while there is work: started on demand, started again if it died.

No mutex guards it. A signal handler can run at any point of the main thread, and would wait for ever for a mutex that
this thread holds. Two callers that start the job at the same time start two; only the last one goes on, the other ends
at its next step.
"""

from collections.abc import Callable, Coroutine
from typing import Any

from stockade.locks.runtime.runtime import Runtime

_RESTART_S = 0.2  # after a cancellation: a loop that is ending closes within that time, any other loop needs the job


class BackgroundJob:
    """One job of one owner.

    Args:
        runtime: what runs it.
        name: of its thread or task.
        work: the coroutine function of the job. It receives a ticket and ends once `is_current(ticket)` is False. It
            checks that at its start, and each time that it has made the wake-up that it waits for.
        needed: whether there is work.
        wake: wakes the job where it waits.
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
        """Whether it runs here: not ended, not dead, not left behind in a parent process or a closed loop."""
        handle = self._handle
        return handle is not None and self._runtime.is_running(handle)

    def is_current(self, ticket: object) -> bool:
        """Whether the run with this ticket should go on."""
        return self._ticket is ticket

    def start(self) -> None:
        """Start it unless it runs."""
        if self.running:
            return
        ticket = self._ticket = object()
        self._wake()  # a run that was started at the same time, so that it ends
        handle = self._runtime.spawn(self._run(ticket), self._name)
        if self._ticket is ticket:
            self._handle = handle

    async def _run(self, ticket: object) -> None:
        try:
            await self._work(ticket)
        except BaseException:  # cancelled together with all tasks of its loop, which may go on
            if self._ticket is ticket:
                self.detach()
                self._runtime.call_later(_RESTART_S, self._start_if_needed)
            raise
        if self._ticket is ticket:  # work added after the last look of the job is found here, or starts a new job
            self.detach()
            self._start_if_needed()

    def _start_if_needed(self) -> None:
        if self._needed():
            self.start()

    def detach(self) -> None:
        """Let a run end by itself: it is in a parent process or in another event loop, or must not go on."""
        self._ticket = self._handle = None

    async def join(self, timeout_s: float) -> None:
        """Wait for its end, `timeout_s` seconds at most."""
        handle = self._handle
        if handle is not None:
            await self._runtime.join(handle, timeout_s)
