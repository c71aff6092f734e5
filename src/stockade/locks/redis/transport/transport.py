"""A lock server as the Redis backends and the scripts call it; implemented by every transport in this package.

Every transport promises two things. A call ends within its own timeout, whatever it waits for: a name, a connection,
a handshake, another caller, the reply. And it works in the child of a fork and in a second event loop: there it opens
connections of its own.
"""

from collections.abc import Awaitable, Callable
from typing import Any, Protocol, TypeAlias

Reply: TypeAlias = Any  # what a server answers: int, bytes, None, or a list of these
PackedCall: TypeAlias = Callable[[bytes, float], Awaitable[Reply]]  # the encoded command, timeout in seconds
OnMessage = Callable[[bytes], None]
OnReconnect = Callable[[], None]


class ServerError(Exception):
    """The server answered with an error. `args[0]` is its text."""


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


class Transport(Server, Protocol):
    """A server that can also subscribe."""

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
