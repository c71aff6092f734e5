"""Every Redis connection x phase x fault: each call ends within its own time, whatever the server does.

One table: faces (by URL, by client, Sentinel, cluster; threads and asyncio), phases (connect, call, wait for a notice,
close), faults (a stopped server, a link that swallows, a refusal). The other matrices try whole locks; here it is the
connection alone.
"""

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import redis
import redis.asyncio
import redis.asyncio.sentinel
import redis.sentinel

from stockade.devservers import Servers
from stockade.devservers.process import free_port
from stockade.drivers import resolve
from stockade.locks import LockUnavailable, ProviderClosed
from stockade.locks.redis.transport.cluster import SLOTS, ClusterTransport
from stockade.locks.redis.transport.multiplexed import MultiplexedTransport
from stockade.locks.redis.transport.redis_py.asyncio_client import AsyncClientTransport
from stockade.locks.redis.transport.redis_py.blocking_client import ClientTransport
from stockade.locks.redis.transport.sockets import SocketTimeout
from stockade.locks.redis.transport.threaded import ThreadedTransport
from stockade.locks.redis.transport.transport import ServerError
from stockade.locks.runtime.sync_runtime import run
from tests.locks.bounds import Link, Site, ends_within
from tests.locks.clusters import start_sentinel
from tests.waiting import eventually

pytestmark = pytest.mark.redis
TIMEOUT_S = 0.3
NOISE_S = 1.0  # what a busy machine may add; a hang is 10 s
ASK = ("EVAL", "return 1", 1, "a")
PASSWORD = "pw-of-the-app"


@dataclass
class Place:
    """What a face is made for: a single server or a cluster's node behind a link, and a Sentinel that leads there."""

    alone: Site
    node: Site
    sentinel_port: int


@dataclass
class Face:
    """One way to a server. `make` gets the place and `user:password@`, or nothing."""

    make: Callable[[Place, str], Any]
    threads: bool
    site: str = "alone"


def url(place: Place, user: str) -> str:
    return place.alone.url.replace("redis://", f"redis://{user}")


def client(module: Any, place: Place, user: str, pool: str = "ConnectionPool") -> Any:
    return module.Redis(connection_pool=getattr(module, pool).from_url(url(place, user), decode_responses=True))


def watched(module: Any, place: Place, user: str) -> Any:
    name, _, password = user.rstrip("@").partition(":")
    login = {"username": name, "password": password} if user else {}
    found = module.sentinel.Sentinel([("127.0.0.1", place.sentinel_port)])
    return found.master_for("main", **login)


def cluster(place: Place, user: str, kind: Any) -> ClusterTransport:
    return ClusterTransport([place.node.url.replace("redis://", f"redis://{user}")], kind)


FACES = {
    "url-threads": Face(lambda place, user: ThreadedTransport(url(place, user)), True),
    "url-aio": Face(lambda place, user: MultiplexedTransport(url(place, user)), False),
    "client-threads": Face(lambda place, user: ClientTransport(client(redis, place, user)), True),
    "client-aio": Face(lambda place, user: AsyncClientTransport(client(redis.asyncio, place, user)), False),
    "pool-threads": Face(
        lambda place, user: ClientTransport(client(redis, place, user, "BlockingConnectionPool")), True
    ),
    "pool-aio": Face(
        lambda place, user: AsyncClientTransport(client(redis.asyncio, place, user, "BlockingConnectionPool")), False
    ),
    "sentinel-threads": Face(lambda place, user: ClientTransport(watched(redis, place, user)), True),
    "sentinel-aio": Face(lambda place, user: AsyncClientTransport(watched(redis.asyncio, place, user)), False),
    "cluster-threads": Face(lambda place, user: cluster(place, user, ThreadedTransport), True, "node"),
    "cluster-aio": Face(lambda place, user: cluster(place, user, MultiplexedTransport), False, "node"),
}
PHASES = ("connect", "call", "listen", "close")


