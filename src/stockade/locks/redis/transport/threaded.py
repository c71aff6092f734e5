"""One connection for all threads, by flat combining (Hendler, Incze, Shavit, Tzafrir 2010).

The first thread becomes the leader: it sends the commands of all threads that called meanwhile, and reads the
replies. So one thread uses a plain blocking socket, and fifty threads pipeline. There is no background thread, and
commands keep the order that a withdrawal needs.

Threads that have their reply are woken two at a time, and each wakes the one after next. Woken all at once they would
only compete for the interpreter: 7 switches of threads instead of 3 for each lock, measured with 50 threads.

Each call ends at its own deadline. A leader then passes the lead on, with the replies that are still to come; a
sleeping thread leaves. Neighbours: `sockets.py` (the connection), `subscription.py` (notices).
"""

import math
import threading
import time
from collections.abc import Sequence
from typing import Any

from stockade.locks.errors import LockUnavailable, ProviderClosed
from stockade.locks.redis.transport.address import Address, load_hiredis
from stockade.locks.redis.transport.replies import is_stale, refused_subscription
from stockade.locks.redis.transport.sockets import FRESH_S, IDLE_S, Socket
from stockade.locks.redis.transport.subscription import ThreadSubscription
from stockade.locks.redis.transport.transport import OnMessage, OnReconnect, ServerError
from stockade.locks.runtime.identity import reset_after_fork

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
        self.served: list[_Call] = []  # the calls that were answered while it was the leader
        self.gate: threading.Lock | None = None  # while its thread sleeps, or is about to
        self.after: _Call | None = None  # the call whose thread it wakes as soon as its own is awake

    def wake_next(self) -> None:
        """Wake the thread after this one, unless it woke by itself (Ctrl-C). A second time does nothing."""
        after, self.after = self.after, None
        if after is not None and (gate := after.gate) is not None:
            gate.release()


class _SubscribedSocket:
    """A connection of its own for the subscription; see `ThreadConnection`."""

    def __init__(self, socket: Socket, hiredis: Any, on_message: OnMessage) -> None:
        self._socket = socket
        self._error_type = hiredis.HiredisError
        self._on_message = on_message
        self.interrupt = socket.close

    async def read(self) -> None:
        try:
            while not isinstance(reply := self._socket.read(math.inf), self._error_type):
                if isinstance(reply, list) and reply[0] == b"message":
                    self._on_message(reply[2])
        except (OSError, self._error_type):  # the subscription is made again
            return

    async def close(self) -> None:
        self._socket.close()


