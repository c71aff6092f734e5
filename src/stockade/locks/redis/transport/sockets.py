"""A blocking connection that speaks RESP; each step has a deadline. Neighbour: `threaded.py`, which uses it."""

import contextlib
import math
import os
import select
import socket
import ssl
import time
from collections.abc import Callable
from typing import Any

from stockade.drivers.resolve import places
from stockade.locks.errors import LockUnavailable
from stockade.locks.redis.transport.address import Address
from stockade.locks.redis.transport.replies import greeting_trouble
from stockade.locks.redis.transport.transport import ServerError

IDLE_S = 1.0  # after a pause as long as this, a connection that ends without a reply counts as ended in the pause
# A connection that was used so recently is not probed for its end: the probe is a system call, and as much time may
# pass between the probe and the call.
FRESH_S = 0.00025

_CHUNK = 65536
_MARGIN, _MAX_MARGIN = 1.0625, 1.125  # of a timeout when it is set, and at most while it stays
_LEAST_S = 0.001
_HUNG_UP = getattr(select, "POLLRDHUP", 0)  # Linux; elsewhere poll reports errors and full hang-ups by itself
# A link that swallows everything is noticed after 45 s, not after the two hours of the system's default.
_KEEPALIVE = (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 3))


def tune(sock: Any) -> None:
    """Send small pieces at once, and notice a dead link."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _KEEPALIVE:
        if hasattr(socket, name):  # not on every system
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


class HangUpProbe:
    """Tells whether the other side has closed a connection. It takes a third of a microsecond and reads nothing.

    Args:
        sock: the socket, or its number.
    """

    __slots__ = ("_poll",)

    def __init__(self, sock: Any) -> None:
        self._poll = select.poll()
        self._poll.register(sock, _HUNG_UP)

    def is_closed(self) -> bool:
        """True: what is sent now is lost."""
        return bool(self._poll.poll(0))


class SocketTimeout:
    """The timeout of a socket, set anew only when the old one is off by more than an eighth: setting is a system call.

    Args:
        settimeout: the socket's method.
    """

    __slots__ = ("_least_s", "_set_s", "_settimeout")

    def __init__(self, settimeout: Callable[[float | None], None]) -> None:
        self._settimeout = settimeout
        self.reset()

    def reset(self) -> None:
        """Somebody else has set the socket's timeout."""
        self._set_s = self._least_s = -math.inf

    def limit(self, left_s: float) -> None:
        """Let the next wait end after `left_s` seconds, or an eighth later."""
        if not self._least_s <= left_s <= self._set_s:
            left_s = max(left_s, _LEAST_S)
            self._set_s, self._least_s = _MARGIN * left_s, _MARGIN * left_s / _MAX_MARGIN
            self._settimeout(None if left_s == math.inf else self._set_s)


class Socket:
    """One connection, greeted.

    Args:
        address: of the server.
        hiredis: the parser's module.
        name: what `CLIENT LIST` shows.
        end: the monotonic second by which it must be open.

    Raises:
        LockUnavailable: it could not be opened in time; no command was sent.
        ServerError: the login was refused.
    """

    def __init__(self, address: Address, hiredis: Any, name: str, end: float) -> None:
        self._reader = hiredis.Reader()
        self._error_type = hiredis.HiredisError
        self.has_part = self._reader.has_data  # whether a part of a reply has come
        self._pid = os.getpid()
        self.used_at = 0.0  # when the last call that it answered began; 0: none yet
        try:
            self._socket = _opened(address, end)
        except ssl.SSLCertVerificationError as error:  # a repeat would not change it
            raise ServerError(f"{address.where}: its certificate is refused: {error.verify_message}") from error
        except OSError as error:
            raise LockUnavailable.unsent(f"lock server {address.where}: {error}") from error
        self._timeout = SocketTimeout(self._socket.settimeout)
        try:
            self._greet(address, hiredis, name, end)
            self._hang_up = HangUpProbe(self._socket)
        except BaseException as error:
            self._socket.close()
            if isinstance(error, LockUnavailable) or not isinstance(error, OSError | hiredis.HiredisError):
                raise
            raise LockUnavailable.unsent(f"lock server {address.where}: {error}") from error

    def _greet(self, address: Address, hiredis: Any, name: str, end: float) -> None:
        commands = address.greeting(name)
        self.send(b"".join([hiredis.pack_command(command) for command in commands]), end)
        for command in commands:
            reply = self.read(end)
            if isinstance(reply, hiredis.HiredisError):
                trouble = greeting_trouble(address, command, str(reply))
                if trouble is not None:
                    raise trouble

    def send(self, data: bytes, end: float) -> None:
        """Write all of it before the monotonic second `end`."""
        self._timeout.limit(end - time.monotonic())
        self._socket.sendall(data)

    def read(self, end: float) -> Any:
        """The next reply, by the monotonic second `end` (may be infinite). Error replies are returned, not raised."""
        gets = self._reader.gets
        while (reply := gets()) is False:
            self._timeout.limit(end - time.monotonic())
            data = self._socket.recv(_CHUNK)
            if not data:
                raise ConnectionError("connection closed by the server")
            self._reader.feed(data)
        return reply

    def request(self, command: bytes, end: float) -> Any:
        """Send one command on a connection without other calls; its reply by the monotonic second `end`.

        Raises:
            LockUnavailable: the connection failed, or there was no reply in time.
            ServerError: the server refused the command.
        """
        try:
            self.send(command, end)
            reply = self.read(end)
        except (OSError, self._error_type) as error:
            raise LockUnavailable(f"lock server: {error}") from error
        if isinstance(reply, self._error_type):
            raise ServerError(str(reply))
        return reply

    def is_dead(self) -> bool:
        """Whether the other side has closed it, or has sent data that belongs to no call."""
        return self._hang_up.is_closed() or bool(self._reader.has_data())

    def hang_up(self) -> None:
        """End it for both sides; a thread that reads from it wakes up, and has to close it."""
        if self._pid == os.getpid():  # in the child of a fork it is the parent's, and stays open there
            with contextlib.suppress(OSError):  # it was not connected any more
                self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Hang up and close it."""
        self.hang_up()
        self._socket.close()


def _opened(address: Address, end: float) -> socket.socket:
    """A connected socket; of several addresses each gets its share of the time that is left."""
    if address.path:
        return _connected(socket.AF_UNIX, address.path, end)
    found = places(address.host, address.port, end)
    for number, place in enumerate(found):
        now = time.monotonic()
        share_s = max(end - now, 0.001) / (len(found) - number)
        try:
            plain = _connected(place.family, place.sockaddr, now + share_s)
        except OSError:
            if number + 1 == len(found):
                raise
            continue  # the next address of the same name may answer
        tune(plain)
        plain.settimeout(max(end - time.monotonic(), 0.001))
        # a failed handshake closes the socket itself
        return address.tls.wrap_socket(plain, server_hostname=address.host) if address.tls else plain
    raise OSError("the name has no address")


def _connected(family: int, where: Any, end: float) -> socket.socket:
    plain = socket.socket(family, socket.SOCK_STREAM)
    try:
        plain.settimeout(max(end - time.monotonic(), 0.001))
        plain.connect(where)
    except BaseException:
        plain.close()
        raise
    return plain
