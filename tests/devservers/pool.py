"""The servers of one test run, shared by all its processes; each starts when the first test needs it.

Under pytest-xdist the controller owns them, because a server never outlives the process that started it; workers get
the URLs through a local socket. Neighbour: `tests/conftest.py` makes fixtures of them.
"""

import os
import secrets
import threading
from contextlib import suppress
from multiprocessing import AuthenticationError
from multiprocessing.connection import Client, Listener
from pathlib import Path

from stockade.devservers import ServerFailed, Servers, ServerUnavailable, existing_url

ANSWER_LIMIT_S = 110.0
MEMORY = Path("/dev/shm")
MEMORY_FREE = 8 * 2**30  # bytes; a whole run needs less than half


def memory_folder():
    """A folder in memory for the data of servers, None where there is no room or no right to run programs.

    A table of MariaDB costs several waits for a disk. What a test needs of a disk survives there too: a killed server
    finds its files.
    """
    try:
        there = os.statvfs(MEMORY)
        available = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError):  # another system than Linux
        return None
    free = min(there.f_bavail * there.f_frsize, available)
    return MEMORY if free >= MEMORY_FREE and not there.f_flag & os.ST_NOEXEC else None


class Pool:
    """Holds the servers. One of each kind, but a Redis for each worker: its channels and FLUSHALL know no databases."""

    def __init__(self):
        self._servers = None
        self._redis = {}
        self._lock = threading.Lock()
        self._listener = None
        self._closed = False

    def url(self, kind, worker="main"):
        """URL of the server of a kind, started now if this is the first time."""
        with self._lock:
            if self._servers is None:
                self._servers = Servers(memory_folder())
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
        while not self._closed:
            try:
                connection = listener.accept()
            except (ConnectionError, EOFError, AuthenticationError):  # a worker has ended while it began to ask
                continue
            except OSError:  # closed, or it would fail again and again
                listener.close()  # the next worker that asks fails at once
                return
            with connection, suppress(OSError, EOFError):  # a worker has ended while it asked
                kind, worker = connection.recv()
                connection.send(self._found(kind, worker))

    def _found(self, kind, worker):
        try:
            return "url", self.url(kind, worker)
        except ServerUnavailable as error:
            return "unavailable", str(error)
        except Exception as error:  # noqa: BLE001 - the worker's test shows it
            return "failed", repr(error)

    def close(self):
        """End all servers."""
        self._closed = True
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
