"""Real servers under fault: killed and paused holders and waiters, cut connections, forgotten scripts and data."""
# ruff: noqa: PT012 - blocks under a lock are long; starting a child blocks for a moment only

import asyncio
import logging
import signal
import statistics
import subprocess
import sys
import textwrap
import time
from urllib.parse import urlsplit

import pytest
import redis

from stockade import locks as sync
from stockade.devservers.tcp_proxy import TcpProxy
from stockade.locks import LockLost, LockUnavailable, RedisTuning, aio
from tests.locks.harness import TaskActor, ThreadActor, eventually, work_for, work_for_ever

pytestmark = pytest.mark.redis
LONG_S = 30.0


@pytest.fixture
def server(redis_url):
    """The server as an onlooker sees it."""
    with redis.Redis.from_url(redis_url, decode_responses=True) as client:
        yield client


def child(url: str, body: str) -> subprocess.Popen:
    """Another process with `locks` on the same server; it prints a line for each step."""
    code = f"from stockade.locks import RedisLocks\nlocks = RedisLocks({url!r}, lease_s=0.6)\n" + textwrap.dedent(body)
    return subprocess.Popen([sys.executable, "-u", "-c", code], stdout=subprocess.PIPE, text=True)


async def said(process: subprocess.Popen) -> str:
    """The next line that the child prints."""
    return (await asyncio.to_thread(process.stdout.readline)).strip()


HOLD = "import time\nlease = locks.lock('a').acquire()\nprint('held')\ntime.sleep(60)"
WAIT = "print('waiting')\nlease = locks.lock('a', lease_s=5).acquire()\nprint('held')"


async def test_killed_holder_is_followed_at_once(redis_url, server):
    """After kill -9 the waiter is in within 50 ms of the lease's end: a median, with what two busy cores add."""
    late_ms = []
    async with aio.RedisLocks(redis_url) as locks:
        for _ in range(5):
            holder = child(redis_url, HOLD)
            assert await said(holder) == "held"
            waiter = asyncio.create_task(locks.lock("a").acquire())
            await eventually(lambda: server.llen("stockade:{stockade:a}:q") == 1)
            holder.kill()
            holder.communicate()
            ends = time.monotonic() + max(server.pttl("stockade:a"), 0) / 1000
            lease = await waiter
            late_ms.append(round((time.monotonic() - ends) * 1000, 1))
            await lease.release()
    logging.getLogger("stockade.locks").info("after the lease of a killed holder: %s ms", sorted(late_ms))
    assert statistics.median(late_ms) <= 250, late_ms


