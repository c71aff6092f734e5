"""A TCP proxy on this machine: a link that can be slow, silent, cut or narrow, and can lead to another port.

A replication link runs through one, because a replica that is merely stopped loses nothing: what was sent waits in its
socket. Clients reach a server through another, so that a promoted replica can take its place, and so that the lab can
disturb what is between a service and its servers. Every disturbance can begin and end while connections are open.
"""

import asyncio
import os
import random
import socket
import struct
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import cast

from stockade.devservers.process import free_port

HOST = "127.0.0.1"
MAX_WAITING_BYTES = 1_000_000  # of one direction of a connection; beyond it the proxy stops reading
PIECE_GAP_S = 0.0002  # without a gap the receiver would read several pieces at once
_LISTEN_TRIES = 5
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER of zero seconds: the kernel sends RST instead of FIN


@dataclass(frozen=True, slots=True)
class Conditions:
    """What a link does to what passes, in both directions and always in order.

    Attributes:
        latency_s: how much later everything arrives, in seconds.
        jitter_s: up to so many seconds more, drawn for each piece.
        piece_bytes: the largest piece that is passed at once; 0: as received.
        bytes_per_s: how fast each direction of a connection is; 0: no limit.
    """

    latency_s: float = 0.0
    jitter_s: float = 0.0
    piece_bytes: int = 0
    bytes_per_s: float = 0.0


CLEAN = Conditions()


@dataclass(slots=True)
class Touched:
    """What the conditions of a link did to what passed, since it was opened: bytes of both directions together.

    Attributes:
        late: that waited for a latency, a jitter or a rate.
        sliced: of what was passed in more than one piece.
        dropped: that were swallowed.
    """

    late: int = 0
    sliced: int = 0
    dropped: int = 0


