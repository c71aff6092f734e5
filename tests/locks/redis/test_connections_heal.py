"""A connection that was good once: its server is a replica now, or the other side closed it, or it makes no sense."""

import inspect
import socket
import threading
from contextlib import suppress
from types import SimpleNamespace

import pytest
import redis
import redis.asyncio

from stockade import locks as sync
from stockade.devservers import Servers
from stockade.devservers.process import free_port
from stockade.locks import LockError, LockUnavailable, aio
from stockade.locks.redis.transport import connection, sockets, threaded
from stockade.locks.redis.transport.multiplexed import MultiplexedTransport
from stockade.locks.redis.transport.redis_py import asyncio_client, blocking_client
from tests.locks.bounds import Link

pytestmark = pytest.mark.redis
MAKERS = {
    "url-threads": sync.RedisLocks,
    "url-aio": aio.RedisLocks,
    "client-threads": lambda url: sync.RedisLocks(redis.Redis.from_url(url)),
    "client-aio": lambda url: aio.RedisLocks(redis.asyncio.Redis.from_url(url)),
}


async def done(result):
    """The value of a call of either face."""
    return await result if inspect.isawaitable(result) else result


@pytest.fixture(scope="module")
def pair():
    """Two servers that know nothing of each other."""
    with Servers() as servers:
        yield servers.redis(), servers.redis()


@pytest.fixture
def moved(pair):
    """A server behind a link that can lead elsewhere while its connections stay, and what goes wrong with these."""
    old, new = pair
    link = Link(old.port)
    with redis.Redis.from_url(old.url) as admin:
        admin.replicaof("no", "one")

    def lead_on():
        link._proxy.target = new.port

    def replica(stale="yes"):
        lead_on()
        with redis.Redis.from_url(old.url) as admin:
            admin.config_set("replica-serve-stale-data", stale)
            admin.replicaof("127.0.0.1", str(free_port()))

    def kill():
        with redis.Redis.from_url(old.url) as admin:
            admin.client_kill_filter(_type="normal", skipme=True)

    faults = {"READONLY": replica, "MASTERDOWN": lambda: replica("no"), "killed": kill}
    url = f"redis://127.0.0.1:{link.port}/0"
    yield SimpleNamespace(url=url, faults=faults, urls={"killed": old.url})  # a link would be late with the end
    link.close()


@pytest.mark.parametrize("fault", ["READONLY", "MASTERDOWN", "killed"])
@pytest.mark.parametrize("face", MAKERS)
async def test_one_try_meets_a_fresh_connection(moved, face, fault):
    """A call without time to repeat anything succeeds, though the kept connection is of no use any more."""
    locks = MAKERS[face](moved.urls.get(fault, moved.url))
    first = await done(locks.lock("a").acquire(timeout=5))
    await done(first.release())
    moved.faults[fault]()
    lease = await done(locks.lock("a").try_acquire())
    assert lease is not None
    await done(lease.release())
    await done(locks.close())


@pytest.mark.parametrize("face", MAKERS)
async def test_without_the_codes_it_stays_where_it_is(moved, face, monkeypatch):
    """The control: when no error reply makes a connection useless, the replica is called for ever."""
    for module in (threaded, connection, asyncio_client, blocking_client):
        monkeypatch.setattr(module, "is_stale", lambda text: False)
    monkeypatch.setattr(blocking_client.ClientTransport, "_drop_idle", lambda self: None)
    locks = MAKERS[face](moved.url)
    await done((await done(locks.lock("a").acquire(timeout=5))).release())
    moved.faults["READONLY"]()
    for _ in range(3):
        with pytest.raises(LockUnavailable, match="READONLY"):
            await done(locks.lock("a").try_acquire())
    await done(locks.close())


async def test_without_looking_a_closed_connection_fails_one_try(moved, monkeypatch):
    """The control: who does not look before sending meets the end that lay there all the time."""
    monkeypatch.setattr(sockets.HangUpProbe, "is_closed", lambda self: False)
    with sync.RedisLocks(moved.urls["killed"]) as locks:
        locks.lock("a").acquire(timeout=5).release()
        moved.faults["killed"]()
        with pytest.raises(LockUnavailable, match="closed"):
            locks.lock("a").try_acquire()


@pytest.mark.parametrize("face", MAKERS)
async def test_a_pause_and_a_reset(moved, face, monkeypatch):
    """After a pause even a connection that breaks off only when it is used, as behind a balancer, costs no call."""
    monkeypatch.setattr(sockets.HangUpProbe, "is_closed", lambda self: False)
    for module in (threaded, connection, asyncio_client, blocking_client):
        monkeypatch.setattr(module, "IDLE_S", 0.0)
    locks = MAKERS[face](moved.urls["killed"])
    await done((await done(locks.lock("a").acquire(timeout=5))).release())
    moved.faults["killed"]()
    lease = await done(locks.lock("a").try_acquire())
    await done(lease.release())
    await done(locks.close())


class Liar:
    """Replies OK to CLIENT, and answers calls from a list, one word for each; a new connection begins anew.

    Args:
        words: what it says to the calls of the first connection; later ones hear `:1`.
    """

    def __init__(self, *words):
        self._words = [words]
        self._server = socket.create_server(("127.0.0.1", 0))
        self.url = f"redis://127.0.0.1:{self._server.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                there, _ = self._server.accept()
            except OSError:  # closed
                return
            threading.Thread(target=self._talk, args=(there, self._words.pop() if self._words else ())).start()

    def _talk(self, there, words):
        answers = [*words]
        with there, suppress(OSError):  # the client has gone
            while data := there.recv(65_536):
                greeted = b"" if b"HELLO" in data else b"+OK\r\n" * data.count(b"CLIENT\r\n")
                there.sendall(greeted or (answers.pop(0) if answers else b":1\r\n"))

    def close(self):
        self._server.close()