@pytest.fixture(scope="module")
def place():
    """A server, a cluster of one node and a Sentinel; the links before them; a user `app` whose rights can be taken."""
    with Servers() as servers, contextlib.ExitStack() as stack:
        alone = servers.redis()
        node = servers.redis(cluster_enabled="yes", cluster_port=free_port())
        links = [Link(server.port) for server in (alone, node)]
        for link in links:
            stack.callback(link.close)
        with redis.Redis.from_url(node.url) as admin:
            admin.execute_command("CLUSTER ADDSLOTSRANGE", 0, SLOTS - 1)
            admin.config_set("cluster-announce-port", links[1].port)
            eventually(lambda: admin.execute_command("CLUSTER INFO")["cluster_state"] == "ok")
        sentinel = start_sentinel(servers, alone)
        with redis.Redis.from_url(sentinel.url) as watcher:
            watcher.execute_command("SENTINEL REMOVE", "main")
            watcher.execute_command("SENTINEL MONITOR", "main", "127.0.0.1", links[0].port, 1)
            watcher.execute_command("SENTINEL SET", "main", "down-after-milliseconds", 600_000)
        sites = [Site(server, link) for server, link in zip((alone, node), links, strict=True)]
        for site in sites:
            give_rights(site, "+@all", "&*")
        yield Place(sites[0], sites[1], sentinel.port)


def give_rights(site: Site, *rights: str) -> None:
    with redis.Redis.from_url(site.server.url) as admin:
        admin.execute_command("ACL", "SETUSER", "app", "reset", "on", f">{PASSWORD}", "~*", *rights)


def drive(face: Face, work: Any) -> Any:
    """Run a coroutine as the face's callers would."""
    return run(work) if face.threads else asyncio.run(work)


async def call_aside(face: Face, transport: Any) -> Any:
    """A call that is in flight while others go on; it ends by itself, or when the transport is closed."""

    async def ask():
        with contextlib.suppress(LockUnavailable, ProviderClosed):
            await transport.call(*ASK, timeout_s=5.0)

    if face.threads:
        thread = threading.Thread(target=run, args=(ask(),), daemon=True)
        thread.start()
        return thread
    task = asyncio.ensure_future(ask())
    await asyncio.sleep(0)
    return task


async def listen(transport: Any) -> None:
    await transport.listen("channel", lambda message: None, lambda: None, TIMEOUT_S)


async def under_fault(face: Face, transport: Any, phase: str, broken: Any) -> tuple[float, Exception | None]:
    """How long the call of this phase took under the fault, and the error that it ended with."""
    if phase != "connect":
        await transport.call(*ASK, timeout_s=10.0)
    if phase == "close":
        await transport.listen("channel", lambda message: None, lambda: None, 10.0)
    work = {"connect": lambda: transport.call(*ASK, timeout_s=TIMEOUT_S), "listen": lambda: listen(transport)}
    error = None
    with broken:
        aside = await call_aside(face, transport) if phase == "close" else None
        began = time.monotonic()
        try:
            await {**work, "call": work["connect"], "close": transport.close}[phase]()
        except (LockUnavailable, ServerError) as trouble:
            error = trouble
        took_s = time.monotonic() - began
        await transport.close()
        if isinstance(aside, asyncio.Task):
            await asyncio.wait([aside], timeout=5)
    return took_s, error


@pytest.mark.parametrize("fault", ["stopped", "blackholed"])
@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("face", FACES)
def test_a_silent_server_holds_nobody(place, face, phase, fault):
    """Each call ends within its own time, and says that the server did not answer; the next one finds it again."""
    chosen = FACES[face]
    site = getattr(place, chosen.site)
    transport = chosen.make(place, "")
    ended = ends_within(
        TIMEOUT_S + 12.0, lambda: drive(chosen, under_fault(chosen, transport, phase, site.broken(fault)))
    )
    assert ended.error is None, ended.error
    took_s, error = ended.value
    assert took_s <= TIMEOUT_S + NOISE_S
    assert phase == "close" or isinstance(error, LockUnavailable), error
    assert phase != "connect" or error.sent is False


@pytest.mark.parametrize("phase", ["call", "listen"])
@pytest.mark.parametrize("face", FACES)
def test_a_refusal_is_told_at_once(place, face, phase):
    """A user without the right to a command, or to channels, gets the server's word, and nothing hangs after it."""
    chosen = FACES[face]
    site = getattr(place, chosen.site)
    rights = ("+@all", "-eval", "&*") if phase == "call" else ("+@all", "resetchannels")
    transport = chosen.make(place, f"app:{PASSWORD}@")

    async def work():
        try:
            with pytest.raises(ServerError, match="NOPERM"):
                await (transport.call(*ASK, timeout_s=5.0) if phase == "call" else listen(transport))
            assert await transport.call("EVALSHA_RO", "0" * 40, 1, "a", timeout_s=5.0)
        except ServerError as error:
            assert "NOSCRIPT" in str(error)  # noqa: PT017 - the connection is as good as before
        finally:
            await transport.close()

    give_rights(site, *rights)
    try:
        assert ends_within(5.0, lambda: drive(chosen, work())).error is None
    finally:
        give_rights(site, "+@all", "&*")


