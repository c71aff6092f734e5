"""Every provider on both faces: `subject` is one combination of them, `world` makes its providers and actors."""

import signal
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, NamedTuple

import pytest
import redis
import redis.asyncio

from stockade import locks
from stockade.devservers import Servers
from stockade.locks import aio
from stockade.locks.testing import World
from tests.locks.clusters import start_cluster
from tests.locks.harness import Interrupt


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

_SESSIONS = {"shared": False, "needs_lease": False, "shows_held_s": False, "close_ends_leases": True}
FEATURES: dict[str, dict[str, bool]] = {
    "memory": {"needs_lease": False, "in_process": True},
    "redisspin": {"fair": False},
    "quorum": {"fair": False, "shared": False},
    "postgres": _SESSIONS,
    "mysql": _SESSIONS,
}


class Subject(NamedTuple):
    """One kind of provider on one face, and what `LockContract` must know of it."""

    kind: str
    make: Callable[[], Any]
    features: dict[str, bool]


@pytest.fixture(
    params=[
        pytest.param(f"{kind}-{face}", marks=[NEEDS[kind]] if kind in NEEDS else [])
        for kind in MAKERS
        for face in ("aio", "sync")
    ]
)
def subject(request: pytest.FixtureRequest) -> Subject:
    """Each provider on each face."""
    kind, face = request.param.rsplit("-", 1)
    module = aio if face == "aio" else locks
    return Subject(kind, lambda: MAKERS[kind](module, request), FEATURES.get(kind, {}))


@pytest.fixture
async def world(subject: Subject) -> AsyncIterator[World]:
    """Providers and actors of each kind and face."""
    made = World(subject.make, in_process=subject.features.get("in_process", False))
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
            alarm.join(10)
        alarms.clear()
        main = threading.main_thread().ident
        if seconds and main is not None:
            alarms.append(threading.Timer(seconds, signal.pthread_kill, (main, signal.SIGUSR1)))
            alarms[0].start()

    yield arm
    arm(0)
    signal.signal(signal.SIGUSR1, before)
