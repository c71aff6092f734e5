"""Every provider on both faces, for the contract suite: `world` is one combination of them."""

import signal
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import redis
import redis.asyncio

from stockade import locks
from stockade.devservers import Servers
from stockade.locks import aio
from tests.locks.clusters import start_cluster
from tests.locks.harness import Interrupt, TaskActor, ThreadActor


@dataclass
class World:
    """One provider on one face, with actors to use it."""

    face: str
    kind: str
    make: Callable[[], Any]
    actors: list[Any] = field(default_factory=list)
    providers: list[Any] = field(default_factory=list)

    @property
    def fair(self) -> bool:
        """Whether waiters of one provider are served in order."""
        return self.kind in ("memory", "redis", "redisclient", "rediscluster", "postgres", "mysql")

    @property
    def shared(self) -> bool:
        """Whether it has read/write locks and semaphores."""
        return self.kind not in ("quorum", "postgres", "mysql")

    def actor(self) -> Any:
        """A new task or thread."""
        self.actors.append(TaskActor() if self.face == "aio" else ThreadActor())
        return self.actors[-1]

    def provider(self) -> Any:
        """A provider, as another process would have it (memory: the only one)."""
        if self.kind == "memory" and self.providers:
            return self.providers[0]
        self.providers.append(self.make())
        return self.providers[-1]

    async def close(self) -> None:
        closer = self.actor()
        for provider in self.providers:
            await closer(provider.close)
        for actor in self.actors:
            await actor.close()


def redis_client(face: Any, url: str) -> Any:
    """A redis-py client of the face's kind."""
    return redis.asyncio.Redis.from_url(url) if face is aio else redis.Redis.from_url(url)


MAKERS: dict[str, Callable[[Any, pytest.FixtureRequest], Any]] = {
    "memory": lambda face, request: face.MemoryLocks(),
    "redis": lambda face, request: face.RedisLocks(request.getfixturevalue("redis_url")),
    "redisclient": lambda face, request: face.RedisLocks(redis_client(face, request.getfixturevalue("redis_url"))),
    "redisspin": lambda face, request: face.RedisLocks(request.getfixturevalue("redis_url"), fair=False),
    "rediscluster": lambda face, request: face.RedisLocks(request.getfixturevalue("cluster_urls")[:1], cluster=True),
}
MAKERS |= {
    "quorum": lambda face, request: face.QuorumLocks(request.getfixturevalue("quorum_urls")),
    "postgres": lambda face, request: face.PostgresLocks(request.getfixturevalue("postgres_url"), prefix=own(request)),
    "mysql": lambda face, request: face.MySQLLocks(request.getfixturevalue("mariadb_url"), prefix=own(request)),
}


def own(request: pytest.FixtureRequest) -> str:
    """Names of the shared database server that belong to this test alone."""
    return request.node.name


@pytest.fixture(scope="session")
def quorum_servers() -> Iterator[list[str]]:
    """Three Redis servers of this worker."""
    with Servers() as servers:
        yield [servers.redis().url for _ in range(3)]


@pytest.fixture
def quorum_urls(quorum_servers: list[str]) -> list[str]:
    """Three independent, empty Redis servers."""
    for url in quorum_servers:
        with redis.Redis.from_url(url) as client:
            client.flushdb()
    return quorum_servers


@pytest.fixture(scope="session")
def cluster_servers() -> Iterator[list[str]]:
    """A Redis Cluster of three masters of this worker."""
    with Servers() as servers:
        yield [node.url for node in start_cluster(servers)]


@pytest.fixture
def cluster_urls(cluster_servers: list[str]) -> list[str]:
    """The masters of an empty cluster."""
    for url in cluster_servers:
        with redis.Redis.from_url(url) as client:
            client.flushdb()
    return cluster_servers


NEEDS = {"rediscluster": pytest.mark.redis}
NEEDS |= {"quorum": pytest.mark.redis, "postgres": pytest.mark.postgres, "mysql": pytest.mark.mariadb}
NEEDS |= {"redis": pytest.mark.redis, "redisclient": pytest.mark.redis, "redisspin": pytest.mark.redis}


@pytest.fixture(
    params=[
        pytest.param(f"{kind}-{face}", marks=[NEEDS[kind]] if kind in NEEDS else [])
        for kind in MAKERS
        for face in ("aio", "sync")
    ]
)
async def world(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    """Each provider on each face."""
    kind, face = request.param.rsplit("-", 1)
    module = aio if face == "aio" else locks
    made = World(face, kind, lambda: MAKERS[kind](module, request))
    yield made
    await made.close()


@pytest.fixture
def interrupt_after() -> Iterator[Callable[[float], None]]:
    """Function that raises Interrupt in the main thread after so many seconds; disarmed with 0."""

    def ring(signum: int, frame: Any) -> None:
        raise Interrupt

    before = signal.signal(signal.SIGUSR1, ring)
    alarms: list[threading.Timer] = []

    def arm(seconds: float) -> None:
        for alarm in alarms:
            alarm.cancel()
            alarm.join()
        alarms.clear()
        main = threading.main_thread().ident
        if seconds and main is not None:
            alarms.append(threading.Timer(seconds, signal.pthread_kill, (main, signal.SIGUSR1)))
            alarms[0].start()

    yield arm
    arm(0)
    signal.signal(signal.SIGUSR1, before)
