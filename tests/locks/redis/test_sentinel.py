"""A real Sentinel: locks over redis-py's `Sentinel.master_for` go on at the promoted replica."""

import asyncio

import pytest
import redis
import redis.asyncio.sentinel
import redis.sentinel

from stockade import locks as sync
from stockade.locks import LockUnavailable, RedisTuning, aio
from stockade.locks.redis.transport.redis_py import sentinel
from tests import waiting
from tests.locks.clusters import start_sentinel
from tests.locks.harness import TaskActor, ThreadActor, eventually

pytestmark = pytest.mark.redis
TUNING = RedisTuning(poll_s=0.3, patience_s=15.0)


@pytest.fixture(params=["aio", "sync"])
async def provider(request):
    """Function: port of a Sentinel -> locks on the master that it names."""
    face, asked = request.param, []

    def make(port):
        their = redis.asyncio.sentinel.Sentinel if face == "aio" else redis.sentinel.Sentinel
        asked.append(their([("127.0.0.1", port)]))
        return (aio if face == "aio" else sync).RedisLocks(asked[-1].master_for("main"), TUNING, lease_s=20)

    make.actor = TaskActor if face == "aio" else ThreadActor
    yield make
    for client in [each for their in asked for each in their.sentinels]:
        if face == "aio":
            await client.aclose()
        else:
            client.close()


@pytest.fixture
def watched(servers):
    """A master, its replica, and the Sentinel that knows both."""
    master = servers.redis()
    replica = servers.redis(replica_of=master)
    asked = start_sentinel(servers, master)
    with redis.Redis.from_url(asked.url, decode_responses=True) as client:
        waiting.eventually(
            lambda: "num-slaves" in (state := master_state(client)) and int(state["num-slaves"]) == 1, 15
        )
    return master, replica, asked


def master_state(client):
    """What the Sentinel knows of the master."""
    flat = client.execute_command("SENTINEL MASTER", "main")
    return flat if isinstance(flat, dict) else dict(zip(flat[::2], flat[1::2], strict=True))


def seen(server, question):
    """The answer of a server, which closes all connections in the moment in which the Sentinel promotes it."""
    try:
        with redis.Redis.from_url(server.url, decode_responses=True) as client:
            return question(client)
    except redis.exceptions.ConnectionError:
        return False


async def test_locks_go_on_at_the_promoted_replica(watched, provider):
    """The master is killed: the holder keeps its lease, its release and the waiter's grant reach the new master."""
    master, replica, asked = watched
    locks, others = provider(asked.port), provider(asked.port)
    alice, bob = provider.actor(), provider.actor()
    held = await alice(locks.lock("a").acquire)
    waiter = bob(others.lock("a").acquire)
    await eventually(
        lambda: seen(
            replica, lambda copy: copy.get("stockade:a") == held.token and copy.llen("stockade:{stockade:a}:q") == 1
        )
    )
    await asyncio.to_thread(master.kill)
    await eventually(lambda: seen(replica, lambda copy: copy.info("replication")["role"] == "master"), 20)

    async def given_back():
        try:
            await alice(held.release)
        except LockUnavailable:
            return False
        return True

    await eventually(given_back, 20)
    lease = await asyncio.wait_for(waiter, 20)
    await eventually(lambda: seen(replica, lambda copy: copy.get("stockade:a") == lease.token))
    assert lease.fencing_token > held.fencing_token
    await bob(lease.release)
    await eventually(lambda: seen(replica, lambda copy: not copy.exists("stockade:a")))
    await alice(locks.close)
    await bob(others.close)
    await alice.close()
    await bob.close()


def begun(client):
    """A failover by hand; the Sentinel refuses while it does not know the replica well enough."""
    try:
        client.execute_command("SENTINEL", "FAILOVER", "main")
    except redis.exceptions.ResponseError as error:
        return "NOGOODSLAVE" not in str(error)
    return True


@pytest.mark.parametrize("watching", [True, False])
async def test_a_master_that_was_replaced_is_left(watched, provider, monkeypatch, watching):
    """Failover by hand, the old master stays up: the next call goes to the new one; the control asks the old one."""
    master, replica, asked = watched
    monkeypatch.setattr(sentinel, "_PERIOD_S", 0.0 if watching else 60.0)
    locks, alice = provider(asked.port), provider.actor()
    held = await alice(locks.lock("a").acquire)
    await eventually(lambda: seen(replica, lambda copy: copy.get("stockade:a") == held.token))
    with redis.Redis.from_url(asked.url, decode_responses=True) as client:
        await eventually(lambda: begun(client), 20)
        await eventually(lambda: int(master_state(client)["port"]) == replica.port, 20)
    lease = await alice(locks.lock("b").acquire)
    assert seen(replica, lambda copy: copy.exists("stockade:b")) == watching
    assert seen(master, lambda copy: copy.exists("stockade:b")) != watching
    await alice(lease.release)
    if watching:
        await alice(held.release)
    await alice(locks.close)
    await alice.close()


async def test_the_client_is_copied_without_retries(provider):
    """A lock must know when a command was sent twice, so the pool of the same service is one of our own."""
    pool = provider(1).backend._server._client.connection_pool
    assert (pool.service_name, pool.is_master) == ("main", True)
    assert pool.connection_kwargs["retry"]._retries == 0
