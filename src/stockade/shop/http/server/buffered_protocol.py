"""uvicorn's protocol, with one write for the head and the body of an answer.

uvicorn writes them one after the other, and uvloop passes each write to the kernel at once: two packets, which wake
the client twice. One write saves 7 % of the CPU of a request (measured without a store). Neighbour: `server` names it
to uvicorn.
"""

import asyncio
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol


class BufferedProtocol(HttpToolsProtocol):
    """Speaks HTTP through a `BufferedTransport`."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
        super().connection_made(cast(asyncio.Transport, BufferedTransport(transport, self.loop)))


class BufferedTransport:
    """A transport that holds what is written until the next write, but no longer than this turn of the event loop.

    Args:
        transport: does everything else.
        loop: that it runs on.
    """

    __slots__ = ("_held", "_loop", "_transport", "is_closing")

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._held: bytes | None = None
        self.is_closing = transport.is_closing

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Hold the data, or write it behind what is held."""
        held = self._held
        if held is None:
            self._held = data
            self._loop.call_soon(self._flush)
        else:
            self._held = None
            self._transport.write(held + data)

    def close(self) -> None:
        """Write what is held, then close."""
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        held, self._held = self._held, None
        if held is not None and not self.is_closing():  # a client that is gone gets nothing
            self._transport.write(held)
