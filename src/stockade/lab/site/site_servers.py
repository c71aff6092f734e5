"""Starts the servers of sites and keeps them from one recording to the next, because a start costs seconds.

A server goes back only after it was healed and emptied; one that cannot be healed is ended, and the next recording gets
a new one. Neighbours: `site.py` takes servers from here, the other files of the folder are the servers.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from types import TracebackType
from typing import Protocol, Self, TypeVar, cast

from stockade.devservers import ServerFailed, Servers, ServerUnavailable
from stockade.lab.errors import LabError
from stockade.lab.site.database_server import CONNECTIONS, OWN_CONNECTIONS, DatabaseServer, SqliteFile
from stockade.lab.site.kafka_broker import KafkaBroker
from stockade.lab.site.redis_server import RedisServer
from stockade.locks import LockUnavailable
from stockade.locks.redis.transport.transport import ServerError

RESTORE_LIMIT_S = 120.0
CLOSE_LIMIT_S = 60.0
_log = logging.getLogger("stockade.lab")


class Restorable(Protocol):
    """What is kept: it can be started, healed and ended."""

    async def open(self) -> None:
        """Start it."""
        ...

    async def restore(self) -> object:
        """Heal it."""
        ...

    async def close(self) -> None:
        """End it."""
        ...


_Kept = TypeVar("_Kept", bound=Restorable)


class SiteServers:
    """An asynchronous context manager; leaving it ends every server."""

    def __init__(self) -> None:
        self._idle: defaultdict[tuple[object, ...], list[Restorable]] = defaultdict(list)
        self._redis_group: Servers | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for server in [each for kept in self._idle.values() for each in kept]:
            await _end(server)
        self._idle.clear()
        if self._redis_group is not None:
            await asyncio.to_thread(self._redis_group.close)

    @asynccontextmanager
    async def database(
        self, kind: str, *, durable: bool = False, small_disk: bool = False, connections: int = 0
    ) -> AsyncIterator[DatabaseServer | SqliteFile]:
        """A database with nothing in it.

        Args:
            kind: `sqlite`, `postgres` or `mariadb`.
            durable: a server waits for the disk at each commit.
            small_disk: its data is on a file system that can be filled.
            connections: that a recording opens; a server accepts 200 at least, with those of the lab.

        Raises:
            LabError: it could not be started; the message says why.
        """

        most = max(CONNECTIONS, connections + OWN_CONNECTIONS)

        def make() -> DatabaseServer | SqliteFile:
            if kind == "sqlite":
                return SqliteFile(small_disk=small_disk)
            return DatabaseServer(kind, durable=durable, small_disk=small_disk, connections=most)

        key = ("database", kind, durable, small_disk, most)
        async with self._borrowed(key, make, lambda used: used.end()) as server:
            await server.begin()
            yield server

    @asynccontextmanager
    async def redis(self, persistence: str = "off", *, behind_link: bool = False) -> AsyncIterator[RedisServer]:
        """An empty Redis.

        Args:
            persistence: what a restart keeps: `off`, `everysec` or `always`.
            behind_link: clients reach it through a link.

        Raises:
            LabError: it could not be started; the message says why.
        """

        def make() -> RedisServer:
            self._redis_group = self._redis_group or Servers()
            return RedisServer(self._redis_group, persistence=persistence, behind_link=behind_link)

        async with self._borrowed(("redis", persistence, behind_link), make, lambda used: used.flush()) as server:
            yield server

    @asynccontextmanager
    async def kafka(self, *, behind_link: bool = False) -> AsyncIterator[KafkaBroker]:
        """A broker. What is in its topics stays: each recording makes topics of its own.

        Args:
            behind_link: clients reach it through a link.

        Raises:
            LabError: it could not be started; the message says why.
        """

        async def keep(broker: KafkaBroker) -> None:
            """Leave it as it is."""

        make = partial(KafkaBroker, behind_link=behind_link)
        async with self._borrowed(("kafka", behind_link), make, keep) as broker:
            yield broker

    @asynccontextmanager
    async def _borrowed(
        self, key: tuple[object, ...], make: Callable[[], _Kept], empty: Callable[[_Kept], Awaitable[object]]
    ) -> AsyncIterator[_Kept]:
        server = cast(_Kept, self._idle[key].pop()) if self._idle[key] else await _started(make)
        try:
            yield server
        finally:
            try:
                async with asyncio.timeout(RESTORE_LIMIT_S):
                    await server.restore()
                    await empty(server)
            except (LabError, ServerFailed, LockUnavailable, ServerError, OSError, TimeoutError) as error:
                _log.warning("a server is not used again: %s", error)
                await _end(server)
            except BaseException:
                await _end(server)
                raise
            else:
                self._idle[key].append(server)


async def _started(make: Callable[[], _Kept]) -> _Kept:
    """Make and start it.

    Raises:
        LabError: it could not be started; the message says why.
    """
    try:
        server = await asyncio.to_thread(make)
        try:
            await server.open()
        except BaseException:
            await _end(server)  # what it has opened before it failed: a disk, a link, a part of its servers
            raise
    except (ServerUnavailable, ServerFailed) as error:
        raise LabError(str(error)) from error
    return server


async def _end(server: Restorable) -> None:
    try:
        async with asyncio.timeout(CLOSE_LIMIT_S):
            await server.close()
    except (LabError, ServerFailed, OSError, TimeoutError) as error:
        _log.warning("a server did not end in order: %s", error)  # it ends with this process at the latest
