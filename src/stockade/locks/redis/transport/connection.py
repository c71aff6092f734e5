"""One asyncio connection to a Redis server, and the calls that it has not answered yet. Used by `multiplexed.py`."""

import asyncio
import math
import socket
from collections import deque
from collections.abc import Callable, Sequence
from time import monotonic
from typing import Any, NamedTuple

from stockade.locks.errors import LockUnavailable
from stockade.locks.redis.transport.replies import is_stale
from stockade.locks.redis.transport.sockets import FRESH_S, IDLE_S, HangUpProbe, tune
from stockade.locks.redis.transport.transport import ServerError
from stockade.locks.runtime import leftover

_MAX_IN_FLIGHT = 100_000
_BATCH = 24  # commands in one write, so that it costs little; more while these are less than a quarter of all in flight
_CHECK_S = 0.25  # how often the deadlines of calls are looked at


class Resend(NamedTuple):
    """A call that had no effect on a connection used before; it is sent once more on a fresh one."""

    future: "asyncio.Future[Any]"
    due: float
    data: bytes
    reason: str  # an error reply; empty: the connection was closed

    def fail(self, error: Exception) -> None:
        """It could not be sent."""
        if not self.future.done():
            self.future.set_exception(ServerError(self.reason) if self.reason else error)


class Connection(asyncio.Protocol):
    """One connection.

    Args:
        hiredis: the parser's module.
        on_push: called with messages of a subscription.
        resend: called with the calls that must be sent on another connection, in their order.
    """

    def __init__(
        self,
        hiredis: Any,
        on_push: Callable[[list[Any]], None] | None = None,
        resend: Callable[[Sequence[Resend]], None] | None = None,
    ) -> None:
        self._pack = hiredis.pack_command
        self._reader = hiredis.Reader()
        self._error_type = hiredis.HiredisError
        self._on_push = on_push
        self._resend = resend
        self._out: list[bytes] = []
        self._waiting: deque[tuple[asyncio.Future[Any], float, bytes]] = deque()
        self._loop = asyncio.get_running_loop()
        self._transport: Any = None
        self._hang_up: HangUpProbe | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = math.inf  # the monotonic second of the next check
        self._used_at = 0.0  # when the last reply came; 0: none yet
        self._may_have_ended = False  # used after a long pause: if it ends without a reply, it had ended before
        self._stale = False  # leads to a server that cannot serve: later calls go over another connection
        self.answered_before = False  # a call, beside the greeting
        self.closed: asyncio.Future[str] = self._loop.create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        if self.closed.done():  # aborted while it was being opened
            self._transport.abort()
            return
        sock = transport.get_extra_info("socket")
        if sock is not None:
            self._hang_up = HangUpProbe(sock.fileno())
            if sock.family != socket.AF_UNIX:
                tune(sock)

    def probe(self) -> bool:
        """Whether a call may be sent on it. Aborts one that the server has closed while it was idle."""
        return not (self._stale or self.closed.done()) and (bool(self._waiting) or self._probe_idle(monotonic()))

    def _probe_idle(self, now: float) -> bool:
        idle_s = now - self._used_at
        self._may_have_ended = self.answered_before and idle_s >= IDLE_S
        if idle_s > FRESH_S and self._hang_up is not None and self._hang_up.is_closed():
            self.abort("closed by the server while it was idle")
            return False
        return True

    def try_send(self, data: bytes, timeout_s: float) -> "asyncio.Future[Any] | None":
        """As `send_packed`; None: the connection cannot be used."""
        if self._stale or self.closed.done():
            return None
        now = monotonic()
        if not self._waiting and now - self._used_at > FRESH_S and not self._probe_idle(now):
            return None
        future: asyncio.Future[Any] = self._loop.create_future()
        due, waiting = now + timeout_s, self._waiting
        if waiting:
            self._write(future, due, data, data)
            return future
        self._transport.write(data)
        waiting.append((future, due, data))
        if due < self._timer_at:
            self._check_by(due)
        return future

    def send(self, parts: tuple[bytes | str | int, ...], timeout_s: float) -> "asyncio.Future[Any]":
        """As `send_packed`, for a command in parts."""
        return self.send_packed(self._pack(parts), timeout_s)

    def send_packed(self, data: bytes, timeout_s: float) -> "asyncio.Future[Any]":
        """Write a command: at once if the server is idle, else with others of this tick. The future gets its reply."""
        future: asyncio.Future[Any] = self._loop.create_future()
        self._write(future, monotonic() + timeout_s, data, data)
        return future

    def send_again(self, call: Resend) -> None:
        """Send a call that failed on another connection; this time the result is final."""
        if not call.future.done():
            self._write(call.future, call.due, call.data, b"")

    def _write(self, future: "asyncio.Future[Any]", due: float, data: bytes, resendable: bytes) -> None:
        if self.closed.done():
            future.set_exception(LockUnavailable(f"lock server: {self.closed.result()}"))
            return
        waiting = self._waiting
        if not waiting:
            self._transport.write(data)
        elif len(waiting) >= _MAX_IN_FLIGHT:
            future.set_exception(LockUnavailable.unsent(f"lock server: {_MAX_IN_FLIGHT} calls are waiting for it"))
            return
        else:
            out = self._out
            if not out:
                self._loop.call_soon(self._flush)
            out.append(data)
            if len(out) >= _BATCH and 4 * len(out) > len(waiting):  # so that server and client both work
                self._flush()
        waiting.append((future, due, resendable))
        if due < self._timer_at:
            self._check_by(due)

    def _flush(self) -> None:
        out, self._out = self._out, []
        if out and not self.closed.done():
            self._transport.write(b"".join(out))

    def _check_by(self, due: float) -> None:
        """One timer for all calls: check their deadlines at this monotonic second at the latest."""
        if self._timer is not None:
            self._timer.cancel()
        now = monotonic()
        self._timer_at = min(due, now + _CHECK_S)
        self._timer = self._loop.call_later(max(self._timer_at - now, 0.0), self._check)

    def _check(self) -> None:
        """End each call that is overdue. Replies come in order: when no call can wait for the oldest one's reply, give
        the connection up.
        """
        self._timer, self._timer_at = None, math.inf
        if not self._waiting:
            return
        now, first = monotonic(), self._waiting[0][1]
        in_time = [due for future, due, _ in self._waiting if due > now and not future.done()]
        if first <= now and not in_time:
            self.abort("no answer in time")
            return
        for future, due, _ in self._waiting:
            if due <= now and not future.done():
                future.set_exception(LockUnavailable("lock server: no answer in time"))
        self._check_by(min(in_time, default=first))

    def data_received(self, data: bytes) -> None:
        self._reader.feed(data)
        self._may_have_ended = False
        gets, waiting, on_push, error_type = self._reader.gets, self._waiting, self._on_push, self._error_type
        try:
            while (reply := gets()) is not False:
                if on_push is not None and isinstance(reply, list) and reply[0] == b"message":
                    on_push(reply)
                elif not waiting:
                    self.abort("a reply that nobody asked for")
                elif isinstance(reply, error_type):
                    self._receive_error(waiting.popleft(), str(reply))
                elif not (future := waiting.popleft()[0]).done():  # else cancelled: the server ran it all the same
                    future.set_result(reply)
        except error_type as error:
            self.abort(f"it speaks no RESP: {error}")
        self.answered_before = True
        if not waiting:
            self._used_at = monotonic()
            if self._stale:
                self.abort("it leads to a server that cannot serve")

    def _receive_error(self, call: tuple["asyncio.Future[Any]", float, bytes], text: str) -> None:
        """An error reply. If another connection may answer differently, this one is not used any more."""
        future, due, data = call
        if is_stale(text):
            self._stale = True
            if data and self.answered_before and self._resend is not None and not future.done():
                self._resend([Resend(future, due, data, text)])
                return
        if not future.done():
            future.set_exception(ServerError(text))

    def connection_lost(self, exc: Exception | None) -> None:
        if self._may_have_ended and self._resend is not None and not self.closed.done():
            calls = [Resend(*call, "") for call in self._waiting if call[2] and not call[0].done()]
            self._waiting = deque(call for call in self._waiting if not call[2])
            if calls:
                self._resend(calls)
        self._fail(f"connection lost: {exc or 'closed'}")

    async def read(self) -> None:
        """Until it ends; see `SubscribedConnection`."""
        await asyncio.wait([self.closed])

    async def close(self) -> None:
        """See `SubscribedConnection`."""
        self.abort("closed")

    def abort(self, reason: str) -> None:
        """Give the connection up; every call in flight fails."""
        self._fail(reason)
        if self._transport is not None:
            self._transport.abort()

    def end(self) -> None:
        """Close the socket after the end of its event loop, which runs nothing any more."""
        leftover.end(self._transport)

    def _fail(self, reason: str) -> None:
        if not self.closed.done():
            self.closed.set_result(reason)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self._timer_at = math.inf
        while self._waiting:
            future = self._waiting.popleft()[0]
            if not future.done():
                future.set_exception(LockUnavailable(f"lock server: {reason}"))
