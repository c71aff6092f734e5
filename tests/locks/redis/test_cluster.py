"""A real Redis Cluster: every lock lives on one master, is woken there, and follows its slot when that moves."""

import asyncio
import json
import time

import pytest
import redis
import redis.asyncio
from typer.testing import CliRunner

from stockade import locks as sync
from stockade.cli import app
from stockade.core import NotSupported
from stockade.locks import LockError, LockUnavailable, RedisTuning, aio
from stockade.locks.compat.redis_py import AsyncLock, Lock
from stockade.locks.redis.key_names import names_of
from stockade.locks.redis.scan import KINDS
from stockade.locks.redis.transport.cluster import ClusterTransport, slot_of
from tests.locks.clusters import start_cluster
from tests.locks.harness import eventually, queued, waiting
from tests.locks.redis.test_scan import NAMES, Worlds

pytestmark = pytest.mark.redis
BRACES = ["x}y", "a}b{c", "{}x"]  # no hash tag can be made of these


def lock_slot(name):
    """The slot of a lock under the usual prefix."""
    return slot_of(f"stockade:{name}")


def name_at(urls, number):
    """A name whose lock lives on that master."""
    with redis.Redis.from_url(urls[number], decode_responses=True) as client:
        mine = [row[0:2] for row in slots(client) if row[2] == int(urls[number].rpartition(":")[2].split("/")[0])]
    return next(name for name in map("lock{}".format, range(1_000)) if any(a <= lock_slot(name) <= b for a, b in mine))


def slots(client):
    """First slot, last slot and port of each range."""
    rows = client.execute_command("CLUSTER SLOTS")
    if isinstance(rows, dict):
        return [(first, last, row["primary"][1]) for (first, last), row in rows.items()]
    return [(row[0], row[1], row[2][1]) for row in rows]


def test_the_slot_is_the_servers(cluster_urls):
    """Our hash is CLUSTER KEYSLOT's, for names with braces of every kind."""
    names = [*NAMES, *BRACES, "", "{", "}", "{}", "{}{a}", "a{b", "한글{키}x", *(f"order:{n}" for n in range(200))]
    with redis.Redis.from_url(cluster_urls[0]) as client:
        assert [slot_of(name) for name in names] == [client.execute_command("CLUSTER KEYSLOT", name) for name in names]


@pytest.mark.parametrize("prefix", ["", "shop:", "{shop}:"])
@pytest.mark.parametrize("kind", KINDS)
def test_all_keys_of_a_lock_share_a_slot(cluster_urls, kind, prefix):
    """Owner, line, counter, metadata and signs of life of each lock: one slot, as the server counts it."""
    with redis.Redis.from_url(cluster_urls[0]) as client:
        for name in NAMES:
            keys = names_of(prefix, name, kind)
            found = {client.execute_command("CLUSTER KEYSLOT", key) for key in (*keys.keys, f"{keys.alive}p1")}
            assert len(found) == 1, name


@pytest.mark.parametrize("name", BRACES)
async def test_braces_that_are_no_tag_are_refused(cluster_urls, name):
    """A name whose keys cannot share a slot is refused with the reason, before anything is sent."""
    async with aio.RedisLocks(cluster_urls[0], cluster=True) as locks:
        with pytest.raises(LockError, match="hash tag"):
            await locks.lock(name).acquire(timeout=1)


async def test_the_notice_arrives_at_every_master(cluster_urls):
    """Two processes' hand-overs on each of the three masters take no poll: the waiter is woken by the notice."""
    tuning = RedisTuning(poll_s=30.0)
    async with (
        aio.RedisLocks(cluster_urls, tuning, cluster=True) as locks,
        aio.RedisLocks(cluster_urls, tuning, cluster=True) as others,
    ):
        for number in range(3):
            name = name_at(cluster_urls, number)
            for kind in ("lock", "semaphore"):
                mine = locks.lock(name) if kind == "lock" else locks.semaphore(name, 1)
                theirs = others.lock(name) if kind == "lock" else others.semaphore(name, 1)
                held = await mine.acquire()
                waiter = asyncio.create_task(theirs.acquire())
                await queued(Worlds(), theirs, 1)
                started = time.monotonic()
                await held.release()
                lease = await waiter
                assert time.monotonic() - started < 2
                await lease.release()