class TcpProxy:
    """Passes bytes between its own port and another port of this machine. Open it before use.

    Args:
        target: the port that it leads to.
        edit: changes what the server sends before the client receives it.
        delay_s: how much later the client receives it, in seconds.
        rng: draws the jitter.
    """

    def __init__(
        self,
        target: int,
        *,
        edit: Callable[[bytes], bytes] | None = None,
        delay_s: float = 0.0,
        rng: random.Random | None = None,
    ) -> None:
        self.target, self.edit, self.delay_s = target, edit, delay_s
        self.rng = rng or random.Random()
        self.conditions = CLEAN
        self.passing = True
        self.ends: set[_End] = set()
        self.touched = Touched()
        self.closed = False
        self._port = 0
        self._server: asyncio.Server | None = None

    async def open(self) -> None:
        """Listen on a free port.

        Raises:
            OSError: other programs were faster to use each port that was tried.
        """
        for _ in range(_LISTEN_TRIES):
            self._port = free_port()
            with suppress(OSError):
                return await self.accept()
        return await self.accept()

    async def __aenter__(self) -> "TcpProxy":
        await self.open()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.close()

    @property
    def port(self) -> int:
        """Where it listens."""
        assert self._port, "open it first"
        return self._port

    def set_conditions(self, conditions: Conditions) -> None:
        """From now on pass everything under these conditions; what waits already keeps its time."""
        self.conditions = conditions

    def swallow(self) -> None:
        """From now on drop everything, the end of a connection included; neither side notices."""
        self.passing = False

    def cut(self) -> int:
        """Reset all open connections: both sides receive RST.

        Returns:
            How many there were.
        """
        was_open = [end for end in [*self.ends] if end.reset()]
        return sum(isinstance(end, _ClientEnd) for end in was_open)

    def half_close(self) -> int:
        """End what open connections send to their clients; what the clients send is still passed.

        Returns:
            Of how many this was done now.
        """
        return sum(end.finish() for end in [*self.ends] if isinstance(end, _ClientEnd))

    def refuse(self) -> None:
        """Listen no more: the system refuses new connections. Open ones stay."""
        if self._server is not None:
            self._server.close()
            self._server = None

    async def accept(self) -> None:
        """Listen again, on the same port.

        Raises:
            OSError: another program listens there.
        """
        if self._server is None:
            loop = asyncio.get_running_loop()
            self._server = await loop.create_server(lambda: _ClientEnd(self), HOST, self._port)

    async def restore(self) -> None:
        """End every disturbance. If bytes were dropped, the open connections are reset, as they can not go on.

        Raises:
            OSError: another program listens on its port since it was refused.
        """
        self.conditions = CLEAN
        if not self.passing:
            self.passing = True
            self.cut()
        await self.accept()

    def retarget(self, target: int) -> None:
        """Lead to another port from now on; open connections are aborted."""
        self.target = target
        self._abort_all()

    async def close(self) -> None:
        """Abort all connections and stop listening, for good."""
        self.closed = True
        self.refuse()
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
        self._waiting: deque[tuple[float, bytes | None]] = deque()  # when, and what; None is the end of the connection
        self._waiting_bytes = 0
        self._last_due_s = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._not_reading: set[str] = set()  # why
        self._finished = False
        self.other: _End | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._proxy.ends.add(self)

    def data_received(self, data: bytes) -> None:
        if self.other is None:
            self._early += data  # one piece at most: reading is paused, but uvloop may have begun before
        elif self._proxy.passing:
            self._forward(data)
        else:
            self._proxy.touched.dropped += len(data)

    def _forward(self, data: bytes) -> None:
        """Pass what the server has sent."""
        if self._proxy.edit is not None:
            data = self._proxy.edit(data)
        self._pass(data, self._proxy.delay_s)

    def _pass(self, data: bytes, delay_s: float) -> None:
        """Write it to the other end: at once, or later under the conditions of the link."""
        if not (delay_s or self._waiting) and self._proxy.conditions == CLEAN:
            self._write_to_other(data)
            return
        self._count(len(data))
        for piece in _pieces(data, self._proxy.conditions.piece_bytes):
            self._waiting.append((self._due_s(len(piece), delay_s), piece))
        self._waiting_bytes += len(data)
        if self._waiting_bytes > MAX_WAITING_BYTES:
            self.read(False, "too much waits")
        self._arm()

    def _count(self, size: int) -> None:
        link, touched = self._proxy.conditions, self._proxy.touched
        touched.late += size if link.latency_s or link.jitter_s or link.bytes_per_s else 0
        touched.sliced += size if 0 < link.piece_bytes < size else 0

    def _due_s(self, size: int, delay_s: float) -> float:
        """When a piece of this size arrives: never before the one before it."""
        link = self._proxy.conditions
        jitter_s = self._proxy.rng.random() * link.jitter_s if link.jitter_s else 0.0
        earliest_s = self._last_due_s + (PIECE_GAP_S if link.piece_bytes else 0.0)
        due_s = max(asyncio.get_running_loop().time() + delay_s + link.latency_s + jitter_s, earliest_s)
        self._last_due_s = due_s + (size / link.bytes_per_s if link.bytes_per_s else 0.0)
        return self._last_due_s

    def _arm(self) -> None:
        if self._timer is None and self._waiting:
            self._timer = asyncio.get_running_loop().call_at(self._waiting[0][0], self._deliver)

    def _deliver(self) -> None:
        self._timer = None
        now_s = asyncio.get_running_loop().time()
        while self._waiting and self._waiting[0][0] <= now_s:
            _, piece = self._waiting.popleft()
            if piece is None:
                self._close_other()
                return
            self._waiting_bytes -= len(piece)
            if self._proxy.passing:
                self._write_to_other(piece)
            else:
                self._proxy.touched.dropped += len(piece)
            if self._proxy.conditions.piece_bytes:
                break  # one at a time
        if self._waiting_bytes <= MAX_WAITING_BYTES:
            self.read(True, "too much waits")
        self._arm()

    def _write_to_other(self, data: bytes) -> None:
        if self.other is not None:
            self.other.write(data)

    def write(self, data: bytes) -> None:
        """Write to this end's socket."""
        if self._transport is not None and not self._finished and not self._transport.is_closing():
            self._transport.write(data)

    def finish(self) -> bool:
        """Send the end of this direction; the other direction stays open. Whether that was still to be done."""
        if self._transport is None or self._finished or self._transport.is_closing():
            return False
        self._finished = True
        self._transport.write_eof()
        return True

    def join(self, other: "_End") -> None:
        """From now on write what is received here to the other end."""
        self.other, early, self._early = other, self._early, b""
        if early:
            self.data_received(early)

    def pause_writing(self) -> None:
        if self.other is not None:
            self.other.read(False, "the other end is full")

    def resume_writing(self) -> None:
        if self.other is not None:
            self.other.read(True, "the other end is full")

    def read(self, more: bool, why: str) -> None:
        """Stop reading for a reason, or resume when the last reason is gone."""
        before = bool(self._not_reading)
        (self._not_reading.discard if more else self._not_reading.add)(why)
        if bool(self._not_reading) != before and self._transport is not None and not self._transport.is_closing():
            (self._transport.pause_reading if self._not_reading else self._transport.resume_reading)()

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def reset(self) -> bool:
        """Close this end's socket with RST. Whether it was still open."""
        if self._transport is None or self._transport.is_closing():
            return False
        # a duplicate, because the sockets of some event loops have no options; they belong to the connection
        own = self._transport.get_extra_info("socket")
        if own is not None:  # the other side may have closed it in this moment
            with socket.socket(fileno=os.dup(own.fileno())) as duplicate:
                duplicate.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        self._transport.abort()
        return True

    def close(self) -> None:
        """Write what is left, then close this end's socket."""
        if self._transport is not None:
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._proxy.ends.discard(self)
        if self.other is None or not self._proxy.passing:
            return
        if self._waiting:
            self._waiting.append((self._last_due_s, None))
        else:
            self._close_other()

    def _close_other(self) -> None:
        if self.other is not None:
            self.other.close()


class _ClientEnd(_End):
    """The client's end. It reads only when the server's end is connected."""

    _connecting: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        if self._proxy.closed:  # it was accepted a moment before
            self.abort()
            return
        self.read(False, "the server's end is not connected")
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
        self.read(True, "the server's end is not connected")

    def _forward(self, data: bytes) -> None:
        self._pass(data, 0.0)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._connecting is not None:
            self._connecting.cancel()
        super().connection_lost(exc)


def _pieces(data: bytes, size: int) -> Iterator[bytes]:
    if not size:
        yield data
        return
    for start in range(0, len(data), size):
        yield data[start : start + size]
