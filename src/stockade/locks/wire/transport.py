"""What the Redis backends need of a connection; implemented three times in this package."""

from collections.abc import Callable
from typing import Any, Protocol

from stockade.locks.port import PackedCall

Heard = Callable[[bytes], None]
Gap = Callable[[], None]


class Transport(Protocol):
    """A `Server` that can also listen. Calls keep their order, cancelled or not."""

    async def call(self, *parts: bytes | str | int, timeout_s: float) -> Any:
        """One command; see `stockade.locks.port.Server`."""
        ...

    @property
    def call_packed(self) -> PackedCall | None:
        """See `stockade.locks.port.Server`."""
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
        """
        ...

    async def close(self) -> None:
        """Let go of all connections and end what runs in the background."""
        ...