async def test_who_does_not_listen_at_the_master_is_not_woken(cluster_urls, monkeypatch):
    """The control: PUBLISH counts subscribers of its own node, so a waiter that has not subscribed there is skipped."""

    async def nothing(self, *_):
        return None

    monkeypatch.setattr(ClusterTransport, "_subscribe_at", nothing)
    monkeypatch.setattr(ClusterTransport, "listen", nothing)
    tuning = RedisTuning(poll_s=30.0)
    async with aio.RedisLocks(cluster_urls, tuning, cluster=True) as locks:
        lock = locks.lock(name_at(cluster_urls, 1))
        held = await lock.acquire()
        waiter = asyncio.create_task(lock.acquire())
        await queued(Worlds(), lock, 1)
        await held.release()
        assert await waiting(waiter, 0.3)
        waiter.cancel()
        await asyncio.wait([waiter])


@pytest.mark.parametrize("face", ["aio", "sync"])
async def test_leases_on_all_masters_are_renewed(cluster_urls, face):
    """Thirty leases over three masters outlive their length: no call names keys of two slots."""
    names = [f"order:{number}" for number in range(30)]
    if face == "sync":
        locks = sync.RedisLocks(cluster_urls, lease_s=0.5, cluster=True)
        leases = [locks.lock(name, on_lost="raise").acquire() for name in names]
    else:
        locks = aio.RedisLocks(cluster_urls, lease_s=0.5, cluster=True)
        leases = [await locks.lock(name, on_lost="raise").acquire() for name in names]
    deadlines = [lease.deadline for lease in leases]
    await eventually(lambda: all(lease.deadline > old + 0.6 for lease, old in zip(leases, deadlines, strict=True)))
    for lease in leases:
        lease.check()
        ended = lease.release()
        if face == "aio":
            await ended
    if face == "aio":
        await locks.close()
    else:
        locks.close()


async def test_a_single_server_is_not_taken_for_a_cluster_nor_a_cluster_for_one(cluster_urls, redis_url):
    """Each mistake has an error that says what to write."""
    name = name_at(cluster_urls, 1)
    async with aio.RedisLocks(cluster_urls[0]) as locks:
        with pytest.raises(LockError, match="cluster=True"):
            await locks.lock(name).acquire()
    async with aio.RedisLocks(redis_url, cluster=True) as locks:
        with pytest.raises(LockError, match="cluster support disabled"):
            await locks.lock("a").acquire()
    with redis.RedisCluster.from_url(cluster_urls[0]) as client:
        for wrong in (aio.RedisLocks, sync.RedisLocks):
            with pytest.raises(NotSupported, match="cluster=True"):
                wrong(client)
        with pytest.raises(TypeError, match="URL of a node"):
            aio.RedisLocks(client, cluster=True)
    with pytest.raises(ValueError, match="database 0"):
        aio.RedisLocks("redis://127.0.0.1:1/3", cluster=True)
    with pytest.raises(ValueError, match="one of its nodes"):
        aio.RedisLocks([], cluster=True)


async def test_no_node_is_unavailable():
    """A cluster of which no node answers is LockUnavailable, not a lock that is held elsewhere."""
    async with aio.RedisLocks("redis://127.0.0.1:1", RedisTuning(patience_s=0.1), cluster=True) as locks:
        with pytest.raises(LockUnavailable, match="no node of the cluster"):
            await locks.lock("a").acquire()


async def test_redis_pys_cluster_client_may_use_our_drop_ins(cluster_urls):
    """`RedisCluster.lock(…, lock_class=…)` works on both faces and excludes redis-py's own lock."""
    with redis.RedisCluster.from_url(cluster_urls[0]) as client:
        async with redis.asyncio.RedisCluster.from_url(cluster_urls[0]) as other:
            for number in range(3):
                name = name_at(cluster_urls, number)
                with client.lock(name, timeout=9, lock_class=Lock):
                    assert not await other.lock(name, timeout=9, lock_class=AsyncLock).acquire(False)
                    assert not client.lock(name, timeout=9).acquire(blocking=False)
                async with other.lock(name, timeout=9, lock_class=AsyncLock):
                    assert client.get(name)
                assert not client.get(name)


async def test_every_master_is_searched(cluster_urls):
    """`stockade locks --cluster` shows the locks of all masters."""
    async with aio.RedisLocks(cluster_urls, cluster=True) as locks:
        leases = [await locks.lock(name_at(cluster_urls, number)).acquire() for number in range(3)]
        args = ["locks", "--redis", cluster_urls[2], "--cluster", "--json"]
        shown = json.loads((await asyncio.to_thread(CliRunner().invoke, app, args)).stdout)
        assert shown["complete"]
        assert {each["holders"][0]["owner"] for each in shown["locks"]} == {lease.token for lease in leases}
        for lease in leases:
            await lease.release()