async def test_paused_holder_learns_that_it_lost(redis_url):
    """SIGSTOP past the lease: another gets in with a higher token; the first learns it at its first query."""
    body = """
        import sys
        lease = locks.lock('a').acquire()
        print(lease.fencing_token)
        sys.stdin.readline()
        try:
            lease.check()
        except Exception as error:
            print(type(error).__name__)
    """
    code = f"from stockade.locks import RedisLocks\nlocks = RedisLocks({redis_url!r}, lease_s=0.5)\n" + textwrap.dedent(
        body
    )
    holder = subprocess.Popen(
        [sys.executable, "-u", "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    first = int(await said(holder))
    holder.send_signal(signal.SIGSTOP)
    try:
        async with aio.RedisLocks(redis_url) as locks:
            lease = await locks.lock("a").acquire(timeout=5)
            assert lease.fencing_token > first
            holder.send_signal(signal.SIGCONT)
            holder.stdin.write("\n")
            holder.stdin.flush()
            assert await said(holder) == "LockLost"
            lease.check()
            await lease.release()
    finally:
        holder.kill()
        holder.communicate()


@pytest.mark.parametrize("fault", [signal.SIGKILL, signal.SIGSTOP])
async def test_dead_waiter_at_the_head_is_skipped(redis_url, server, fault):
    """A killed waiter delays no other, a stopped one no longer than its heartbeat lasts (Redisson: 329 s)."""
    tuning = RedisTuning(poll_s=0.1)
    async with aio.RedisLocks(redis_url, tuning, lease_s=LONG_S) as locks:
        held = await locks.lock("a").acquire()
        code = (
            "from stockade.locks import RedisLocks, RedisTuning\n"
            f"locks = RedisLocks({redis_url!r}, RedisTuning(poll_s=0.1))\n{WAIT}"
        )
        dead = subprocess.Popen([sys.executable, "-u", "-c", code], stdout=subprocess.PIPE, text=True)
        assert await said(dead) == "waiting"
        await eventually(lambda: server.llen("stockade:{stockade:a}:q") == 1)
        second = asyncio.create_task(locks.lock("a").acquire())
        await eventually(
            lambda: server.llen("stockade:{stockade:a}:q") == 2
        )  # before the third, which keeps the lock for so long
        other = aio.RedisLocks(redis_url, tuning)
        third = asyncio.create_task(other.lock("a").acquire())
        await eventually(lambda: server.llen("stockade:{stockade:a}:q") == 3)
        dead.send_signal(fault)
        if fault == signal.SIGKILL:
            dead.wait()
        else:
            await eventually(lambda: sum(1 for key in server.scan_iter("stockade:{stockade:a}:a:*")) == 1)
        started = time.monotonic()
        await held.release()
        lease = await second
        assert time.monotonic() - started < 0.3
        await lease.release()
        await (await third).release()
        await other.close()
        dead.kill()
        dead.communicate()


async def test_lost_notice_costs_one_poll(redis_url, server):
    """A hand-over whose notice never arrives is noticed at the next poll, not at the end of the lease."""
    async with aio.RedisLocks(redis_url, RedisTuning(poll_s=0.2), lease_s=LONG_S) as locks:
        lock = locks.lock("a")
        held = await lock.acquire()
        waiter = asyncio.create_task(lock.acquire())
        await eventually(lambda: server.llen("stockade:{stockade:a}:q") == 1)
        locks.backend._waiters._waiters.clear()  # the notice finds nobody
        started = time.monotonic()
        await held.release()
        lease = await waiter
        assert time.monotonic() - started < 0.2 + 0.3
        lease.check()
        await lease.release()


async def contended(locks, workers=30, turns=6):
    """Each actor takes the lock several times; no two are inside together. Returns the waits in seconds."""
    inside, waits = 0, []

    async def work():
        nonlocal inside
        for _ in range(turns):
            started = time.monotonic()
            async with locks.lock("hot").hold(timeout=20):
                waits.append(time.monotonic() - started)
                inside += 1
                assert inside == 1
                await work_for(0.001)
                inside -= 1

    await asyncio.gather(*(work() for _ in range(workers)))
    return waits


def commands(server) -> int:
    """Commands run so far, also inside scripts."""
    return sum(row["calls"] for row in server.info("commandstats").values())


async def test_killed_subscription_neither_wedges_nor_storms(redis_url, server):
    """Killing the notice connection again and again during a fair run: it ends, with at most twice the commands."""
    async with aio.RedisLocks(redis_url, lease_s=LONG_S) as locks:
        await contended(locks, turns=1)
        before = commands(server)
        await contended(locks)
        quiet = commands(server) - before
        before = commands(server)
        run = asyncio.create_task(contended(locks))
        for _ in range(3):
            await work_for(0.05)
            server.client_kill_filter(_type="pubsub")
        await asyncio.wait_for(run, 10)
        assert commands(server) - before <= 2 * quiet
    assert server.llen("stockade:{stockade:hot}:q") == 0
    assert not server.exists("stockade:hot")


@pytest.mark.parametrize("face", ["aio", "sync"])
async def test_killed_connection_is_opened_again(redis_url, server, face):
    """CLIENT KILL of the command connection: the next call opens a new one, a held lease stays held."""
    module = aio if face == "aio" else sync
    locks = module.RedisLocks(redis_url, lease_s=LONG_S)

    async def do(result):
        return await result if face == "aio" else result

    lease = await do(locks.lock("a").acquire())
    server.client_kill_filter(_type="normal", skipme=True)
    other = await do(locks.lock("b").acquire())
    await do(other.release())
    await do(lease.release())
    assert not server.exists("stockade:a")
    await do(locks.close())


@pytest.mark.parametrize("face", ["aio", "sync"])
async def test_forgotten_scripts_are_sent_again(redis_url, server, face):
    """SCRIPT FLUSH between acquire, renewal and release goes unnoticed."""
    locks = (aio if face == "aio" else sync).RedisLocks(redis_url, lease_s=0.3)
    alice = TaskActor() if face == "aio" else ThreadActor()
    for _ in range(3):
        lease = await alice(locks.lock("a").acquire)
        server.script_flush()
        first = lease.deadline
        await eventually(lambda lease=lease, first=first: lease.deadline > first)
        server.script_flush()
        await alice(lease.release)
        server.script_flush()
    await alice(locks.close)
    await alice.close()


async def test_flushed_server_tells_the_holder(redis_url, server):
    """FLUSHALL: the holder learns its loss at the next renewal; a waiter is served; tokens still grow."""
    async with aio.RedisLocks(redis_url, RedisTuning(poll_s=0.1), lease_s=0.6) as locks:
        with pytest.raises(LockLost, match="no longer knew"):
            async with locks.lock("a") as lease:
                waiter = asyncio.create_task(locks.lock("a").acquire())
                await eventually(lambda: server.llen("stockade:{stockade:a}:q") == 1)
                server.flushall()
                await work_for_ever()
        follower = await waiter
        assert follower.fencing_token > lease.fencing_token
        await follower.release()


async def test_flushed_server_does_not_hang_fair_waiters(redis_url, server):
    """FLUSHALL empties the queue; every waiter joins it again and is served."""
    async with aio.RedisLocks(redis_url, RedisTuning(poll_s=0.1), lease_s=LONG_S) as locks:
        run = asyncio.create_task(contended(locks, workers=5, turns=1))
        holder = await locks.lock("hot").acquire()
        await eventually(lambda: server.llen("stockade:{stockade:hot}:q") >= 1)
        server.flushall()
        await asyncio.wait_for(run, 5)
        with pytest.raises(LockLost):
            await holder.release()


@pytest.mark.parametrize("face", ["aio", "sync"])
async def test_restarted_server(redis_server, face):
    """Without persistence a restart forgets the lock: a waiter gets in within seconds, the holder learns it."""
    server = redis_server()
    module = aio if face == "aio" else sync
    locks = module.RedisLocks(server.url, RedisTuning(poll_s=0.2), lease_s=2.0)

    alice, bob = (TaskActor(), TaskActor()) if face == "aio" else (ThreadActor(), ThreadActor())
    held = await alice(locks.lock("a", on_lost="raise").acquire)
    waiter = bob(locks.lock("a").acquire)
    with redis.Redis.from_url(server.url) as onlooker:
        await eventually(lambda: onlooker.llen("stockade:{stockade:a}:q") == 1)
    await asyncio.to_thread(server.kill)
    await asyncio.to_thread(server.restart)
    lease = await asyncio.wait_for(waiter, 4)
    assert lease.fencing_token > held.fencing_token
    await eventually(lambda: held.lost, 4)
    await bob(lease.release)
    await bob(locks.close)
    await alice.close()
    await bob.close()


async def test_unreachable_server_is_not_somebody_else(redis_server):
    """A dead server raises LockUnavailable for a try as for a wait; a held lease ends by the clock."""
    server = redis_server()
    async with aio.RedisLocks(server.url, RedisTuning(patience_s=0.2), lease_s=0.5) as locks:
        held = await locks.lock("a").acquire()
        await asyncio.to_thread(server.kill)
        with pytest.raises(LockUnavailable):
            await locks.lock("b").try_acquire()
        with pytest.raises(LockUnavailable):
            await locks.lock("b").acquire()
        assert await held.wait_lost(3)


async def test_slow_replies(redis_url, server):
    """CLIENT PAUSE longer than a call may take: the acquire is repeated and succeeds once, nothing is left over."""
    async with aio.RedisLocks(redis_url, RedisTuning(call_s=0.2, patience_s=3)) as locks:
        async with locks.lock("a"):
            pass
        server.client_pause(500, all=True)
        async with locks.lock("a"):
            assert server.get("stockade:a")
        assert not server.exists("stockade:a", "stockade:{stockade:a}:q")


@pytest.mark.parametrize("late_s", [0.03, 0.4])
async def test_late_replies(redis_url, server, late_s):
    """Every reply, and every notice, comes late, or later than a call may take: none is in with another, none waits."""
    async with TcpProxy(urlsplit(redis_url).port, delay_s=late_s) as slow:
        url = f"redis://127.0.0.1:{slow.port}"
        async with aio.RedisLocks(url, RedisTuning(call_s=0.2, patience_s=0.5), lease_s=2) as locks:
            if late_s < 0.2:
                assert len(await contended(locks, workers=5, turns=2)) == 10
            else:
                with pytest.raises(LockUnavailable):
                    await locks.lock("hot").acquire()
    await eventually(lambda: not server.exists("stockade:hot", "stockade:{stockade:hot}:q"))
    async with aio.RedisLocks(redis_url) as locks:
        assert await locks.lock("hot").try_acquire()


async def test_a_cancelled_reply_is_withdrawn_under_pause(redis_url, server):
    """Cancelled while the server is silent: once it speaks again, the key it granted is given back."""
    async with aio.RedisLocks(redis_url, lease_s=LONG_S) as locks:
        async with locks.lock("warm"):
            pass
        server.client_pause(150, all=True)
        task = asyncio.create_task(locks.lock("a").acquire())
        await work_for(0.02)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await locks.runtime.drain(5)
        assert not server.exists("stockade:a")


async def test_no_key_without_an_end(redis_url, server):
    """Whatever the library writes has a TTL: owner, line, counter, sign of life, metadata, shares."""
    async with aio.RedisLocks(redis_url) as locks:
        held = await locks.lock("a", metadata="me").acquire()
        waiter = asyncio.create_task(locks.lock("a", metadata="you").acquire())
        share = await locks.semaphore("s", 1).acquire()
        sharer = asyncio.create_task(locks.semaphore("s", 1).acquire())
        await eventually(lambda: server.llen("stockade:{stockade:a}:q") == 1)
        await eventually(lambda: server.llen("stockade:{stockade:s}:semaphore:q") == 1)
        keys = list(server.scan_iter())
        assert len(keys) >= 9
        assert all(server.pttl(key) > 0 for key in keys)
        await held.release()
        await share.release()
        await (await waiter).release()
        await (await sharer).release()
