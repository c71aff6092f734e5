"""Faults of Redis really disturb it, and heal: what a restart keeps, what is lost, what is refused."""

import time

import pytest

from stockade.devservers.tcp_proxy import CLEAN
from stockade.lab.faults import FAULTS, needs_of
from stockade.lab.faults.disk import SLOWER_S
from stockade.lab.site.site import open_site
from stockade.lab.site.tools import no_strace
from stockade.locks.redis.transport.transport import ServerError
from tests.lab.faults.disturbed import disturbed_on
from tests.waiting import eventually_async

pytestmark = [pytest.mark.redis, pytest.mark.asyncio(loop_scope="module")]
BIG = "x" * 100_000


async def opened(servers, name):
    return open_site("sqlite", needs_of((FAULTS[name],)), redis_servers=1, servers=servers)


@pytest.mark.parametrize(
    ("name", "kept"), [("redis-kill", None), ("redis-kill-everysec", b"1"), ("redis-kill-always", b"1")]
)
async def test_a_killed_redis(site_servers, name, kept):
    """It is down or was, and then has what its persistence kept: nothing without."""
    async with await opened(site_servers, name) as site, disturbed_on(site) as disturbed:
        (redis,) = site.redis
        pid = redis.server.pid
        await redis.call("SET", "lock", 1, "PX", 60_000)
        await FAULTS[name].inject(disturbed)
        assert not redis.server.running or redis.server.pid != pid
        await FAULTS[name].heal(disturbed)
        await FAULTS[name].heal(disturbed)
        assert await redis.call("GET", "lock") == kept
        assert disturbed.processes.states == "SS"


async def test_expired_and_deleted(site_servers):
    """Leases end at once and keys without expiry stay; a flush deletes both. A holder is suspended meanwhile."""
    async with await opened(site_servers, "redis-flush") as site, disturbed_on(site) as disturbed:
        (redis,) = site.redis

        async def gone():
            return await redis.call("GET", "lock") is None

        await redis.call("SET", "lock", 1, "PX", 60_000)
        await redis.call("SET", "counter", 1)
        (holder, keys) = await FAULTS["redis-expire-all"].inject(disturbed)
        assert sorted(disturbed.processes.states) == ["S", "T"]
        assert (holder in {"service 0", "service 1"}, keys) == (True, "1 keys expired")
        await eventually_async(gone, 1.0)
        assert await redis.call("GET", "counter") == b"1"
        await FAULTS["redis-flush"].inject(disturbed)
        assert await redis.call("GET", "counter") is None
        await FAULTS["redis-flush"].heal(disturbed)
        assert disturbed.processes.states == "SS"


async def test_nothing_to_lose_is_nothing_hit(site_servers):
    """A Redis without a lock loses none, and without a process nobody holds one: the faults say so."""
    async with await opened(site_servers, "redis-flush") as site, disturbed_on(site) as disturbed:
        for name in ("redis-flush", "redis-expire-all"):
            assert await FAULTS[name].inject(disturbed) == ()
            await FAULTS[name].heal(disturbed)
        for number in range(2):
            await disturbed.processes.kill(number)
        await site.redis[0].call("SET", "lock", 1, "PX", 60_000)
        assert await FAULTS["redis-kill"].inject(disturbed) == ()
        assert "no service runs" in disturbed.notes
        await FAULTS["redis-kill"].heal(disturbed)


@pytest.mark.parametrize("name", ["redis-kill-always", "redis-failover"])
async def test_a_restart_leaves_the_links_as_other_faults_have_made_them(site_servers, name):
    """A link that is uneven and in pieces stays so when its Redis is killed and comes back, until it is healed."""
    faults = tuple(FAULTS[each] for each in (name, "jitter", "slice-redis"))
    at = open_site("sqlite", needs_of(faults), redis_servers=1, servers=site_servers)
    async with at as site, disturbed_on(site) as disturbed:
        (link,) = site.links["redis"]
        for fault in faults[1:]:
            await fault.inject(disturbed)
        both = link.conditions
        assert await faults[0].inject(disturbed)
        await faults[0].heal(disturbed)
        assert link.conditions == both != CLEAN
        assert set(link.active) == {"jitter", "slice-redis"}
        await faults[1].heal(disturbed)
        assert set(link.active) == {"slice-redis"}
        await site.restore()
        assert (link.conditions, link.active) == (CLEAN, {})


async def test_a_failover_loses_the_last_write(site_servers):
    """At the same address there is then the replica: with what was written before the link was cut."""
    async with await opened(site_servers, "redis-failover") as site, disturbed_on(site) as disturbed:
        (redis,) = site.redis
        old = redis.server
        await redis.call("SET", "early", 1)
        at_point = disturbed.processes.signal_at_point

        async def write_late(*arguments):
            await redis.call("SET", "late", 1)
            await at_point(*arguments)

        disturbed.processes.signal_at_point = write_late
        url = site.redis_urls
        await FAULTS["redis-failover"].inject(disturbed)
        assert (await redis.call("GET", "early"), await redis.call("GET", "late")) == (b"1", None)
        assert not old.running
        await FAULTS["redis-failover"].heal(disturbed)
        await FAULTS["redis-failover"].heal(disturbed)
        assert (site.redis_urls, redis.server.running) == (url, True)


async def test_a_full_disk(site_servers):
    """Writes are refused, reads are answered, and a healed server takes writes again."""
    async with await opened(site_servers, "redis-disk-full") as site, disturbed_on(site) as disturbed:
        (redis,) = site.redis
        await redis.call("SET", "early", 1)
        await FAULTS["redis-disk-full"].inject(disturbed)

        async def refused():
            try:
                await redis.call("SET", "late", BIG)
            except ServerError as error:
                return "MISCONF" in str(error)
            return False

        assert await eventually_async(refused)
        await FAULTS["redis-disk-full"].heal(disturbed)
        assert await redis.call("SET", "late", 1) == b"OK"
        assert await redis.call("GET", "early") == b"1"


async def test_a_slow_disk(site_servers):
    """A write waits for the flush, as long as the disk is slow."""
    if why := no_strace():
        pytest.skip(f"left out: strace ({why})")
    async with await opened(site_servers, "redis-disk-slow") as site, disturbed_on(site) as disturbed:
        (redis,) = site.redis

        async def write_s():
            began_s = time.monotonic()
            await redis.call("SET", "a", 1)
            return time.monotonic() - began_s

        assert min([await write_s() for _ in range(3)]) < SLOWER_S
        await FAULTS["redis-disk-slow"].inject(disturbed)
        assert await write_s() >= SLOWER_S
        await FAULTS["redis-disk-slow"].heal(disturbed)
        assert min([await write_s() for _ in range(3)]) < SLOWER_S