NONSENSE = {
    "no RESP": (b":1\r\n", b"HTTP/1.1 400 Bad Request\r\n\r\n"),
    "one reply too many": (b":1\r\n", b":1\r\n:7\r\n"),
    "full": (b":1\r\n", b"-ERR max number of clients reached\r\n"),
    "loading": (b":1\r\n", b"-LOADING Redis is loading the dataset in memory\r\n"),
    "cluster is down": (b":1\r\n", b"-CLUSTERDOWN The cluster is down\r\n"),
    "logged out": (b":1\r\n", b"-NOAUTH Authentication required.\r\n"),
}


@pytest.mark.parametrize("what", NONSENSE)
@pytest.mark.parametrize("face", ["url-threads", "url-aio"])
async def test_nonsense_is_heard_once(face, what):
    """After a reply that makes no sense, or that only another connection answers better, a new one is opened."""
    liar = Liar(*NONSENSE[what])
    transport = (threaded.ThreadedTransport if face == "url-threads" else MultiplexedTransport)(liar.url)
    said = []
    for _ in range(3):
        try:
            said.append(await transport.call("PING", timeout_s=5.0))
        except LockUnavailable as error:
            said.append(str(error))
    assert said[0] == said[2] == 1
    assert said[1] == 1 or "RESP" in said[1] or "rotocol" in said[1]
    assert (said[1] == 1) == (what != "no RESP")
    await transport.close()
    liar.close()


NO_NUMBER = {"OK": b"+OK\r\n", "nothing": b"$-1\r\n", "a list": b"*1\r\n:1\r\n", "a text": b"$2\r\nab\r\n"}


@pytest.mark.parametrize("word", NO_NUMBER)
@pytest.mark.parametrize("face", MAKERS)
async def test_an_unexpected_reply_is_an_outage_that_heals(face, word):
    """A reply that no script gives is LockUnavailable for one try; the next one goes over a fresh connection."""
    liar = Liar(*[NO_NUMBER[word]] * 20)
    locks = MAKERS[face](f"{liar.url}?protocol=2" if "client" in face else liar.url)
    with pytest.raises(LockUnavailable, match="unexpected reply of type"):
        await done(locks.lock("a", lease_s=60).try_acquire())
    assert (await done(locks.lock("b", lease_s=60).try_acquire())) is not None
    await done(locks.close())
    liar.close()


OLD_SERVERS = {
    "6.0": b"ERR Error running script (call to f_ab): @user_script:7: ERR syntax error",
    "5": b"ERR Error running script (call to f_ab): @user_script: 20: Unknown Redis command called from Lua script",
    "4": b"ERR Error running script (call to f_ab): @user_script:8: Write commands not allowed after non deterministic "
    b"commands. Call redis.replicate_commands() at the start of your script",
    "one without a fault": b"ERR Error running script (call to f_ab): @user_script:7: ERR wrong number of arguments",
}


@pytest.mark.parametrize("version", OLD_SERVERS)
@pytest.mark.parametrize("face", ["url-threads", "client-aio"])
async def test_a_server_that_is_too_old_is_named(face, version):
    """The first call says which Redis the locks need, and what the server said; other errors stay as they are."""
    said = OLD_SERVERS[version]
    liar = Liar(b"-NOSCRIPT No matching script. Please use EVAL.\r\n", b"-%b\r\n" % said)
    locks = MAKERS[face](f"{liar.url}?protocol=2" if "client" in face else liar.url)
    with pytest.raises(LockError) as refused:
        await done(locks.lock("a", lease_s=60).try_acquire())
    assert said.decode().removeprefix("ERR ") in str(refused.value)
    assert ("too old, the locks need Redis 6.2 or Valkey" in str(refused.value)) == version[0].isdigit()
    assert not isinstance(refused.value, LockUnavailable)
    await done(locks.close())
    liar.close()


@pytest.mark.parametrize("face", ["url-threads", "url-aio"])
async def test_a_number_from_a_connection_that_is_kept_is_heard_for_ever(face, monkeypatch):
    """Control: unless the connection is given up, every call gets the reply of the first."""
    kind = threaded.ThreadedTransport if face == "url-threads" else MultiplexedTransport

    async def trust(self):
        return None

    monkeypatch.setattr(kind, "distrust", trust)
    liar = Liar(*[b"+OK\r\n"] * 20)
    locks = MAKERS[face](liar.url)
    for name in "ab":
        with pytest.raises(LockUnavailable, match="unexpected reply"):
            await done(locks.lock(name, lease_s=60).try_acquire())
    await done(locks.close())
    liar.close()


@pytest.mark.parametrize(("face", "user"), [("client-threads", ""), ("client-aio", ":secret@")])
async def test_an_odd_answer_to_a_greeting_is_an_outage(face, user):
    """redis-py trips over what is no answer to HELLO; its AttributeError is not the caller's."""
    liar = Liar(b"+OK\r\n")
    locks = MAKERS[face](liar.url.replace("//", f"//{user}") + "?protocol=3")
    with pytest.raises(LockUnavailable, match="unexpected reply to a greeting"):
        await done(locks.lock("a").try_acquire())
    await done(locks.close())
    liar.close()
