"""The troubles of Redisson's fair lock, each as a test that ours must pass: issues by number, then measured ones.

The numbers are issues of github.com/redisson/redisson. `TROUBLES` maps every one to its test, here or in a neighbour.
"""

import asyncio
import importlib
import itertools
import random
import subprocess
import sys
import time

import pytest
import redis

from stockade.locks import LockLost, RedisTuning, aio
from tests.locks.harness import eventually, work_for, work_for_ever

pytestmark = pytest.mark.redis
LONG_S = 30.0
LINE_MS = 60_000

TROUBLES = {
    "#1104, #2099 deadlines of waiters drift": "test_1104_2099_short_tries_do_not_move_any_deadline",
    "#2278 many waiters without a lease time": "test_2278_2883_2960_many_waiters_all_get_in",
    "#2883 500 waiters with a lease": "test_2278_2883_2960_many_waiters_all_get_in",
    "#2960 freezes after thousands of turns": "test_2278_2883_2960_many_waiters_all_get_in",
    "#3004 who waits longer than its sign of life": "test_3004_5503_a_wait_longer_than_the_sign_of_life_ends_well",
    "#5503 a holder that outlives its lease": "test_3004_5503_a_wait_longer_than_the_sign_of_life_ends_well",
    "#3254, #3730, #4705 holders that do not unlock": "test_3254_3730_4705_leases_that_run_out_let_everybody_in",
    "#4478, #4595, #4661, #6150 an application that died with its line": (
        "test_4478_4595_4661_6150_a_killed_application_and_its_line_stop_nobody"
    ),
    "#4323, #5019, #6427 waits that end in vain": "test_4323_5019_6427_waits_in_vain_leave_no_line",
    "#757 the lock is free as soon as it is given back": "test_757_free_as_soon_as_it_is_given_back",
    "one lost notification: all hang until the lease ends": "test_one_lost_notice_does_not_stop_thirty_waiters",
    "a killed subscription: wedged, commands storm": (
        "test_redis_faults.test_killed_subscription_neither_wedges_nor_storms"
    ),
    "a dead waiter at the head: 329 s": "test_redis_faults.test_dead_waiter_at_the_head_is_skipped",
    "interrupted waiters leave their entries": "test_interrupt.test_interrupted_acquire_leaves_nothing",
    "FLUSHALL while held: waiters hang": "test_redis_faults.test_flushed_server_does_not_hang_fair_waiters",
    "FLUSHALL while held: unlock succeeds silently": "test_redis_faults.test_flushed_server_tells_the_holder",
    "a lease shorter than the work: nobody is told": "test_a_lease_shorter_than_the_work_is_told_to_everybody",
    "an interrupted acquire leaves its key": "test_cancellation.test_cancelled_at_random_leaves_nothing",
    "the watchdog of a dead owner renews for ever": "test_the_lease_of_an_ended_task_is_given_back",
    "a killed holder is followed at once (to be matched)": "test_redis_faults.test_killed_holder_is_followed_at_once",
    "a cancelled lockAsync leaves nothing (to be matched)": "test_cancellation.test_cancelled_at_random_leaves_nothing",
}


@pytest.mark.parametrize("trouble", TROUBLES)
def test_every_trouble_has_its_test(trouble):
    """The table names tests that exist."""
    module, _, name = TROUBLES[trouble].rpartition(".")
    found = importlib.import_module(f"tests.locks.faults.{module}" if module else __name__)
    assert callable(getattr(found, name))


@pytest.fixture
def server(redis_url):
    """The server as an onlooker sees it."""
    with redis.Redis.from_url(redis_url, decode_responses=True) as client:
        yield client


def left(server):
    """Keys of owners and lines."""
    return [key for key in server.scan_iter() if not key.endswith(":f") and ":a:" not in key]


