"""The listening connection of a process of threads, and the daemon thread that reads it. Neighbour: `threaded.py`."""

import threading
import time
from typing import Any

from stockade.locks.errors import LockUnavailable
from stockade.locks.redis.transport.address import Address
from stockade.locks.redis.transport.replies import refused_subscription
from stockade.locks.redis.transport.sockets import Socket
from stockade.locks.redis.transport.transport import Gap, Heard
from stockade.locks.runtime.runtime import ServerError

_PAUSE_S, _LONGEST_PAUSE_S = 0.02, 1.0
_JOIN_S = 0.5  # how long closing waits for the thread; one that is connecting ends by itself


class Ears:
    """Listens until closed; comes back by itself after an interruption.

    Args:
        address: where.
        hiredis: the parser's module.
        what: channel, who is told of messages, who is told of gaps.
        timeout_s: how long a subscription may take, in seconds.

    Raises:
        LockUnavailable: the server did not answer.
        ServerError: it refused the login or the subscription.
    """

    def __init__(self, address: Address, hiredis: Any, what: tuple[str, Heard, Gap], timeout_s: float) -> None:
        self._address = address
        self._hiredis = hiredis
        self._channel, self._heard, self._gap = what
        self._timeout_s = timeout_s
        self._closed = False
        self._ended = threading.Event()
        self.socket = self._subscribed()
        self._thread = threading.Thread(target=self._run, name="stockade-lock-notices", daemon=True)
        try:
            self._thread.start()
        except RuntimeError as error:  # the interpreter is ending and starts no thread any more
            self.socket.close()
            raise LockUnavailable.unsent(f"no notices: {error}") from error

    def _subscribed(self) -> Socket:
        end = time.monotonic() + self._timeout_s
        made = Socket(self._address, self._hiredis, "stockade-notices", end)
        try:
            made.send(self._hiredis.pack_command(("SUBSCRIBE", self._channel)), end)
            reply = made.read(end)
            if isinstance(reply, self._hiredis.HiredisError):
                raise refused_subscription(str(reply))
        except BaseException as error:
            made.close()
            if isinstance(error, OSError | self._hiredis.HiredisError) and not isinstance(error, LockUnavailable):
                raise LockUnavailable.unsent(f"lock server: {error}") from error
            raise
        return made

    def _run(self) -> None:
        """Until closed: hand messages on, subscribe again after an interruption, tell of the gap."""
        while not self._closed:
            self._read_until_cut()
            pause_s = _PAUSE_S
            while not self._ended.wait(pause_s):
                try:
                    self.socket = self._subscribed()
                except (LockUnavailable, ServerError):  # the waiters poll meanwhile, and say so if that fails too
                    pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)
                    continue
                self._gap()
                break
        self.socket.close()

    def _read_until_cut(self) -> None:
        try:
            while True:
                reply = self.socket.read(None)
                if isinstance(reply, self._hiredis.HiredisError):
                    break
                if isinstance(reply, list) and reply[0] == b"message":
                    self._heard(reply[2])
        except (OSError, self._hiredis.HiredisError):  # subscribe again
            pass
        self.socket.close()

    def close(self) -> None:
        """End the thread; a second call, also from a signal handler, does nothing."""
        if self._closed:
            return
        self._closed = True
        self._ended.set()
        self.socket.close()
        if self._thread is not threading.current_thread():
            self._thread.join(_JOIN_S)
