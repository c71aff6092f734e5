"""A TCP proxy that can swallow what passes and be pointed elsewhere: a cut link and a moved address without root.

The link between a Redis and its replica runs through one, because a replica that is merely stopped loses nothing (what
was sent waits in its socket); clients reach a server through another, so that a promoted replica can take its place.
"""

import asyncio
from typing import cast

HOST = "127.0.0.1"


class Proxy:
    """Passes bytes between its own port and another one of this machine. Open it before use.

    Args:
        target: the port that it leads to.
    """

    def __init__(self, target: int) -> None:
        self.target = target
        self.passing = True
        self.ends: set[_End] = set()
        self._server: asyncio.Server | None = None

    async def open(self) -> None:
        """Listen on a free port."""
        self._server = await asyncio.get_running_loop().create_server(lambda: _Near(self), HOST, 0)

    @property
    def port(self) -> int:
        """Where it listens."""
        assert self._server is not None, "open it first"
        return int(self._server.sockets[0].getsockname()[1])

    def swallow(self) -> None:
        """From now on nothing passes, not even the end of a connection, and neither side is told."""
        self.passing = False

    def point(self, target: int) -> None:
        """Lead to another port from now on; who is connected has to connect again."""
        self.target = target
        self._hang_up()

    async def close(self) -> None:
        """Hang up and stop listening."""
        if self._server is not None:
            self._server.close()
        self._hang_up()
        await asyncio.sleep(0)  # the loop closes aborted sockets in its next turn

    def _hang_up(self) -> None:
        for end in [*self.ends]:
            end.hang_up()


class _End(asyncio.Protocol):
    """One end of a connection through the proxy: what it hears goes out at the other end."""

    def __init__(self, proxy: Proxy) -> None:
        self._proxy = proxy
        self._transport: asyncio.Transport | None = None
        self._early = b""
        self.other: _End | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._proxy.ends.add(self)

    def data_received(self, data: bytes) -> None:
        if self.other is None:
            self._early += data  # one piece at most: reading is paused, but uvloop may have begun before
        elif self._proxy.passing:
            self.other.say(data)

    def join(self, other: "_End") -> None:
        """From now on what is heard here goes out there."""
        self.other, early, self._early = other, self._early, b""
        if early:
            self.data_received(early)

    def say(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)

    def pause_writing(self) -> None:
        if self.other is not None:
            self.other.listen(False)

    def resume_writing(self) -> None:
        if self.other is not None:
            self.other.listen(True)

    def listen(self, more: bool) -> None:
        """Read on, or wait until the other end has room."""
        if self._transport is not None and not self._transport.is_closing():
            (self._transport.resume_reading if more else self._transport.pause_reading)()

    def hang_up(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._proxy.ends.discard(self)
        if self._proxy.passing and self.other is not None:
            self.other.hang_up()


class _Near(_End):
    """The end that a client has connected to. It listens to him once there is somebody at the other end."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.listen(False)
        self._reaching = asyncio.get_running_loop().create_task(self._reach())

    async def _reach(self) -> None:
        far = _End(self._proxy)
        far.other = self
        try:
            await asyncio.get_running_loop().create_connection(lambda: far, HOST, self._proxy.target)
        except OSError:  # nobody listens there, and the client is told as he would be without us
            self.hang_up()
            return
        self.join(far)
        self.listen(True)

    def connection_lost(self, exc: Exception | None) -> None:
        self._reaching.cancel()
        super().connection_lost(exc)
