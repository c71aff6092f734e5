"""One connection for all threads: who comes first sends for everybody who came meanwhile and reads the replies.

"Flat combining" (Hendler, Incze, Shavit, Tzafrir 2010): with one thread it is a plain blocking socket, with fifty it
pipelines by itself. No thread of its own, and the order that a withdrawal needs. Threads that have their reply are
woken two at a time, each waking the one after next: woken all at once they would only fight for the interpreter
(measured with 50 threads: 7 switches of threads for each lock taken and given back instead of 3). Notices come on a
second connection, read by a daemon thread that starts with the first waiter.
"""

import socket
import threading
import time
from collections.abc import Sequence
from typing import Any

from stockade.locks.errors import LockUnavailable
from stockade.locks.identity import process_id
from stockade.locks.port import ServerError
from stockade.locks.wire.address import Address, load_hiredis
from stockade.locks.wire.transport import Gap, Heard

_CHUNK = 65536
_WOKEN_AT_ONCE = 2


class _Call:
    """One command on its way: its bytes, then its reply."""

    __slots__ = ("after", "batch", "data", "error", "gate", "leads", "reply", "timeout_s")

    def __init__(self, data: bytes, timeout_s: float) -> None:
        self.data = data
        self.timeout_s = timeout_s
        self.reply: Any = None
        self.error: Exception | None = None
        self.leads = False
        self.batch: Sequence[_Call] = ()  # what it sends when it leads
        self.gate: threading.Lock | None = None  # while its thread sleeps, or is about to
        self.after: _Call | None = None  # whom it wakes as soon as it is awake itself

    def wake_next(self) -> None:
        """Let the thread after this one go on, unless that went on by itself (Ctrl-C). A second time does nothing."""
        after, self.after = self.after, None
        if after is not None and (gate := after.gate) is not None:
            gate.release()


class Socket:
    """A blocking connection that speaks RESP."""

    def __init__(self, address: Address, hiredis: Any, name: str, timeout_s: float) -> None:
        self._hiredis = hiredis
        self._reader = hiredis.Reader()
        self._limit_s: float | None = timeout_s
        try:
            self._socket = self._open(address, timeout_s)
        except OSError as error:
            raise LockUnavailable(f"lock server {address.where}: {error}") from error
        try:
            end = time.monotonic() + timeout_s
            for command in address.greeting(name):
                self.send(hiredis.pack_command(command), end)
                reply = self.read(end)
                if isinstance(reply, hiredis.HiredisError):
                    raise LockUnavailable(f"lock server {address.where}: {reply}")
        except BaseException as error:
            self._socket.close()
            if isinstance(error, LockUnavailable) or not isinstance(error, OSError):
                raise
            raise LockUnavailable(f"lock server {address.where}: {error}") from error

    @staticmethod
    def _open(address: Address, timeout_s: float) -> socket.socket:
        if not address.path:
            plain = socket.create_connection((address.host, address.port), timeout_s)
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            # a failed handshake closes the socket itself
            return address.tls.wrap_socket(plain, server_hostname=address.host) if address.tls else plain
        plain = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        plain.settimeout(timeout_s)
        try:
            plain.connect(address.path)
        except OSError:
            plain.close()
            raise
        return plain

    def send(self, data: bytes, end: float) -> None:
        """Write all of it before the monotonic second `end`."""
        self._limit(end)
        self._socket.sendall(data)

    def read(self, end: float | None) -> Any:
        """The next reply, by the monotonic second `end`; errors of the server are returned, not raised."""
        gets = self._reader.gets
        while (reply := gets()) is False:
            self._limit(end)
            data = self._socket.recv(_CHUNK)
            if not data:
                raise ConnectionError("connection closed by the server")
            self._reader.feed(data)
        return reply

    def _limit(self, end: float | None) -> None:
        """Bound the next wait; a limit that is at most an eighth too long stays, because each new one costs a call."""
        limit_s = self._limit_s
        left_s = None if end is None else max(end - time.monotonic(), 0.001)
        if left_s == limit_s or (left_s and limit_s and left_s <= limit_s <= 1.125 * left_s):
            return
        self._limit_s = left_s
        self._socket.settimeout(left_s)

    def close(self) -> None:
        """Close it, waking a thread that reads from it."""
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:  # it was not connected any more
            self._socket.close()
            return
        self._socket.close()


