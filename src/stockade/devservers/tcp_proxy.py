"""A TCP proxy on this machine that can drop, delay or change what passes, and lead to another port.

A replication link runs through one, because a replica that is merely stopped loses nothing: what was sent waits in its
socket. Clients reach a server through another, so that a promoted replica can take its place.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import cast

HOST = "127.0.0.1"


class TcpProxy:
    """Passes bytes between its own port and another port of this machine. Open it before use.

    Args:
        target: the port that it leads to.
        edit: changes what the server sends before the client receives it.
        delay_s: how much later the client receives it, in seconds.
    """

    def __init__(self, target: int, *, edit: Callable[[bytes], bytes] | None = None, delay_s: float = 0.0) -> None:
        self.target, self.edit, self.delay_s = target, edit, delay_s
        self.passing = True
        self.ends: set[_End] = set()
        self._server: asyncio.Server | None = None

    async def open(self) -> None:
        """Listen on a free port."""
        self._server = await asyncio.get_running_loop().create_server(lambda: _ClientEnd(self), HOST, 0)

    async def __aenter__(self) -> "TcpProxy":
        await self.open()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.close()

    @property
    def port(self) -> int:
        """Where it listens."""
        assert self._server is not None, "open it first"
        return int(self._server.sockets[0].getsockname()[1])

    def swallow(self) -> None:
        """From now on drop everything, the end of a connection included; neither side notices."""
        self.passing = False

    def retarget(self, target: int) -> None:
        """Lead to another port from now on; open connections are aborted."""
        self.target = target
        self._abort_all()

    async def close(self) -> None:
        """Abort all connections and stop listening."""
        if self._server is not None:
            self._server.close()
        self._abort_all()
        await asyncio.sleep(0)  # the loop closes aborted sockets in its next iteration

    def _abort_all(self) -> None:
        for end in [*self.ends]:
            end.abort()


class _End(asyncio.Protocol):
    """The server's end of a connection through the proxy: what it receives is written to the other end."""

    def __init__(self, proxy: TcpProxy) -> None:
        self._proxy = proxy
        self._transport: asyncio.Transport | None = None
        self._early = b""
        self._delayed: deque[bytes] = deque()
        self.other: _End | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._proxy.ends.add(self)

    def data_received(self, data: bytes) -> None:
        if self.other is None:
            self._early += data  # one piece at most: reading is paused, but uvloop may have begun before
        elif self._proxy.passing:
            self._forward(data)

    def _forward(self, data: bytes) -> None:
        if self._proxy.edit is not None:
            data = self._proxy.edit(data)
        if self._proxy.delay_s:
            self._delayed.append(data)
            asyncio.get_running_loop().call_later(self._proxy.delay_s, self._forward_delayed)
        else:
            self._write_to_other(data)

    def _forward_delayed(self) -> None:
        data = self._delayed.popleft()
        if self._proxy.passing:
            self._write_to_other(data)

    def _write_to_other(self, data: bytes) -> None:
        if self.other is not None:
            self.other.write(data)

    def write(self, data: bytes) -> None:
        """Write to this end's socket."""
        if self._transport is not None:
            self._transport.write(data)

    def join(self, other: "_End") -> None:
        """From now on write what is received here to the other end."""
        self.other, early, self._early = other, self._early, b""
        if early:
            self.data_received(early)

    def pause_writing(self) -> None:
        if self.other is not None:
            self.other.read(False)

    def resume_writing(self) -> None:
        if self.other is not None:
            self.other.read(True)

    def read(self, more: bool) -> None:
        """Resume reading, or pause it until the other end has room."""
        if self._transport is not None and not self._transport.is_closing():
            (self._transport.resume_reading if more else self._transport.pause_reading)()

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._proxy.ends.discard(self)
        if self._proxy.passing and self.other is not None:
            self.other.abort()


class _ClientEnd(_End):
    """The client's end. It reads only when the server's end is connected."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.read(False)
        self._connecting = asyncio.get_running_loop().create_task(self._connect())

    async def _connect(self) -> None:
        server_end = _End(self._proxy)
        server_end.other = self
        try:
            await asyncio.get_running_loop().create_connection(lambda: server_end, HOST, self._proxy.target)
        except OSError:  # nobody listens there: the client gets what it would get without the proxy
            self.abort()
            return
        self.join(server_end)
        self.read(True)

    def _forward(self, data: bytes) -> None:
        self._write_to_other(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._connecting.cancel()
        super().connection_lost(exc)