async def test_1104_2099_short_tries_do_not_move_any_deadline(redis_url, server):
    """Hundreds of short tries with long leases: no TTL grows beyond its bound, and a newcomer is in at once after."""
    rng = random.Random(1104)
    async with aio.RedisLocks(redis_url, lease_s=LONG_S) as locks:
        held = await locks.lock("a").acquire()
        patient = asyncio.create_task(locks.lock("a").acquire())
        for _ in range(30):
            tries = [locks.lock("a").acquire(timeout=rng.random() * 0.02) for _ in range(10)]
            assert await asyncio.gather(*tries) == [None] * 10
            ttls = {key: server.pttl(key) for key in server.scan_iter("stockade:{stockade:a}:[qa]*")}
            assert all(0 < ttl <= LINE_MS for ttl in ttls.values())
            assert server.llen("stockade:{stockade:a}:q") == 1
        started = time.monotonic()
        await held.release()
        await (await patient).release()
        await (await locks.lock("a").acquire()).release()
        assert time.monotonic() - started < 0.5
    assert left(server) == []


@pytest.mark.parametrize(("waiters", "turns", "lease_s"), [(300, 1, LONG_S), (500, 1, 5.0), (100, 30, LONG_S)])
async def test_2278_2883_2960_many_waiters_all_get_in(redis_url, server, waiters, turns, lease_s):
    """300 and 500 at once, and 100 in 3,000 turns: every caller gets every turn, in order, and no queue stays."""
    entered = []
    async with aio.RedisLocks(redis_url, lease_s=lease_s) as locks:

        async def work(number):
            for turn in range(turns):
                async with locks.lock("a").hold(timeout=60):
                    entered.append((turn, number))

        held = await locks.lock("a").acquire()
        works = [asyncio.create_task(work(number)) for number in range(waiters)]
        await eventually(lambda: server.llen("stockade:{stockade:a}:q") == waiters)
        await held.release()
        await asyncio.gather(*works)
    assert len(entered) == waiters * turns
    assert [turn for turn, _ in entered] == [turn for turn in range(turns) for _ in range(waiters)]
    assert left(server) == []


async def test_3004_5503_a_wait_longer_than_the_sign_of_life_ends_well(redis_url, server):
    """The holder renews well beyond its lease and the waiters' sign of life: they stay in the queue and get in."""
    tuning = RedisTuning(poll_s=0.05)  # a sign of life lasts 0.15 s
    async with aio.RedisLocks(redis_url, tuning) as locks, aio.RedisLocks(redis_url, tuning) as others:
        held = await locks.lock("a", lease_s=0.3).acquire()

        async def turn(provider):
            async with provider.lock("a", lease_s=5):
                pass

        waits = [asyncio.create_task(turn(each)) for each in (others, locks, others)]
        await eventually(lambda: server.llen("stockade:{stockade:a}:q") == 3)
        first = held.deadline
        await eventually(lambda: held.deadline > first + 0.6)
        assert server.llen("stockade:{stockade:a}:q") == 3
        started = time.monotonic()
        await held.release()
        await asyncio.wait_for(asyncio.gather(*waits), 5)
        assert time.monotonic() - started < 0.5


