"""Connection classes that bound every wait by the deadline of the call: the name, TLS, the login, sending, reading.

Each class stands before a connection class of redis-py in the order of bases.
"""

import contextlib
import socket
import time
from asyncio import CancelledError
from collections.abc import Iterator
from typing import Any

from stockade.drivers.resolve import places, places_async
from stockade.locks.redis.transport.redis_py.deadline import LEAST_S, current_deadline
from stockade.locks.redis.transport.redis_py.errors import BAD_REPLY
from stockade.locks.redis.transport.sockets import HangUpProbe, SocketTimeout
from stockade.locks.runtime import leftover

NO_CALL_S = 0.5  # how long a connection waits where no call is in flight, e.g. while it is closed


class _Bounded:
    """The time limits of a connection, as the call that is in flight has them."""

    deadline_share = 1.0
    bounded_outside = False

    def left_s(self) -> float:
        call = current_deadline.get()
        return NO_CALL_S if call is None else max(call.left_s() * self.deadline_share, LEAST_S)

    @property
    def socket_timeout(self) -> float | None:
        """None where the whole call has a timer anyway: another one for each reply costs a tenth of the call."""
        return None if self.bounded_outside and self.deadline_share == 1.0 else self.left_s()

    @socket_timeout.setter
    def socket_timeout(self, seconds: float | None) -> None:
        """Ignored: the deadline of the call decides."""

    @property
    def socket_connect_timeout(self) -> float:
        return self.left_s()

    @socket_connect_timeout.setter
    def socket_connect_timeout(self, seconds: float | None) -> None:
        """Ignored: the deadline of the call decides."""

    @contextlib.contextmanager
    def _greeting(self) -> Iterator[None]:
        """Inside, nothing that is sent counts as the call."""
        call = current_deadline.get()
        before = call is not None and call.sent
        try:
            yield
        finally:
            if call is not None:
                call.sent = before


class BlockingConnection(_Bounded):
    """For threads."""

    def connect(self) -> None:
        if getattr(self, "_sock", None):
            return
        with self._greeting():
            try:
                super().connect()  # type: ignore[misc]  # redis-py's
            except BAD_REPLY:  # which it does not expect, so it leaves the connection open
                self.disconnect()  # type: ignore[attr-defined]
                raise

    def _connect(self) -> Any:
        host = getattr(self, "host", None)
        if isinstance(host, str):  # look it up with a bound; redis-py repeats the look-up at once
            places(host, self.port, time.monotonic() + self.left_s())  # type: ignore[attr-defined]
        made = super()._connect()  # type: ignore[misc]
        return _BoundedSocket(made, self) if isinstance(made, socket.socket) else made

    def send_packed_command(self, *args: Any, **kwargs: Any) -> None:
        call = current_deadline.get()
        if call is not None and getattr(self, "_sock", None):
            call.sent = True
        super().send_packed_command(*args, **kwargs)  # type: ignore[misc]


class _BoundedSocket:
    """A socket that sets its timeout before it sends or receives."""

    def __init__(self, real: socket.socket, connection: _Bounded) -> None:
        self._real = real
        self._wanted_s: float | None = None  # what redis-py has set
        self._share = connection.deadline_share
        self._timeout = SocketTimeout(real.settimeout)
        self.fileno = real.fileno  # used in each call, as the next one
        self.pending = getattr(real, "pending", _nothing_pending)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def settimeout(self, seconds: float | None) -> None:
        self._wanted_s = seconds
        self._timeout.reset()
        self._real.settimeout(seconds)

    def _bound(self) -> None:
        if self._wanted_s == 0:  # redis-py before 8 asks so, before each call, whether a pooled connection was closed
            return
        call = current_deadline.get()
        if call is not None:
            left_s = (call.end - time.monotonic()) * self._share
        else:
            left_s = NO_CALL_S if self._wanted_s is None else min(self._wanted_s, NO_CALL_S)
        self._timeout.limit(left_s)

    def sendall(self, data: bytes) -> None:
        self._bound()
        self._real.sendall(data)

    def recv(self, *args: Any) -> bytes:
        self._bound()
        return self._real.recv(*args)

    def recv_into(self, buffer: Any) -> int:
        self._bound()
        return self._real.recv_into(buffer)


def _nothing_pending() -> int:
    return 0


class AsyncioConnection(_Bounded):
    """The same for asyncio, where the whole call has a limit as well."""

    bounded_outside = True
    _reader: Any
    _writer: Any
    _probed: Any = None  # the writer that `_hang_up` belongs to
    _hang_up: HangUpProbe | None = None

    async def connect(self) -> None:
        if self.is_connected:  # type: ignore[attr-defined]
            return
        with self._greeting():
            try:
                await super().connect()  # type: ignore[misc]
            except (*BAD_REPLY, CancelledError):
                await self.disconnect(nowait=True)  # type: ignore[attr-defined]
                raise

    async def _connect(self) -> None:
        host = getattr(self, "host", None)
        if isinstance(host, str):  # redis-py's own look-up would keep a thread that the loop waits for at its end
            await places_async(host, self.port)  # type: ignore[attr-defined]
        await super()._connect()  # type: ignore[misc]

    def end(self) -> None:
        """Close the socket after the end of its event loop."""
        if self._writer is not None:
            leftover.end(self._writer.transport)
        self._reader = self._writer = None

    async def can_read(self) -> bool:
        """redis-py calls this before it uses a pooled connection; the loop may not have noticed its end yet."""
        writer = getattr(self, "_writer", None)
        if writer is not self._probed:
            sock = None if writer is None else writer.get_extra_info("socket")
            self._probed, self._hang_up = writer, None if sock is None else HangUpProbe(sock.fileno())
        if self._hang_up is not None and self._hang_up.is_closed():
            raise ConnectionError("closed by the server while it was idle")
        return bool(await super().can_read())  # type: ignore[misc]

    async def send_packed_command(self, *args: Any, **kwargs: Any) -> None:
        call = current_deadline.get()
        if call is not None:
            call.sent = True
        await super().send_packed_command(*args, **kwargs)  # type: ignore[misc]
