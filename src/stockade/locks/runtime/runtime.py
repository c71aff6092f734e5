"""What the lock engine needs of its surroundings: a clock, waiting, background work.

The engine awaits only these methods. So the same coroutines run on asyncio (`async_runtime.py`), in a thread
(`sync_runtime.py`, where every method blocks and none suspends) and in a simulator with a virtual clock
(`testing/simulator.py`).
"""

from collections.abc import Callable, Coroutine
from typing import Any, Protocol

DRAIN_S = 10.0  # default limit of `Runtime.drain`


class Wakeup(Protocol):
    """A one-shot signal made by `Runtime.new_wakeup`. It grants nothing: a woken caller looks again."""


class Runtime(Protocol):
    """Everything that the engine needs of its surroundings, apart from the backend."""

    def now(self) -> float:
        """The monotonic clock, in seconds."""
        ...

    def new_id(self) -> str:
        """An id that no other process, thread or task makes: `<process>.<number>`."""
        ...

    def process(self) -> str:
        """The first half of those ids; a new one in the child after a fork."""
        ...

    def caller(self) -> object:
        """The current task, or the current thread.

        It also does what `enter_loop` does: the first call in another event loop moves the provider there, or raises.
        """
        ...

    def is_alive(self, caller: object) -> bool:
        """Whether that task or thread can still come back and release."""
        ...

    def interrupt(self, caller: object) -> bool:
        """Cancel the task; False if that is impossible (threads)."""
        ...

    def new_wakeup(self) -> Wakeup:
        """A new signal for one waiter."""
        ...

    async def wait_for(self, wakeup: Any, timeout_s: float | None) -> bool:
        """Wait until `wake(wakeup)`, at most `timeout_s` seconds (None: no limit). True when it was woken."""
        ...

    def wake(self, wakeup: Any) -> None:
        """Wake the waiter of this signal; harmless when it has gone. Safe from any thread."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Pause."""
        ...

    def spawn(self, work: Coroutine[Any, Any, Any], name: str) -> Any:
        """Run this in the background; it ends by itself. Returns a handle for `is_running` and `join`."""
        ...

    def is_running(self, job: Any) -> bool:
        """Whether the background work of this handle still runs."""
        ...

    def call_later(self, seconds: float, action: Callable[[], None]) -> None:
        """Call `action` after so many seconds, if the surroundings still exist by then; threads call it at once."""
        ...

    async def join(self, job: Any, timeout_s: float) -> None:
        """Wait until background work has ended, at most that long."""
        ...

    def run_to_end(self, work: Coroutine[Any, Any, Any]) -> None:
        """Run this to its end although the caller is being cancelled.

        It must take a fraction of a second at most: a thread waits for it.
        """
        ...

    async def drain(self, timeout_s: float = DRAIN_S) -> None:
        """Wait for everything that `run_to_end` has started, at most that long."""
        ...

    def enter_loop(self) -> None:
        """Belong to the event loop of the caller from now on.

        Raises:
            WrongLoop: the provider is in use in another event loop.
        """
        ...
