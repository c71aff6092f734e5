"""uvicorn's protocol, with one write for the head and the body of a response.

uvicorn writes them one after the other, and uvloop passes each write to the kernel at once: two packets, which wake
the client twice. Neighbour: `connection_limits`.
"""

import asyncio
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol


class BufferedProtocol(HttpToolsProtocol):
    """HTTP over a `BufferedTransport`."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
        super().connection_made(cast(asyncio.Transport, BufferedTransport(transport, self.loop)))


class BufferedTransport:
    """A transport that joins two writes in the same iteration of the event loop.

    Args:
        transport: the one below; everything but writing is passed to it.
        loop: that it runs on.
    """

    __slots__ = ("_buffered", "_loop", "_transport", "is_closing")

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._buffered: bytes | None = None
        self.is_closing = transport.is_closing

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Buffer the data, or write it behind the data that is buffered."""
        buffered = self._buffered
        if buffered is None:
            self._buffered = data
            self._loop.call_soon(self._flush)
        else:
            self._buffered = None
            self._transport.write(buffered + data)

    def close(self) -> None:
        """Write what is buffered, then close."""
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        buffered, self._buffered = self._buffered, None
        if buffered is not None and not self.is_closing():  # the client may have closed the connection
            self._transport.write(buffered)
