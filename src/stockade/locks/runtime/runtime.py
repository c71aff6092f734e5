"""What the lock engine needs of its surroundings: a clock, waiting, background work; and the protocol of a lock server.

The engine awaits only these methods. So the same coroutines run on asyncio (`async_runtime.py`), in a thread
(`sync_runtime.py`, where every method blocks and none suspends) and in a simulator with a virtual clock
(`testing/simulator.py`). `Server` is a protocol of its own because a quorum has several servers and one runtime.
"""

from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, Protocol, TypeAlias

Reply: TypeAlias = Any  # what a server answers: int, bytes, None, or a list of these
PackedCall: TypeAlias = Callable[[bytes, float], Awaitable[Reply]]  # the bytes, timeout in seconds

DRAIN_S = 10.0  # default limit of `Runtime.drain`


class Wakeup(Protocol):
    """A one-shot signal made by `Runtime.new_wakeup`. It grants nothing: a woken caller looks again."""


class Runtime(Protocol):
    """Everything that the engine needs of its surroundings, apart from servers."""

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
        """The current task, or the current thread. Errors as for `enter_loop`."""
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

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> Any:
        """Run this in the background; it ends by itself. Returns a handle for `is_running` and `join`."""
        ...

    def is_running(self, job: Any) -> bool:
        """Whether the background work of this handle still runs."""
        ...

    def call_later(self, seconds: float, action: Callable[[], None]) -> None:
        """Call `action` after so many seconds, if the surroundings still exist by then."""
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


class Server(Protocol):
    """One lock server. It carries out calls in the order in which they were sent, also those of a cancelled caller."""

    async def call(self, *parts: bytes | str | int, timeout_s: float) -> Reply:
        """Send one command and wait for its reply.

        Raises:
            LockUnavailable: no connection, or no reply within `timeout_s` seconds; the command may have run.
            ServerError: the server refused the command.
        """
        ...

    @property
    def call_packed(self) -> "PackedCall | None":
        """The same for a command that is encoded already; None if that saves nothing."""
        ...

    async def distrust(self) -> None:
        """Close the connection after a reply that no lock server gives; the next call opens a new one."""
        ...

    async def close(self) -> None:
        """Close the connection; calls that wait for a reply fail with LockUnavailable."""
        ...


class ServerError(Exception):
    """The server answered with an error. `args[0]` is its text."""


Parts: TypeAlias = Sequence[bytes | str | int]