@pytest.mark.parametrize("face", ["url-threads", "url-aio", "client-threads", "client-aio", "cluster-aio"])
def test_a_wrong_password_is_no_outage(place, face):
    """A refused login is an error of its own, at once, without the password."""
    chosen = FACES[face]
    transport = chosen.make(place, "app:wrong-secret@")

    async def work():
        with pytest.raises(ServerError, match="WRONGPASS") as told:
            await transport.call(*ASK, timeout_s=5.0)
        await transport.close()
        return str(told.value)

    ended = ends_within(2.0, lambda: drive(chosen, work()))
    assert ended.error is None, ended.error
    assert "wrong-secret" not in ended.value


@pytest.mark.parametrize("face", ["url-threads", "url-aio", "client-threads", "client-aio"])
def test_a_handshake_that_nobody_answers(face):
    """TLS to a server that accepts and says nothing, and a connection that is never accepted, end in time."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as deaf:
        port = deaf.getsockname()[1]
        address = f"rediss://127.0.0.1:{port}/0"
        transport = {
            "url-threads": lambda: ThreadedTransport(address),
            "url-aio": lambda: MultiplexedTransport(address),
            "client-threads": lambda: ClientTransport(redis.Redis.from_url(address)),
            "client-aio": lambda: AsyncClientTransport(redis.asyncio.Redis.from_url(address)),
        }[face]()

        async def work():
            for _ in range(3):  # the first waits for a handshake, the later ones to be accepted
                with pytest.raises(LockUnavailable) as told:
                    await transport.call(*ASK, timeout_s=TIMEOUT_S)
                assert told.value.sent is False
            await transport.close()

        assert ends_within(3 * TIMEOUT_S + NOISE_S, lambda: drive(FACES[face], work())).error is None


@pytest.mark.parametrize("face", ["url-threads", "url-aio", "client-threads", "client-aio"])
def test_a_name_server_that_is_silent(face, monkeypatch):
    """A name that is looked up for ever costs a call its own time, and later calls do not pile up threads."""
    answer, asked = threading.Event(), []

    def ask(host, port, flags):
        if flags:
            raise socket.gaierror("it is a name")
        asked.append(host)
        assert answer.wait(30)
        raise socket.gaierror("no such name")

    monkeypatch.setattr(resolve, "_ask", ask)
    address = "redis://silent.example:6379"
    transport = {
        "url-threads": lambda: ThreadedTransport(address),
        "url-aio": lambda: MultiplexedTransport(address),
        "client-threads": lambda: ClientTransport(redis.Redis.from_url(address)),
        "client-aio": lambda: AsyncClientTransport(redis.asyncio.Redis.from_url(address)),
    }[face]()

    async def work():
        for _ in range(3):
            with pytest.raises(LockUnavailable) as told:
                await transport.call(*ASK, timeout_s=TIMEOUT_S)
            assert told.value.sent is False
        await transport.close()

    try:
        assert ends_within(3 * TIMEOUT_S + NOISE_S, lambda: drive(FACES[face], work())).error is None
        assert len(asked) == 1
    finally:
        answer.set()
    eventually(lambda: not resolve._running)


@pytest.mark.parametrize("face", ["url-threads", "client-threads"])
def test_without_the_clock_a_silent_server_holds_the_caller(place, face, monkeypatch):
    """The control: with connections that do not look at the clock, the same call hangs."""
    monkeypatch.setattr(SocketTimeout, "limit", lambda self, left_s: self._settimeout(None))
    chosen = FACES[face]
    transport = chosen.make(place, "")
    run(transport.call(*ASK, timeout_s=5.0))
    with place.alone.broken("stopped"):
        caller = threading.Thread(target=suppressed, args=(transport,), daemon=True)
        caller.start()
        caller.join(TIMEOUT_S + NOISE_S)
        assert caller.is_alive()
    caller.join(10)
    assert not caller.is_alive()
    run(transport.close())


def suppressed(transport: Any) -> None:
    with contextlib.suppress(LockUnavailable):
        run(transport.call(*ASK, timeout_s=TIMEOUT_S))
