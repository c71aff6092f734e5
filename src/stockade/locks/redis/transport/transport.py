"""What the Redis backends need of a connection; implemented by every transport in this package.

Every transport promises two things. A call ends within its own timeout, whatever it waits for: a name, a connection,
a handshake, another caller, the reply. And it works in the child of a fork and in a second event loop: there it opens
connections of its own.
"""

from collections.abc import Callable
from typing import Any, Protocol

from stockade.locks.runtime.runtime import PackedCall

OnMessage = Callable[[bytes], None]
OnReconnect = Callable[[], None]


class Transport(Protocol):
    """A `Server` that can also subscribe. Calls keep their order, cancelled or not."""

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

    async def listen(self, channel: str, on_message: OnMessage, on_reconnect: OnReconnect, timeout_s: float) -> None:
        """Subscribe on a connection of its own, and return when the server has confirmed it.

        After that the transport subscribes again in the background whenever the connection ends.

        Args:
            channel: the channel of this process.
            on_message: called with each message, from the event loop or from the subscription's thread.
            on_reconnect: called after every interruption, in which messages may have been lost.
            timeout_s: how long the first subscription may take, in seconds.

        Raises:
            LockUnavailable: there was no connection, or no answer, in time.
            ServerError: the server refuses the subscription, e.g. because the user has no right to the channel.
        """
        ...

    async def close(self) -> None:
        """Close all connections and end all background work."""
        ...
