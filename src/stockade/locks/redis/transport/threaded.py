"""One connection for all threads: who comes first sends for everybody who came meanwhile and reads the replies.

"Flat combining" (Hendler, Incze, Shavit, Tzafrir 2010): with one thread it is a plain blocking socket, with fifty it
pipelines by itself. No thread of its own, and the order that a withdrawal needs. Threads that have their reply are
woken two at a time, each waking the one after next: woken all at once they would only fight for the interpreter
(measured with 50 threads: 7 switches of threads for each lock taken and given back instead of 3).

Each thread ends at its own time: one that leads hands the lead on, with the replies that are still to come; one that
sleeps leaves. A signal handler that calls while its thread is inside a call uses a connection of its own: waiting for
itself would never end. Neighbours: `sockets.py` (the connection), `ears.py` (notices).
"""

import os
import threading
import time
import weakref
from collections.abc import Sequence
from typing import Any

from stockade.locks.errors import LockUnavailable, ProviderClosed
from stockade.locks.redis.transport.address import Address, load_hiredis
from stockade.locks.redis.transport.replies import is_stale
from stockade.locks.redis.transport.sockets import FRESH_S, IDLE_S, Socket
from stockade.locks.redis.transport.subscription import Ears
from stockade.locks.redis.transport.transport import Gap, Heard
from stockade.locks.runtime.runtime import ServerError

_WOKEN_AT_ONCE = 2
_LATE = "no answer in time"


class _Call:
    """One command on its way: its bytes, then its reply."""

    __slots__ = ("after", "began", "busy", "data", "end", "error", "gate", "leads", "reply", "served")

    def __init__(self, data: bytes, timeout_s: float) -> None:
        self.data = data  # empty once it is answered
        self.began = time.monotonic()
        self.end = self.began + timeout_s
        self.reply: Any = None
        self.error: Exception | None = None
        self.leads = False
        self.busy = False  # it sends or reads for all; an interruption in between leaves half a reply
        self.served: list[_Call] = []  # who got an answer while it led
        self.gate: threading.Lock | None = None  # while its thread sleeps, or is about to
        self.after: _Call | None = None  # whom it wakes as soon as it is awake itself

    def answer(self, reply: Any, error: Exception | None = None) -> None:
        """This is what came of it."""
        self.reply, self.error, self.data = reply, error, b""

    def wake_next(self) -> None:
        """Let the thread after this one go on, unless that went on by itself (Ctrl-C). A second time does nothing."""
        after, self.after = self.after, None
        if after is not None and (gate := after.gate) is not None:
            gate.release()


