"""The narrow hole through which the lock core sees the world: time, waiting, background work, a server.

The core awaits nothing but these methods. So the same coroutines run on asyncio (`loop.py`), block a thread
(`blocking.py`, where no method ever suspends) and run in a simulator with a virtual clock (`sim.py`).
`call` stands in a protocol of its own because a quorum talks to several servers through one port.
"""

from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, Protocol, TypeAlias

Reply: TypeAlias = Any  # what a server answers: int, bytes, None, or a list of these
PackedCall: TypeAlias = Callable[[bytes, float], Awaitable[Reply]]  # the bytes, timeout in seconds

DRAIN_S = 10.0  # how long to wait for what was begun, unless somebody says otherwise


class Wakeup(Protocol):
    """A one-shot wake-up made by `Port.notice`. It carries no right: whoever wakes looks again."""


class Runtime(Protocol):
    """Everything the core may ask of its surroundings, apart from servers."""

    def now(self) -> float:
        """The monotonic clock, in seconds."""
        ...

    def new_id(self) -> str:
        """An id that no other process, thread or task makes: `<process>.<number>`."""
        ...

    def process(self) -> str:
        """The first half of those ids; another one in the child after a fork."""
        ...

    def caller(self) -> object:
        """Who is calling: the current task, or the current thread."""
        ...

    def is_alive(self, me: object) -> bool:
        """Whether that task or thread can still come back and release."""
        ...

    def interrupt(self, me: object) -> bool:
        """Cancel the task; False where that cannot be done (threads)."""
        ...

    def new_wakeup(self) -> Wakeup:
        """A fresh wake-up for one waiter."""
        ...

    async def wait_for(self, notice: Any, timeout_s: float | None) -> bool:
        """Wait until `publish(notice)`, at most `timeout_s` seconds (None: no limit). True when it was published."""
        ...

    def wake(self, notice: Any) -> None:
        """Wake the waiter of this notice; harmless when it has gone. Safe from any thread."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Pause."""
        ...

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> Any:
        """Run this in the background; whoever started it also tells it to end. Gives something for `join`."""
        ...

    def is_running(self, job: Any) -> bool:
        """Whether what `spawn` gave is still under way."""
        ...

    def call_later(self, seconds: float, action: Callable[[], None]) -> None:
        """Call `action` after a while, if the surroundings still exist by then."""
        ...

    async def join(self, job: Any, timeout_s: float) -> None:
        """Wait until background work has ended, at most that long."""
        ...

    def run_to_end(self, work: Coroutine[Any, Any, Any]) -> None:
        """Run this to its end although the caller is being cancelled. It takes a fraction of a second at most: a
        thread waits for it.
        """
        ...

    async def drain(self, timeout_s: float = DRAIN_S) -> None:
        """Wait for everything given to `finish`, at most that long."""
        ...

    def enter_loop(self) -> None:
        """Say that a call comes from where the caller is.

        Raises:
            WrongLoop: the provider is in use in another event loop.
        """
        ...


class Server(Protocol):
    """One lock server. Calls keep their order: what was sent first is carried out first, cancelled or not."""

    async def call(self, *parts: bytes | str | int, timeout_s: float) -> Reply:
        """Send one command and wait for its reply.

        Raises:
            LockUnavailable: no connection, or no reply within `timeout_s` seconds; the command may have run.
            ServerError: the server refused the command.
        """
        ...

    @property
    def call_packed(self) -> "PackedCall | None":
        """The same for a command that is bytes already; None where that is of no use."""
        ...

    async def distrust(self) -> None:
        """Give the connection up after a reply that no lock server gives; the next call goes over a fresh one."""
        ...

    async def close(self) -> None:
        """Give the connection back; calls in flight fail with LockUnavailable."""
        ...


class ServerError(Exception):
    """The server answered with an error. `args[0]` is its text."""


Parts: TypeAlias = Sequence[bytes | str | int]
