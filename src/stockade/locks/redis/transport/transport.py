"""What the Redis backends need of a connection; implemented by every transport in this package.

What all of them promise: a call ends within its own timeout, whatever it waits for (a name, a connection, a handshake,
another caller's turn, the reply). A transport works in the child of a fork and in a second event loop: it forgets the
connections of the first one and opens others.
"""

from collections.abc import Callable
from typing import Any, Protocol

from stockade.locks.runtime.runtime import PackedCall

Heard = Callable[[bytes], None]
Gap = Callable[[], None]


class Transport(Protocol):
    """A `Server` that can also listen. Calls keep their order, cancelled or not."""

    async def call(self, *parts: bytes | str | int, timeout_s: float) -> Any:
        """One command; see `stockade.locks.runtime.runtime.Server`."""
        ...

    @property
    def call_packed(self) -> PackedCall | None:
        """See `stockade.locks.runtime.runtime.Server`."""
        ...

    async def distrust(self) -> None:
        """See `stockade.locks.runtime.runtime.Server`."""
        ...

    async def listen(self, channel: str, heard: Heard, gap: Gap, timeout_s: float) -> None:
        """Subscribe on a connection of its own and return when the server has confirmed it.

        Args:
            channel: the channel of this process.
            heard: called with each message, from the loop or from the listening thread.
            gap: called after every interruption, when messages may have been lost.
            timeout_s: how long the subscription may take.

        Raises:
            LockUnavailable: it could not be had; after success, reconnecting goes on in the background.
            ServerError: the server refuses the subscription, e.g. because the user has no right to the channel.
        """
        ...

    async def close(self) -> None:
        """Let go of all connections and end what runs in the background."""
        ...