async def test_a_slot_that_moves_is_followed(servers):
    """The slot of a lock is given to another master: the next call is redirected there."""
    nodes = await asyncio.to_thread(start_cluster, servers)
    urls = [node.url for node in nodes]
    name = name_at(urls, 0)
    async with aio.RedisLocks(urls[0], cluster=True, lease_s=5) as locks:
        first = await locks.lock(name).acquire()
        await first.release()
        clients = [redis.Redis.from_url(url, decode_responses=True) for url in urls]
        for key in clients[0].execute_command("CLUSTER GETKEYSINSLOT", lock_slot(name), 100):
            clients[0].delete(key)
        owner = clients[2].execute_command("CLUSTER MYID")
        for client in (clients[2], clients[0], clients[1]):
            client.execute_command("CLUSTER SETSLOT", lock_slot(name), "NODE", owner)
        lease = await locks.lock(name).acquire(timeout=5)
        assert clients[2].get(f"stockade:{name}") == lease.token
        assert lease.fencing_token > first.fencing_token
        await lease.release()
        for client in clients:
            client.close()


async def test_a_lost_map_is_asked_for_once(cluster_urls):
    """A hundred calls that doubt the map at once: few ask for it, and all are answered by who has their slot."""
    with redis.Redis.from_url(cluster_urls[0], decode_responses=True) as server:
        async with aio.RedisLocks(cluster_urls[:1], cluster=True) as locks:
            await (await locks.lock("a").acquire()).release()
            transport = locks.backend._cluster
            transport._masters = [(slots, cluster_urls[0]) for slots, _ in transport._masters]  # all but one are wrong
            server.config_resetstat()
            leases = await asyncio.gather(*(locks.lock(f"order:{number}").try_acquire() for number in range(100)))
            assert all(leases)
            assert server.info("commandstats").get("cmdstat_cluster|slots", {"calls": 0})["calls"] <= 3
            for lease in leases:
                await lease.release()


async def test_a_slot_on_its_way_is_unavailable_not_taken(servers):
    """While the keys of a slot are moved its locks answer LockUnavailable, and afterwards they are granted again."""
    nodes = await asyncio.to_thread(start_cluster, servers)
    urls = [node.url for node in nodes]
    name = name_at(urls, 0)
    here, there = (redis.Redis.from_url(url, decode_responses=True) for url in (urls[0], urls[1]))
    with here, there:
        here_id, there_id = here.execute_command("CLUSTER MYID"), there.execute_command("CLUSTER MYID")
        there.execute_command("CLUSTER SETSLOT", lock_slot(name), "IMPORTING", here_id)
        here.execute_command("CLUSTER SETSLOT", lock_slot(name), "MIGRATING", there_id)
        async with aio.RedisLocks(urls[0], RedisTuning(patience_s=0.2), cluster=True) as locks:
            with pytest.raises(LockUnavailable, match="being moved"):
                await locks.lock(name).acquire()
            await locks.lock(name_at(urls, 1)).acquire()
            for client in (here, there):
                client.execute_command("CLUSTER SETSLOT", lock_slot(name), "STABLE")
            assert await locks.lock(name).try_acquire()


async def given_back(lease):
    """Whether the server has received the release."""
    try:
        await lease.release()
    except LockUnavailable:
        return False
    return True


async def test_a_dead_master_is_followed_by_its_replica(servers):
    """Kill -9 of a master: its locks go on at the promoted replica, and the others never stopped."""
    nodes = await asyncio.to_thread(start_cluster, servers, 3, 1)
    urls = [node.url for node in nodes]
    mine, other = name_at(urls, 0), name_at(urls, 1)
    tuning = RedisTuning(patience_s=15.0, call_s=2.0, poll_s=0.5, wait_replicas=0)
    async with aio.RedisLocks(urls[1:3], tuning, cluster=True, lease_s=20) as locks:
        held = await locks.lock(mine).acquire()
        beside = await locks.lock(other, lease_s=1.0).acquire()
        waiter = asyncio.create_task(locks.lock(mine).acquire())
        await queued(Worlds(), locks.lock(mine), 1)
        with redis.Redis.from_url(urls[3]) as replica:
            await eventually(lambda: replica.info("replication")["master_link_status"] == "up")
            replica.execute_command("READONLY")
            owner, queue = names_of("stockade:", mine, "lock").keys[:2]
            await eventually(lambda: replica.get(owner) and replica.exists(queue))
        await asyncio.to_thread(nodes[0].kill)
        before = beside.deadline
        await eventually(lambda: beside.deadline > before + 1.0)  # renewed while that master was away
        await eventually(lambda: given_back(held), 20)
        lease = await asyncio.wait_for(waiter, 5)
        assert lease.fencing_token > held.fencing_token
        await lease.release()
        beside.check()
        await beside.release()
