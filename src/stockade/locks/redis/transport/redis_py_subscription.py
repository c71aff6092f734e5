"""The subscription of a redis-py client, and the daemon thread that reads it. Neighbours: `client.py`, `ears.py`."""

import threading
from typing import Any

from stockade.locks.errors import LockUnavailable
from stockade.locks.redis.transport.redis_py_copy import load_redis, pools_of, turn
from stockade.locks.redis.transport.redis_py_errors import client_error
from stockade.locks.redis.transport.replies import refused_subscription
from stockade.locks.redis.transport.transport import Gap, Heard
from stockade.locks.runtime.runtime import ServerError

_PAUSE_S, _LONGEST_PAUSE_S = 0.02, 1.0
_LOOK_S = 0.2  # how often it looks whether it was closed
_JOIN_S = 0.5  # how long closing waits for the thread; one that is connecting ends by itself


class ClientEars:
    """Listens until closed; comes back by itself after an interruption.

    Args:
        client: a copy, used for nothing else.
        what: channel, who is told of messages, who is told of gaps.
        timeout_s: how long a subscription may take, in seconds.

    Raises:
        LockUnavailable: the server did not answer.
        ServerError: it refused the login or the subscription.
    """

    def __init__(self, client: Any, what: tuple[str, Heard, Gap], timeout_s: float) -> None:
        self._errors = load_redis().exceptions
        self._client = client
        self._channel, self._heard, self._gap = what
        self._timeout_s = timeout_s
        self._closed = False
        self._ended = threading.Event()
        self._pubsub = self._subscribed()
        self._thread = threading.Thread(target=self._run, name="stockade-lock-notices", daemon=True)
        try:
            self._thread.start()
        except RuntimeError as error:  # the interpreter is ending and starts no thread any more
            self._pubsub.close()
            raise LockUnavailable.unsent(f"no notices: {error}") from error

    def _subscribed(self) -> Any:
        pubsub = self._client.pubsub()
        try:
            with turn(self._timeout_s):
                pubsub.subscribe(self._channel)
                if pubsub.get_message(timeout=self._timeout_s) is None:
                    raise LockUnavailable("lock server: no answer in time")
        except BaseException as error:
            pubsub.close()
            if isinstance(error, LockUnavailable):
                error.sent = False
                raise
            if not isinstance(error, self._errors.RedisError | OSError):
                raise
            trouble = client_error(error, self._client, None)
            raise (refused_subscription(str(trouble)) if isinstance(trouble, ServerError) else trouble) from error
        return pubsub

    def _run(self) -> None:
        """Until closed: hand messages on, subscribe again after an interruption, tell of the gap."""
        while not self._closed:
            self._read_until_cut()
            pause_s = _PAUSE_S
            while not self._ended.wait(pause_s):
                try:
                    self._pubsub = self._subscribed()
                except (LockUnavailable, ServerError):  # the waiters poll meanwhile, and say so if that fails too
                    pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)
                    continue
                self._gap()
                break
        self._pubsub.close()
        for pool in pools_of(self._client):
            pool.disconnect()

    def _read_until_cut(self) -> None:
        try:
            while not self._closed:
                message = self._pubsub.get_message(ignore_subscribe_messages=True, timeout=_LOOK_S)
                if message is not None:
                    self._heard(message["data"])
        except (self._errors.RedisError, OSError, ValueError):  # ValueError: the socket was closed meanwhile
            self._pubsub.close()

    def close(self) -> None:
        """End the thread; a second call, also from a signal handler, does nothing."""
        if self._closed:
            return
        self._closed = True
        self._ended.set()
        if self._thread is not threading.current_thread():
            self._thread.join(_JOIN_S)