class ThreadedTransport:
    """The command connection and, once somebody waits, the listening one; both come back by themselves."""

    def __init__(self, url: str) -> None:
        self._address = Address.parse(url)
        self._hiredis = load_hiredis()
        self._ears: Ears | None = None
        self._closed = False
        self._begin()
        _transports.add(self)

    @property
    def where(self) -> str:
        """The server, for messages."""
        return self._address.where

    def _begin(self) -> None:
        """Without any connection; in the child of a fork, whose parent goes on using what there was."""
        self._guard = threading.RLock()
        self._listening = threading.Lock()
        self._inside: set[int] = set()  # threads that are in a call
        self._pending: list[_Call] = []
        self._flight: Sequence[_Call] = ()  # sent, in this order
        self._answered = 0  # of these
        self._busy = False
        self._was_idle = False  # the connection, before the last batch was sent
        self._socket: Socket | None = None

    def reset_in_child(self) -> None:
        """In the child of a fork: close our copies of its sockets, begin anew."""
        ears, self._ears = self._ears, None
        self._drop()
        if ears is not None:
            ears.socket.close()
        self._begin()

    async def call(self, *parts: bytes | str | int, timeout_s: float) -> Any:
        return await self.call_packed(self._hiredis.pack_command(parts), timeout_s)

    async def call_packed(self, data: bytes, timeout_s: float) -> Any:
        me = threading.get_ident()
        call = _Call(data, timeout_s)
        if me in self._inside:
            return self._call_aside(call)
        try:
            self._inside.add(me)
            with self._guard:
                self._pending.append(call)
                if self._busy:
                    call.gate = threading.Lock()
                    call.gate.acquire()
                else:
                    self._busy = call.leads = True
            if call.gate is not None and call.gate.acquire(True, max(timeout_s, 0.0)):
                call.gate = None  # somebody has our reply, or it is our turn; else our time is up
            if call.leads:
                self._lead(call)
        finally:  # also after Ctrl-C, at any point above: nobody may wait for a leader, or to be woken, in vain
            if call.data or call.gate is not None:
                self._leave_line(call)
            if call.leads:
                self._hand_lead_on(call)
            if call.after is not None:
                call.wake_next()
            self._inside.discard(me)
        if call.error is not None:
            raise call.error
        return call.reply

    def _call_aside(self, call: _Call) -> Any:
        """The caller is a signal handler whose thread is inside a call: over a connection of its own."""
        if self._closed:
            raise ProviderClosed()
        made = Socket(self._address, self._hiredis, "stockade-locks", call.end)
        try:
            made.send(call.data, call.end)
            reply = made.read(call.end)
        except (OSError, self._hiredis.HiredisError) as error:
            raise LockUnavailable(f"lock server: {error}") from error
        finally:
            made.close()
        if isinstance(reply, self._hiredis.HiredisError):
            raise ServerError(str(reply))
        return reply

    def _leave_line(self, call: _Call) -> None:
        """The call failed, its time is up, or it was interrupted: nobody counts on it to lead, or to wake another."""
        with self._guard:
            call.gate = None
            if call in self._pending:
                self._pending.remove(call)
                if call.error is None:
                    call.error = LockUnavailable.unsent(f"lock server: {_LATE}")
            elif call.data and call.error is None:
                call.error = LockUnavailable(f"lock server: {_LATE}")

    def _lead(self, own: _Call) -> None:
        """Send and read for everybody who is there."""
        if own.after is not None:
            own.wake_next()
        own.busy = True
        try:
            self._exchange(own)
        except TimeoutError:  # our own time is up, in the midst of reading; the next one reads on
            pass
        except (OSError, ServerError) as error:
            own.busy = False
            self._fail(own, error)
        own.busy = False

    def _exchange(self, own: _Call) -> None:
        """Read what is on its way; or send what waits, and read that.

        Raises:
            TimeoutError: `own` has no time left; the connection is as good as before.
            OSError: the connection failed.
            ServerError: the login was refused.
        """
        if self._answered == len(self._flight):
            sock = self._socket
            if (
                sock is None
                or self._closed
                or sock.has_part()
                or (own.began - sock.used_at > FRESH_S and sock.is_dead())
            ):
                self._connect(own)
            with self._guard:
                self._flight, self._answered, self._pending = self._pending, 0, []
            self._send(own)
        again = self._read(own)
        if again:
            self._drop()
            self._flight, self._answered = again, 0
            self._connect(own)
            self._send(own)
            self._read(own)

    def _connect(self, own: _Call) -> None:
        """Have a connection that the other side has not closed."""
        if self._closed:
            raise ProviderClosed()
        if self._socket is not None and self._socket.is_dead():
            self._drop()
        if self._socket is None:
            self._socket = Socket(self._address, self._hiredis, "stockade-locks", own.end)

    def _send(self, own: _Call) -> None:
        sock, flight = self._socket or self._the_socket(), self._flight
        data = flight[0].data if len(flight) == 1 else b"".join([call.data for call in flight])
        self._was_idle = 0 < sock.used_at < own.began - IDLE_S
        try:
            sock.send(data, own.end)
        except TimeoutError as error:  # half of it is sent: the connection is of no use to anybody
            raise LockUnavailable(_LATE) from error
        except OSError:
            if not self._was_idle:
                raise  # otherwise reading meets it again, and asks once more

    def _the_socket(self) -> Socket:
        if self._socket is None:  # `close` took it
            raise ProviderClosed()
        return self._socket

    def _read(self, own: _Call) -> list[_Call]:
        """Give everybody his reply. Returns those whom only a fresh connection can give one; nothing was done for them.

        The other side may have closed a connection that was idle, or be another server by now than the one it was: a
        call on it is sent once more, whatever its time limit, but not on a connection that has just been opened.
        """
        flight, sock, error_type = self._flight, self._socket or self._the_socket(), self._hiredis.HiredisError
        start, kept, drop = self._answered, sock.used_at > 0, False
        again: list[_Call] = []
        read, end = sock.read, own.end
        try:
            for number in range(start, len(flight)):
                reply, call = read(end), flight[number]
                self._answered = number + 1
                if not isinstance(reply, error_type):
                    call.reply, call.error, call.data = reply, None, b""
                    continue
                call.error = ServerError(str(reply))
                drop = (stale := is_stale(str(reply))) or drop
                if stale and kept:
                    again.append(call)
                else:
                    call.data = b""
        except (OSError, error_type) as error:
            if self._was_idle and self._answered == 0 and not (isinstance(error, TimeoutError) or sock.has_part()):
                return list(flight)
            own.served += flight[start : self._answered]
            if isinstance(error, TimeoutError):
                raise
            raise LockUnavailable(str(error)) from error
        sock.used_at = own.began
        own.served += [call for call in flight[start:] if call.data == b""] if again else flight[start:]
        if drop and not again:
            self._drop()
        return again

    def _drop(self) -> None:
        sock, self._socket = self._socket, None
        if sock is not None:
            sock.close()

    def _fail(self, own: _Call, error: Exception) -> None:
        """Nobody gets a reply any more. No connection: that is the answer for all who wait, unless only time was up."""
        self._drop()
        with self._guard:
            lost = list(self._flight[self._answered :])
            self._flight, self._answered = (), 0
            unsent = [own] if own in self._pending else []
            if unsent and not own.busy and not isinstance(error.__cause__, TimeoutError):
                unsent, self._pending = self._pending, []
        for call in (*lost, *unsent):
            if call.error is None:
                call.error = _same(error, sent=call in lost)
            call.data = b""
        own.served += [*lost, *unsent]

    def _hand_lead_on(self, own: _Call) -> None:
        """Let everybody go who has an answer, and have the next one lead.

        That one is woken after three quarters of the others: most of them have a new command for it to send, and the
        rest work while the server does.
        """
        if own.busy:
            self._fail(own, LockUnavailable("interrupted"))  # a reply may be half read: the connection is of no use
        with self._guard:
            own.leads = False
            alone = len(own.served) == 1 and own.served[0] is own and not self._pending
            if alone and self._answered == len(self._flight) and not self._closed:
                own.served, self._flight, self._answered, self._busy = [], (), 0, False
                return
            if own in self._pending:
                self._pending.remove(own)
            sleepers = [call for call in own.served if call.gate is not None]
            own.served = []  # it contains itself: left so, only the garbage collector would free it
            following = self._successor()
            self._busy = following is not None
            if following is not None:
                following.leads = True
                sleepers.insert(3 * len(sleepers) // 4, following)
            for call, later in zip(sleepers, sleepers[_WOKEN_AT_ONCE:], strict=False):
                call.after = later
        for call in sleepers[:_WOKEN_AT_ONCE]:
            if (gate := call.gate) is not None:
                gate.release()

    def _successor(self) -> _Call | None:
        """Who reads the replies that are still to come, or else sends what waits."""
        if self._answered < len(self._flight):
            now = time.monotonic()
            for call in self._flight[self._answered :]:
                if call.gate is not None and call.end > now:
                    return call
            self._drop()  # nobody has time to wait for it: it is overdue
        if self._closed:
            self._drop()
        self._flight, self._answered = (), 0  # it refers to calls, and they to each other
        return self._pending[0] if self._pending else None

    async def listen(self, channel: str, heard: Heard, gap: Gap, timeout_s: float) -> None:
        end = time.monotonic() + timeout_s
        if not self._listening.acquire(timeout=max(timeout_s, 0.0)):
            raise LockUnavailable.unsent("lock server: another thread has been subscribing for too long")
        try:
            if self._closed:
                raise ProviderClosed()
            if self._ears is None:
                self._ears = self._new_ears((channel, heard, gap), end)
        finally:
            self._listening.release()

    def _new_ears(self, what: tuple[str, Heard, Gap], end: float) -> Ears:
        ears = Ears(self._address, self._hiredis, what, max(end - time.monotonic(), 0.0))
        if self._closed:  # meanwhile
            ears.close()
            raise ProviderClosed()
        return ears

    async def distrust(self) -> None:
        with self._guard:
            self._let_go()

    def _let_go(self) -> None:
        """Of the connection; who reads from it wakes up."""
        if self._socket is not None:
            self._socket.hang_up() if self._busy else self._drop()

    async def close(self) -> None:
        with self._guard:
            self._closed = True
            ears, self._ears = self._ears, None
            self._let_go()
        if ears is not None:
            ears.close()


def _same(error: Exception, *, sent: bool) -> Exception:
    """The error for one of several callers: each raises one of his own."""
    if isinstance(error, ServerError):
        return ServerError(*error.args)
    text = str(error).removeprefix("lock server ").removeprefix("lock server: ")
    made = LockUnavailable(f"lock server: {text}")
    made.sent = sent
    return made


def _forget_the_parent() -> None:
    for transport in list(_transports):
        transport.reset_in_child()


_transports: "weakref.WeakSet[ThreadedTransport]" = weakref.WeakSet()
os.register_at_fork(after_in_child=_forget_the_parent)