class ThreadedTransport:
    """A connection for calls and, once a caller waits for a lock, one for the subscription. Both are renewed."""

    def __init__(self, url: str) -> None:
        self._address = Address.parse(url)
        self._hiredis = load_hiredis()
        self._closed = False
        self._begin()
        reset_after_fork(self)

    @property
    def where(self) -> str:
        """The server, for messages."""
        return self._address.where

    def _begin(self) -> None:
        """Without any connection; in the child of a fork, whose parent goes on using its own."""
        self._guard = threading.RLock()
        self._subscription = ThreadSubscription()
        self._inside: set[int] = set()  # threads that are in a call
        self._pending: list[_Call] = []
        self._flight: Sequence[_Call] = ()  # sent, in this order
        self._answered = 0  # of these
        self._busy = False
        self._was_idle = False  # the connection, before the last batch was sent
        self._socket: Socket | None = None

    def reset_in_child(self) -> None:
        """In the child of a fork: close our copies of its sockets, begin anew."""
        self._drop()
        self._subscription.reset_in_child()
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
                call.gate = None  # another thread has read our reply, or made us the leader; else our time is up
            if call.leads:
                self._lead(call)
        finally:  # also after Ctrl-C, at any point above: no thread may wait for a leader, or for its wake-up, in vain
            if call.data or call.gate is not None:
                self._abandon(call)
            if call.leads:
                self._pass_lead_on(call)
            if call.after is not None:
                call.wake_next()
            self._inside.discard(me)
        if call.error is not None:
            raise call.error
        return call.reply

    def _call_aside(self, call: _Call) -> Any:
        """For a signal handler whose thread is inside a call and cannot wait for itself: on a connection of its own."""
        if self._closed:
            raise ProviderClosed()
        made = Socket(self._address, self._hiredis, "stockade-locks", call.end)
        try:
            return made.request(call.data, call.end)
        finally:
            made.close()

    def _abandon(self, call: _Call) -> None:
        """The call failed, its time is up, or it was interrupted: it will not become the leader, nor be woken."""
        with self._guard:
            call.gate = None
            if call in self._pending:
                self._pending.remove(call)
                if call.error is None:
                    call.error = LockUnavailable.unsent(f"lock server: {_LATE}")
            elif call.data and call.error is None:
                call.error = LockUnavailable(f"lock server: {_LATE}")

    def _lead(self, own: _Call) -> None:
        """Send and read for all calls that are pending."""
        if own.after is not None:
            own.wake_next()
        own.busy = True
        try:
            self._exchange(own)
        except TimeoutError:  # our own time is up while replies are still to come; the next leader reads on
            pass
        except (OSError, ServerError) as error:
            own.busy = False
            self._fail(own, error)
        own.busy = False

    def _exchange(self, own: _Call) -> None:
        """Read the replies that are still to come; if there are none, send the pending calls and read theirs.

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
        """Make sure that there is a connection, and that the server has not closed it."""
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
        except TimeoutError as error:  # half of it is sent: the connection cannot be used any more
            raise LockUnavailable(_LATE) from error
        except OSError:
            if not self._was_idle:
                raise  # otherwise reading fails as well, and the calls are sent again

    def _the_socket(self) -> Socket:
        if self._socket is None:  # `close` took it
            raise ProviderClosed()
        return self._socket

    def _read(self, own: _Call) -> list[_Call]:
        """Give each call its reply. Returns those that had no effect and must be sent again on a fresh connection.

        The server may have closed a connection that was idle, or may be another one by now. A call on it is sent once
        more, whatever its time limit, but not when the connection had just been opened.
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
        """No call gets a reply any more. Without a connection all pending calls fail, unless only the time was up."""
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

    def _pass_lead_on(self, own: _Call) -> None:
        """Wake the threads that have their answer, and make another call the leader.

        The new leader is woken after three quarters of the others: most of them have a new command for it to send, and
        the rest work while the server does.
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
        """The next leader: it reads the replies that are still to come, or else sends the pending calls."""
        if self._answered < len(self._flight):
            now = time.monotonic()
            for call in self._flight[self._answered :]:
                if call.gate is not None and call.end > now:
                    return call
            self._drop()  # no call has time to wait for the replies: they are overdue
        if self._closed:
            self._drop()
        self._flight, self._answered = (), 0  # it refers to calls, and they to each other
        return self._pending[0] if self._pending else None

    async def listen(self, channel: str, on_message: OnMessage, on_reconnect: OnReconnect, timeout_s: float) -> None:
        async def subscribe(limit_s: float) -> _SubscribedSocket:
            return self._subscribe(channel, on_message, time.monotonic() + limit_s)

        if self._closed:
            raise ProviderClosed()
        self._subscription.open(subscribe, on_reconnect, timeout_s)

    def _subscribe(self, channel: str, on_message: OnMessage, end: float) -> _SubscribedSocket:
        made = Socket(self._address, self._hiredis, "stockade-notices", end)
        try:
            made.request(self._hiredis.pack_command(("SUBSCRIBE", channel)), end)
        except BaseException as error:
            made.close()
            if isinstance(error, ServerError):
                raise refused_subscription(str(error)) from error
            if isinstance(error, LockUnavailable):
                error.sent = False
            raise
        return _SubscribedSocket(made, self._hiredis, on_message)

    async def distrust(self) -> None:
        with self._guard:
            self._let_go()

    def _let_go(self) -> None:
        """Give the connection up; a thread that reads from it wakes up."""
        if self._socket is not None:
            self._socket.hang_up() if self._busy else self._drop()

    async def close(self) -> None:
        with self._guard:
            self._closed = True
            self._let_go()
        self._subscription.close()


def _same(error: Exception, *, sent: bool) -> Exception:
    """A copy for one of several callers: an error has one traceback."""
    if isinstance(error, ServerError):
        return ServerError(*error.args)
    text = str(error).removeprefix("lock server ").removeprefix("lock server: ")
    made = LockUnavailable(f"lock server: {text}")
    made.sent = sent
    return made
