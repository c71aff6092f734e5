"""The servers of one test run, shared by all its processes; each starts when the first test needs it.

Under pytest-xdist the controller owns them, because a server never outlives the process that started it; workers get
the URLs through a local socket. Neighbour: `tests/conftest.py` makes fixtures of them.
"""

import secrets
import threading
from multiprocessing.connection import Client, Listener

from stockade.devservers import ServerFailed, Servers, ServerUnavailable, existing_url

ANSWER_LIMIT_S = 110.0


class Pool:
    """Holds the servers. One of each kind, but a Redis for each worker: its channels and FLUSHALL know no databases."""

    def __init__(self):
        self._servers = None
        self._redis = {}
        self._lock = threading.Lock()
        self._listener = None

    def url(self, kind, worker="main"):
        """URL of the server of a kind, started now if this is the first time."""
        with self._lock:
            if self._servers is None:
                self._servers = Servers()
            if kind != "redis" or existing_url(kind):
                return self._servers.url(kind)
            if worker not in self._redis:
                self._redis[worker] = self._servers.redis()
            return self._redis[worker].url

    def listen(self):
        """Answer the workers of this run; returns what `RemotePool` needs, as text."""
        if self._listener is None:
            self._key = secrets.token_hex(16)
            self._listener = Listener(family="AF_UNIX", authkey=self._key.encode())
            threading.Thread(target=self._answer, args=(self._listener,), daemon=True).start()
        return [self._listener.address, self._key]

    def _answer(self, listener):
        while True:
            try:
                connection = listener.accept()
            except OSError:  # closed
                return
            with connection:
                kind, worker = connection.recv()
                try:
                    connection.send(("url", self.url(kind, worker)))
                except ServerUnavailable as error:
                    connection.send(("unavailable", str(error)))
                except Exception as error:  # noqa: BLE001 - the worker's test shows it
                    connection.send(("failed", repr(error)))

    def close(self):
        """End all servers."""
        if self._listener is not None:
            self._listener.close()
        if self._servers is not None:
            self._servers.close()


class RemotePool:
    """The same, seen from a worker."""

    def __init__(self, address, key):
        self._address, self._key = address, key

    def url(self, kind, worker):
        """URL of the server of a kind."""
        with Client(self._address, family="AF_UNIX", authkey=self._key.encode()) as connection:
            connection.send((kind, worker))
            if not connection.poll(ANSWER_LIMIT_S):
                raise ServerFailed(f"{kind} was not there after {ANSWER_LIMIT_S} s")
            verdict, said = connection.recv()
        if verdict == "url":
            return said
        raise (ServerUnavailable if verdict == "unavailable" else ServerFailed)(said)

    def close(self):
        """The controller ends the servers."""