class ThreadedTransport:
    """The command connection and, once somebody waits, the listening one; both come back by themselves."""

    def __init__(self, url: str) -> None:
        self._address = Address.parse(url)
        self._hiredis = load_hiredis()
        self._guard = threading.Lock()
        self._pending: list[_Call] = []
        self._busy = False
        self._socket: Socket | None = None
        self._process = process_id()
        self._ears: _Ears | None = None
        self._closed = False

    async def call(self, *parts: bytes | str | int, timeout_s: float) -> Any:
        return await self.call_packed(self._hiredis.pack_command(parts), timeout_s)

    async def call_packed(self, data: bytes, timeout_s: float) -> Any:
        call = _Call(data, timeout_s)
        if self._process != process_id():
            self._reset_after_fork()
        try:
            with self._guard:
                self._pending.append(call)
                if self._busy:
                    call.gate = threading.Lock()
                    call.gate.acquire()
                else:
                    self._busy = call.leads = True
            if call.gate is not None:
                call.gate.acquire()  # until somebody has our reply, or it is our turn; who leads bounds the time
                call.gate = None
            if call.leads:
                self._lead(call)
        finally:  # also after Ctrl-C, at any point above: nobody may wait for a leader, or to be woken, in vain
            if call.data or call.gate is not None:
                self._leave_line(call)
            if call.leads:
                self._hand_lead_on(call)
            call.wake_next()
        if call.error is not None:
            raise call.error
        return call.reply

    def _leave_line(self, call: _Call) -> None:
        """The call failed, or was interrupted: nobody counts on it to lead, or to wake another, from now on."""
        with self._guard:
            call.gate = None
            if call in self._pending:
                self._pending.remove(call)

    def _lead(self, own: _Call) -> None:
        """Send and read for everybody who is there."""
        own.wake_next()
        with self._guard:
            own.batch, self._pending = self._pending, []
        try:
            self._exchange(own.batch)
        except (OSError, LockUnavailable) as error:
            self._fail(own.batch, str(error).removeprefix("lock server "))

    def _hand_lead_on(self, own: _Call) -> None:
        """Let everybody go who has an answer, and have the next one lead.

        That one is woken after three quarters of the others: most of them have a new command for it to send, and the
        rest work while the server does.
        """
        if own.batch and own.batch[-1].data and own.batch[-1].error is None:
            self._fail(own.batch, "interrupted")  # a reply may be half read: the connection is of no use
        with self._guard:
            own.leads = False
            if own in self._pending:
                self._pending.remove(own)
            sleepers = [call for call in own.batch if call.gate is not None]
            own.batch = ()  # it contains itself: left so, only the garbage collector would free it
            self._busy = bool(self._pending)
            if self._busy:
                self._pending[0].leads = True
                sleepers.insert(3 * len(sleepers) // 4, self._pending[0])
            for call, later in zip(sleepers, sleepers[_WOKEN_AT_ONCE:], strict=False):
                call.after = later
        for call in sleepers[:_WOKEN_AT_ONCE]:
            if (gate := call.gate) is not None:
                gate.release()

    def _exchange(self, batch: Sequence[_Call]) -> None:
        bound_s = max([call.timeout_s for call in batch])
        end = time.monotonic() + bound_s
        if self._closed:
            raise LockUnavailable("the provider is closed")
        if self._socket is None:
            self._socket = Socket(self._address, self._hiredis, "stockade-locks", bound_s)
        read, error_type = self._socket.read, self._hiredis.HiredisError
        self._socket.send(batch[0].data if len(batch) == 1 else b"".join([call.data for call in batch]), end)
        for call in batch:
            reply = read(end)
            if isinstance(reply, error_type):
                call.error = ServerError(str(reply))
            else:
                call.reply = reply
            call.data = b""

    def _fail(self, batch: Sequence[_Call], reason: str) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        for call in batch:
            if call.data and call.error is None:  # not answered yet
                call.error = LockUnavailable(f"lock server: {reason}")

    def _reset_after_fork(self) -> None:
        """The parent goes on using the socket; here it must not be touched."""
        self._guard = threading.Lock()
        self._pending, self._busy, self._socket, self._ears = [], False, None, None
        self._process = process_id()

    async def listen(self, channel: str, heard: Heard, gap: Gap, timeout_s: float) -> None:
        with self._guard:
            if self._ears is None and not self._closed:
                self._ears = _Ears(self._address, self._hiredis, (channel, heard, gap), timeout_s)

    async def close(self) -> None:
        with self._guard:
            self._closed = True
            ears, self._ears = self._ears, None
            busy = self._busy
        if ears is not None:
            ears.close()
        if self._socket is not None and not busy:
            self._socket.close()


class _Ears:
    """The listening connection and the thread that reads it."""

    def __init__(self, address: Address, hiredis: Any, what: tuple[str, Heard, Gap], timeout_s: float) -> None:
        self._address = address
        self._hiredis = hiredis
        self._channel, self._heard, self._gap = what
        self._timeout_s = timeout_s
        self._ended = threading.Event()
        self._socket = self._subscribed()
        self._thread = threading.Thread(target=self._run, name="stockade-lock-notices", daemon=True)
        self._thread.start()

    def _subscribed(self) -> Socket:
        made = Socket(self._address, self._hiredis, "stockade-notices", self._timeout_s)
        try:
            end = time.monotonic() + self._timeout_s
            made.send(self._hiredis.pack_command(("SUBSCRIBE", self._channel)), end)
            made.read(end)
        except OSError as error:
            made.close()
            raise LockUnavailable(f"lock server: {error}") from error
        return made

    def _run(self) -> None:
        """Until closed: hand messages on, subscribe again after an interruption, tell of the gap."""
        pause_s = 0.02
        while not self._ended.is_set():
            try:
                while True:
                    reply = self._socket.read(None)
                    if isinstance(reply, list) and reply[0] == b"message":
                        self._heard(reply[2])
            except (OSError, self._hiredis.HiredisError):
                self._socket.close()
            while not self._ended.wait(pause_s):
                try:
                    self._socket = self._subscribed()
                except LockUnavailable:  # the waiters poll meanwhile, and say so if that fails too
                    pause_s = min(pause_s * 2, 1.0)
                    continue
                pause_s = 0.02
                self._gap()
                break

    def close(self) -> None:
        """End the thread."""
        self._ended.set()
        self._socket.close()
        self._thread.join(5)
        self._socket.close()