async def test_3254_3730_4705_leases_that_run_out_let_everybody_in(redis_url, server):
    """Eight holders that never unlock: each next one is in when the lease before ends, and no key stays at the end."""
    lease_s, late_s = 0.1, []
    async with aio.RedisLocks(redis_url, lease_s=lease_s) as locks:

        async def take():
            lease = await locks.lock("a", renew=False, on_lost="ignore").acquire(timeout=10)
            late_s.append(time.monotonic())
            lease.detach()  # nobody looks after it any more

        await asyncio.gather(*(take() for _ in range(8)))
        gaps_s = sorted(after - before for before, after in itertools.pairwise(late_s))
        assert gaps_s[len(gaps_s) // 2] < lease_s + 0.25, gaps_s
        await eventually(lambda: left(server) == [])


APPLICATION = """
import asyncio
from stockade.locks import aio
async def main():
    async with aio.RedisLocks({url!r}, lease_s=1.0) as locks:
        async def work():
            async with locks.lock("a"):
                print("held", flush=True)
                await asyncio.Event().wait()
        await asyncio.gather(*(work() for _ in range(10)))
asyncio.run(main())
"""


async def test_4478_4595_4661_6150_a_killed_application_and_its_line_stop_nobody(redis_url, server):
    """Kill -9 of a process that holds the lock and has nine waiters: the next one is in when the lease ends."""
    code = APPLICATION.format(url=redis_url)
    application = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    try:
        assert (await asyncio.to_thread(application.stdout.readline)).strip() == "held"
        await eventually(lambda: server.llen("stockade:{stockade:a}:q") == 9)
    finally:
        application.kill()
        application.communicate()
    async with aio.RedisLocks(redis_url) as locks:
        ends = time.monotonic() + server.pttl("stockade:a") / 1000
        lease = await locks.lock("a").acquire(timeout=10)
        assert time.monotonic() - ends < 0.5
        await lease.release()
    assert left(server) == []


async def test_4323_5019_6427_waits_in_vain_leave_no_line(redis_url, server):
    """Bounded waits under load: those that end in vain leave nothing, the lock stays busy, no waiter overtakes."""
    rng, got, vain = random.Random(5019), 0, 0
    async with aio.RedisLocks(redis_url, lease_s=LONG_S) as locks:

        async def work():
            nonlocal got, vain
            for _ in range(10):
                lease = await locks.lock("a").acquire(timeout=rng.random() * 0.05)
                got, vain = got + bool(lease), vain + (not lease)
                if lease:
                    await work_for(0.001)
                    await lease.release()

        await asyncio.gather(*(work() for _ in range(40)))
        assert got > 20
        assert vain > 20
        assert left(server) == []
        assert await locks.lock("a").try_acquire()


async def test_757_free_as_soon_as_it_is_given_back(redis_url):
    """A try right after `release` has returned is granted, by whomever."""
    async with aio.RedisLocks(redis_url) as locks, aio.RedisLocks(redis_url) as others:
        for _ in range(50):
            lease = await locks.lock("a").acquire()
            await lease.release()
            other = await others.lock("a").try_acquire()
            assert other
            await other.release()


async def test_one_lost_notice_does_not_stop_thirty_waiters(redis_url, server):
    """One hand-over whose notice finds no waiter, thirty in the queue: all get it after one poll, not one lease."""
    async with aio.RedisLocks(redis_url, RedisTuning(poll_s=0.2), lease_s=LONG_S) as locks:
        held = await locks.lock("a").acquire()

        async def turn():
            async with locks.lock("a").hold(timeout=20):
                pass

        turns = [asyncio.create_task(turn()) for _ in range(30)]
        await eventually(lambda: server.llen("stockade:{stockade:a}:q") == 30)
        waits = locks.backend._waiters._waiters
        first = next(iter(waits))
        waits.pop(first)  # its notice finds nobody
        started = time.monotonic()
        await held.release()
        await asyncio.gather(*turns)
        assert 0.02 < time.monotonic() - started < 0.2 + 0.8


async def test_a_lease_shorter_than_the_work_is_told_to_everybody(redis_url):
    """Work beyond an unrenewed lease: never two believe to hold, each holder is notified, and its body is cancelled."""
    told, inside, most = 0, set(), 0
    async with aio.RedisLocks(redis_url) as locks:

        async def work(number):
            nonlocal told, most
            try:
                async with locks.lock("a", lease_s=0.1, renew=False).hold(timeout=20) as lease:
                    inside.add(lease)
                    most = max(most, sum(each.alive for each in inside))
                    await work_for_ever()
            except LockLost:
                told += 1

        await asyncio.gather(*(work(number) for number in range(8)))
    assert (told, most) == (8, 1)


async def test_the_lease_of_an_ended_task_is_given_back(redis_url, server):
    """A task that ends without release: its lease is not renewed for ever but given back at the next renewal."""
    async with aio.RedisLocks(redis_url, lease_s=0.6) as locks:

        async def forgetful():
            await locks.lock("a").acquire()

        await asyncio.create_task(forgetful())
        started = time.monotonic()
        lease = await locks.lock("a").acquire(timeout=5)
        assert time.monotonic() - started < 0.6 + 0.3
        await lease.release()
    assert left(server) == []
