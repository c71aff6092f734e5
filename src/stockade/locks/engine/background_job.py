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
        work: the coroutine function of the job. It receives a ticket and ends once `is_current(ticket)` is False: it
            checks that at its start, and after each `new_wakeup`.
        needed: whether there is work.
    """

    def __init__(
        self,
        runtime: Runtime,
        name: str,
        work: Callable[[object], Coroutine[Any, Any, None]],
        needed: Callable[[], bool],
    ) -> None:
        self._runtime = runtime
        self._name = name
        self._work = work
        self._needed = needed
        self._ticket: object = None
        self._handle: Any = None
        self._wakeup: Any = None

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
        self.wake()  # a run that was started at the same time, so that it ends
        handle = self._runtime.spawn(self._run(ticket), self._name)
        if self._ticket is ticket:
            self._handle = handle

    async def _run(self, ticket: object) -> None:
        try:
            await self._work(ticket)
        except BaseException:  # cancelled together with all tasks of its loop, which may go on
            if self._ticket is ticket:
                self._ticket = self._handle = None
                self._runtime.call_later(_RESTART_S, self._start_if_needed)
            raise
        if self._ticket is ticket:  # work added after the last look of the job is found here, or starts a new job
            self._ticket = self._handle = None
            self._start_if_needed()

    def _start_if_needed(self) -> None:
        if self._needed():
            self.start()

    def new_wakeup(self) -> Any:
        """What the job waits for from now on."""
        wakeup = self._wakeup = self._runtime.new_wakeup()
        return wakeup

    def wake(self) -> None:
        """Wake the job where it waits."""
        wakeup = self._wakeup
        if wakeup is not None:
            self._runtime.wake(wakeup)

    def reset_in_child(self) -> None:
        """In the child of a fork: the job runs in the parent."""
        self._ticket = self._handle = self._wakeup = None

    def change_loop(self) -> None:
        """End the run in the previous event loop, and go on in the current one."""
        self._ticket = self._handle = None
        self.wake()
        self._wakeup = None
        if self._needed():
            self._runtime.call_later(0.0, self.start)

    async def close(self, timeout_s: float) -> None:
        """Wake it and wait for its end, `timeout_s` seconds at most."""
        self.wake()
        handle = self._handle
        if handle is not None:
            await self._runtime.join(handle, timeout_s)
