"""Looks up names with a bound: `getaddrinfo` has none of its own, and a silent name server holds it for half a minute.

Each look-up runs in a daemon thread, one for each name at a time, and a caller stops waiting for it at its deadline.
Numeric addresses need none of this.
Neighbours: `timely_loop.py` (PostgreSQL, MariaDB and MySQL), `locks.redis.transport` (Redis).
"""

import asyncio
import os
import socket
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future
from typing import Any, NamedTuple, TypeAlias


class SocketAddress(NamedTuple):
    """One address that a name stands for."""

    family: int
    sockaddr: tuple[Any, ...]


_Key: TypeAlias = tuple[str, int]
_running: dict[_Key, "Future[list[SocketAddress]]"] = {}
os.register_at_fork(after_in_child=_running.clear)  # the child does not have the parent's threads


def places(host: str, port: int, end: float) -> Sequence[SocketAddress]:
    """The addresses of a host, by the monotonic second `end`.

    Raises:
        OSError: there is no such name, or no answer in time (TimeoutError).
    """
    found = _numeric(host, port)
    return found or _look_up(host, port).result(max(end - time.monotonic(), 0.0))


async def places_async(host: str, port: int) -> Sequence[SocketAddress]:
    """As `places`; the caller bounds the time."""
    return _numeric(host, port) or await asyncio.wrap_future(_look_up(host, port))


def _numeric(host: str, port: int) -> list[SocketAddress]:
    try:
        return _ask(host, port, socket.AI_NUMERICHOST)
    except socket.gaierror:  # it is a name
        return []


def _ask(host: str, port: int, flags: int) -> list[SocketAddress]:
    rows = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=flags)
    return [SocketAddress(int(row[0]), tuple(row[4])) for row in rows]


def _look_up(host: str, port: int) -> "Future[list[SocketAddress]]":
    mine: Future[list[SocketAddress]] = Future()
    mine.set_running_or_notify_cancel()  # so that a waiter that is cancelled does not cancel it for the others
    future = _running.setdefault((host, port), mine)
    if future is mine:
        try:
            threading.Thread(target=_work, args=(host, port, mine), name="stockade-names", daemon=True).start()
        except RuntimeError:  # the interpreter is ending and starts no thread any more
            _work(host, port, mine)
    return future


def _work(host: str, port: int, future: "Future[list[SocketAddress]]") -> None:
    try:
        found = _ask(host, port, 0)
    except (OSError, UnicodeError) as error:  # UnicodeError: a label of the name is too long
        _running.pop((host, port), None)
        future.set_exception(error if isinstance(error, OSError) else OSError(f"{host!r} is no host name"))
    else:
        _running.pop((host, port), None)
        future.set_result(found)
