"""One asyncio connection to a Redis server: what was sent and not yet answered, in order. Used by `multiplexed.py`."""

import asyncio
import math
import socket
from collections import deque
from collections.abc import Callable, Sequence
from time import monotonic
from typing import Any, NamedTuple

from stockade.locks.errors import LockUnavailable
from stockade.locks.redis.transport.replies import is_stale
from stockade.locks.redis.transport.sockets import FRESH_S, IDLE_S, HangUp, tune
from stockade.locks.runtime import leftover
from stockade.locks.runtime.runtime import ServerError

_MAX_IN_FLIGHT = 100_000
_TOGETHER = 24  # commands in one write, so that it costs little; if fewer than a quarter of all in flight, then more
_WATCH_S = 0.25


class Again(NamedTuple):
    """A call that did nothing on a connection that had been in use, and is sent once more on a fresh one."""

    future: "asyncio.Future[Any]"
    due: float
    data: bytes
    reason: str  # an error reply; empty: the connection was closed

    def fail(self, error: Exception) -> None:
        """It could not be sent."""
        if not self.future.done():
            self.future.set_exception(ServerError(self.reason) if self.reason else error)


class Pipe(asyncio.Protocol):
    """One connection.

    Args:
        hiredis: the parser's module.
        push: called with messages of a subscription.
        again: called with the calls that are to be sent on another connection, in their order.
    """

    def __init__(
        self,
        hiredis: Any,
        push: Callable[[list[Any]], None] | None = None,
        again: Callable[[Sequence[Again]], None] | None = None,
    ) -> None:
        self._pack = hiredis.pack_command
        self._reader = hiredis.Reader()
        self._error_type = hiredis.HiredisError
        self._push = push
        self._again = again
        self._out: list[bytes] = []
        self._waiting: deque[tuple[asyncio.Future[Any], float, bytes]] = deque()
        self._loop = asyncio.get_running_loop()
        self._transport: Any = None
        self._hang_up: HangUp | None = None
        self._watch: asyncio.TimerHandle | None = None
        self._watch_at = math.inf  # the monotonic second of the next look
        self._used_at = 0.0  # when something was heard last; 0: nothing yet
        self._doubtful = False  # asked after a long pause: if it ends without a word, it had ended before
        self._stale = False  # leads to a server that cannot serve: what is sent from now on goes elsewhere
        self.kept = False  # has answered before
        self.closed: asyncio.Future[str] = self._loop.create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        if self.closed.done():  # given up while it was being opened
            self._transport.abort()
            return
        sock = transport.get_extra_info("socket")
        if sock is not None:
            self._hang_up = HangUp(sock.fileno())
            if sock.family != socket.AF_UNIX:
                tune(sock)

    def usable(self) -> bool:
        """Whether a call may be sent on it: not closed, by neither side, and not stale."""
        return not (self._stale or self.closed.done()) and (bool(self._waiting) or self._lives(monotonic()))

    def _lives(self, now: float) -> bool:
        """Whether it has not ended while it was idle."""
        idle_s = now - self._used_at
        self._doubtful = self.kept and idle_s >= IDLE_S
        if idle_s > FRESH_S and self._hang_up is not None and self._hang_up.seen():
            self.abort("closed by the server while it was idle")
            return False
        return True

    def offer(self, data: bytes, timeout_s: float) -> "asyncio.Future[Any] | None":
        """As `send_packed`; None: the connection is not usable."""
        if self._stale or self.closed.done():
            return None
        now = monotonic()
        if not self._waiting and now - self._used_at > FRESH_S and not self._lives(now):
            return None
        future: asyncio.Future[Any] = self._loop.create_future()
        due, waiting = now + timeout_s, self._waiting
        if waiting:
            self._write(future, due, data, data)
            return future
        self._transport.write(data)
        waiting.append((future, due, data))
        if due < self._watch_at:
            self._look_by(due)
        return future

    def send(self, parts: tuple[bytes | str | int, ...], timeout_s: float) -> "asyncio.Future[Any]":
        """As `send_packed`, for a command in parts."""
        return self.send_packed(self._pack(parts), timeout_s)

    def send_packed(self, data: bytes, timeout_s: float) -> "asyncio.Future[Any]":
        """Write a command: at once if the server is idle, else with others of this tick. The future gets its reply."""
        future: asyncio.Future[Any] = self._loop.create_future()
        self._write(future, monotonic() + timeout_s, data, data)
        return future

    def send_again(self, call: Again) -> None:
        """A call that failed elsewhere; here it counts, whatever becomes of it."""
        if not call.future.done():
            self._write(call.future, call.due, call.data, b"")

    def _write(self, future: "asyncio.Future[Any]", due: float, data: bytes, kept: bytes) -> None:
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
            if len(out) >= _TOGETHER and 4 * len(out) > len(waiting):  # so that server and client both work
                self._flush()
        waiting.append((future, due, kept))
        if due < self._watch_at:
            self._look_by(due)

    def _flush(self) -> None:
        out, self._out = self._out, []
        if out and not self.closed.done():
            self._transport.write(b"".join(out))

    def _look_by(self, due: float) -> None:
        """One timer for all calls: look at them at this monotonic second at the latest."""
        if self._watch is not None:
            self._watch.cancel()
        now = monotonic()
        self._watch_at = min(due, now + _WATCH_S)
        self._watch = self._loop.call_later(max(self._watch_at - now, 0.0), self._look)

    def _look(self) -> None:
        """Each call ends at its own time. When the oldest is overdue and nobody has time to wait for it, the connection
        is: replies come in order.
        """
        self._watch, self._watch_at = None, math.inf
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
        self._look_by(min(in_time, default=first))

    def data_received(self, data: bytes) -> None:
        self._reader.feed(data)
        self._doubtful = False
        gets, waiting, push, error_type = self._reader.gets, self._waiting, self._push, self._error_type
        try:
            while (reply := gets()) is not False:
                if push is not None and isinstance(reply, list) and reply[0] == b"message":
                    push(reply)
                elif not waiting:
                    self.abort("a reply that nobody asked for")
                elif isinstance(reply, error_type):
                    self._refused(waiting.popleft(), str(reply))
                elif not (future := waiting.popleft()[0]).done():  # else cancelled: it was carried out all the same
                    future.set_result(reply)
        except error_type as error:
            self.abort(f"it speaks no RESP: {error}")
        self.kept = True
        if not waiting:
            self._used_at = monotonic()
            if self._stale:
                self.abort("it leads to a server that cannot serve")

    def _refused(self, call: tuple["asyncio.Future[Any]", float, bytes], text: str) -> None:
        """An error reply; one that another connection may answer differently makes this one useless."""
        future, due, data = call
        if is_stale(text):
            self._stale = True
            if data and self.kept and self._again is not None and not future.done():
                self._again([Again(future, due, data, text)])
                return
        if not future.done():
            future.set_exception(ServerError(text))

    def connection_lost(self, exc: Exception | None) -> None:
        if self._doubtful and self._again is not None and not self.closed.done():
            calls = [Again(*call, "") for call in self._waiting if call[2] and not call[0].done()]
            self._waiting = deque(call for call in self._waiting if not call[2])
            if calls:
                self._again(calls)
        self._fail(f"connection lost: {exc or 'closed'}")

    def abort(self, reason: str) -> None:
        """Give the connection up; everything in flight fails."""
        self._fail(reason)
        if self._transport is not None:
            self._transport.abort()

    def end(self) -> None:
        """Give it up after the end of its event loop, which carries out nothing any more."""
        leftover.end(self._transport)

    def _fail(self, reason: str) -> None:
        if not self.closed.done():
            self.closed.set_result(reason)
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None
            self._watch_at = math.inf
        while self._waiting:
            future = self._waiting.popleft()[0]
            if not future.done():
                future.set_exception(LockUnavailable(f"lock server: {reason}"))
