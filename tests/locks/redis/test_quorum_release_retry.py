"""Servers of a quorum that are silent for a while: what they still hold of us is taken back when they speak again.

SIGSTOP is the silence: connections stay open, and what was sent is carried out afterwards. Each test has its control,
in which nothing is owed. Neighbours: `simulator/test_simulated_quorum.py` (the same in the simulator),
`engine/test_release_unanswered.py`.
"""

import asyncio
import contextlib
import random
import threading
import time
from collections import Counter

import pytest
import redis
from redis.asyncio import Redis

from stockade import locks as sync
from stockade.devservers import Servers
from stockade.locks import LockUnavailable, RedisTuning, aio
from stockade.locks.engine.release_retry import ReleaseRetry
from stockade.locks.redis.transport.threaded import ThreadedTransport
from stockade.locks.runtime.sync_runtime import run
from tests.locks.harness import Interrupt, TaskActor, ThreadActor, eventually
from tests.locks.orphans import LONG_S, Arm, chunk, redis_rows
from tests.waiting import eventually as eventually_sync

pytestmark = pytest.mark.redis
TUNING = RedisTuning(call_s=0.2, spin_s=0.005)
FACES = pytest.mark.parametrize("face", ["aio", "sync"])
OWES = pytest.mark.parametrize("owes", [True, False], indirect=True)


@pytest.fixture(scope="module")
def trio():
    """Three servers for all tests of this file."""
    with Servers() as servers:
        yield [servers.redis() for _ in range(3)]


@pytest.fixture
def three(trio):
    """The three, running and empty; resumed whatever happens."""
    for server in trio:
        with redis.Redis.from_url(server.url) as client:
            client.flushall()
    yield trio
    for server in trio:
        server.resume()


@pytest.fixture
def owes(request, monkeypatch):
    """False: the control, in which no release is repeated."""
    if not request.param:
        monkeypatch.setattr(ReleaseRetry, "retry", lambda self, ask, silent, until: None)
    return request.param


def keys(servers):
    """For each server the keys that hold a lock."""
    found = []
    for server in servers:
        with redis.Redis.from_url(server.url, decode_responses=True) as client:
            found.append({key.removeprefix("stockade:") for key in client.scan_iter() if "{" not in key})
    return found


def jobs():
    """Background jobs of either face that are under way."""
    names = [thread.name for thread in threading.enumerate()]
    with contextlib.suppress(RuntimeError):  # no loop: the sync face alone
        names += [task.get_name() for task in asyncio.all_tasks()]
    return [name for name in names if name == "stockade-lock-release-retry"]


@contextlib.contextmanager
def paused(servers):
    """Silence."""
    for server in servers:
        server.pause()
    try:
        yield
    finally:
        for server in servers:
            server.resume()


@pytest.fixture
async def user(face, three):
    """A provider of that face, connected, and an actor for it."""
    actor = TaskActor() if face == "aio" else ThreadActor()
    locks = (aio if face == "aio" else sync).QuorumLocks([server.url for server in three], TUNING, lease_s=LONG_S)
    await actor((await actor(locks.lock("warm").acquire)).release)
    yield locks, actor
    await actor(locks.close)
    await actor.close()


async def check(owes, three, left):
    """With repeated releases nothing stays; without, exactly `left` does, once the servers have run all their calls."""
    if owes:
        await eventually(lambda: keys(three) == [set(), set(), set()])
        await eventually(lambda: not jobs())
    else:
        await eventually(lambda: keys(three) == left)


@FACES
@OWES
async def test_silent_during_acquire(owes, three, user):
    """Two of three do not answer an acquire, nor its withdrawal: LockUnavailable, and no key once they speak."""
    locks, alice = user
    with paused(three[:2]):
        with pytest.raises(LockUnavailable):  # after a whole `call_s`, so that connections have to be made anew
            await alice(locks.lock("a").acquire, timeout=2 * TUNING.call_s)
        await locks.runtime.drain(5)
    await check(owes, three, [{"a"}, {"a"}, set()])


@FACES
@OWES
async def test_silent_during_release(owes, three, user):
    """Two of three do not answer releases, one of them not even sent: LockUnavailable, and no key once they speak."""
    locks, alice = user
    leases = [await alice(locks.lock(name, on_lost="raise").acquire) for name in ("a", "b")]
    with paused(three[:2]):
        for lease in leases:
            with pytest.raises(LockUnavailable):
                await alice(lease.release)
    await check(owes, three, [{"b"}, {"b"}, set()])
    if owes:  # what was carried out in the meantime is no loss
        for lease in leases:
            await alice(lease.release)
            assert not lease.lost_reason


@FACES
@OWES
async def test_silent_minority_during_release(owes, three, user):
    """One of three does not answer: the release is a success, and the key goes from the third as well."""
    locks, alice = user
    leases = [await alice(locks.lock(name).acquire) for name in ("a", "b")]
    with paused(three[:1]):
        for lease in leases:
            await alice(lease.release)
    await check(owes, three, [{"b"}, set(), set()])


@pytest.mark.parametrize("face", ["aio"])
@OWES
async def test_cancelled_while_silent(owes, three, user):
    """Cancelled while two are silent: one who asks, one who gives back, one whose connections are gone."""
    locks, _ = user

    async def hold(name, entered):
        async with locks.lock(name):
            entered.set()
            await asyncio.Event().wait()

    entered = [asyncio.Event() for _ in range(2)]
    tasks = [asyncio.create_task(hold(name, event)) for name, event in zip("ab", entered, strict=True)]
    for event in entered:
        await event.wait()
    with paused(three[:2]):
        with pytest.raises(LockUnavailable):  # from here on connections have to be made anew
            await locks.lock("c").try_acquire()
        tasks.append(asyncio.create_task(locks.lock("d").acquire()))
        await asyncio.sleep(0)
        for task in tasks:
            task.cancel()
        await asyncio.sleep(0)
        tasks[0].cancel()  # in its release
        await asyncio.wait(tasks)
        await locks.runtime.drain(5)
    assert all(task.cancelled() for task in tasks)
    await check(owes, three, [{"a", "b", "c"}, {"a", "b", "c"}, set()])


@OWES
@pytest.mark.parametrize("during", ["acquire", "release"])
def test_interrupted_while_silent(owes, three, interrupt_after, during):
    """Ctrl-C in a thread that waits for silent servers: Ctrl-C comes out, within one round, and no key stays."""
    with sync.QuorumLocks([server.url for server in three], TUNING, lease_s=LONG_S) as locks:
        held = locks.lock("a").acquire()
        with paused(three[:2]):
            if during == "release":
                with pytest.raises(LockUnavailable):  # from here on connections have to be made anew
                    locks.lock("b").try_acquire()
            started = time.monotonic()
            interrupt_after(0.05)
            with pytest.raises(Interrupt):
                held.release() if during == "release" else locks.lock("c").acquire()
            assert time.monotonic() - started < 0.05 + 2 * 2 * TUNING.call_s + 0.3
            interrupt_after(0)
        if during == "acquire":
            held.release()
        left = [{"c"}, set(), set()] if during == "acquire" else [{"a", "b"}, {"a", "b"}, set()]
        eventually_sync(lambda: keys(three) == ([set(), set(), set()] if owes else left))
        eventually_sync(lambda: not jobs())


def cut_and_pause(servers):
    """Silence, in which new connections are needed: what is sent on an open one is carried out in the end."""
    for server in servers:
        with redis.Redis.from_url(server.url) as client:
            for row in client.client_list():
                if row["name"].startswith("stockade"):  # not those of who looks on
                    client.client_kill_filter(_id=row["id"])
        server.pause()


@OWES
async def test_cancelled_at_random_while_silent(owes, three):
    """Tasks cancelled anywhere while two servers stop for longer than a call may take, at moments drawn by chance."""
    rng = random.Random(11)
    async with contextlib.AsyncExitStack() as stack:
        urls = [server.url for server in three]
        onlookers = [await stack.enter_async_context(Redis.from_url(url, decode_responses=True)) for url in urls]
        locks = await stack.enter_async_context(aio.QuorumLocks(urls, TUNING, lease_s=LONG_S))
        arm = Arm(locks, redis_rows(onlookers), at_once=60, span_s=0.8, hold_s=0.3)
        left = False
        for _ in range(4 if owes else 20):  # the control: until it has left something
            loop = asyncio.get_running_loop()
            two, silent_s = rng.sample(three, 2), rng.uniform(0.5, 0.7)
            stops = loop.call_later(rng.uniform(0.02, 0.2), lambda two=two: cut_and_pause(two))
            resumed = loop.create_future()
            loop.call_at(stops.when() + silent_s, resumed.set_result, None)
            with contextlib.suppress(LockUnavailable):
                await chunk(arm, rng)
            await resumed
            for server in two:
                server.resume()
            if owes:
                await eventually(lambda: _none(arm), 10)
            else:
                left = left or any(keys(three))
            if left:
                break
        assert left is not owes


async def _none(arm):
    return not await arm.left_behind()


def calls_of(locks, calls):
    """How many calls this thread makes to take a lock and give it back."""
    calls.clear()
    with locks.lock("k"):
        pass
    return calls[threading.current_thread()]


@pytest.mark.parametrize("how", ["killed", "stopped"])
def test_a_dead_minority_costs_what_it_did(redis_server, monkeypatch, how):
    """With one of three dead, a caller makes as many calls as without repeats (the control); the job ends with
    the leases."""
    calls, real = Counter(), ThreadedTransport.call

    async def counted(self, *parts, timeout_s):
        calls[threading.current_thread()] += 1
        return await real(self, *parts, timeout_s=timeout_s)

    monkeypatch.setattr(ThreadedTransport, "call", counted)
    three = [redis_server() for _ in range(3)]
    urls, tuning = [server.url for server in three], RedisTuning(call_s=0.1)
    with sync.QuorumLocks(urls, tuning, lease_s=3.0) as ours, sync.QuorumLocks(urls, tuning, lease_s=3.0) as plain:
        plain.backend._release_retry.retry = lambda ask, silent, until: None
        calls_of(ours, calls)
        calls_of(plain, calls)
        three[0].kill() if how == "killed" else three[0].pause()
        for _ in range(3):
            assert calls_of(ours, calls) == calls_of(plain, calls)
        assert jobs() == ["stockade-lock-release-retry"]
        eventually_sync(lambda: not jobs())
        started = time.monotonic()
    assert time.monotonic() - started < 0.5
    three[0].resume() if how == "stopped" else None


@FACES
async def test_close_pays_what_it_can(three, user):
    """Closed as soon as the servers speak again: no release is pending when `close` returns."""
    locks, alice = user
    with paused(three[:2]):
        with pytest.raises(LockUnavailable):
            await alice(locks.lock("a").acquire, timeout=0)
        await locks.runtime.drain(5)
        assert jobs()
    await alice(locks.close)
    assert keys(three) == [set(), set(), set()]
    assert not jobs()


@FACES
async def test_close_does_not_wait_for_the_silent(three, user):
    """Closed while two are silent: after two rounds at most."""
    locks, alice = user
    with paused(three[:2]):
        with pytest.raises(LockUnavailable):
            await alice(locks.lock("a").acquire, timeout=0)
        started = time.monotonic()
        await alice(locks.close)
        assert time.monotonic() - started < 2 * 2 * 2 * TUNING.call_s + 0.5
        assert not jobs()


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        ([1, 1, 1], True),
        ([1, 1, None], True),
        ([0, 1, 1], True),
        ([1, 0, 0], False),
        ([0, 0, None], False),
        ([0, 1, None], None),
        ([1, None, None], None),
        ([None, None, None], None),
    ],
)
def test_what_a_release_says(quorum_urls, monkeypatch, answers, said):
    """True by a majority of ones, False when there can be none, otherwise LockUnavailable."""

    async def answered(works):
        for work in works:
            work.close()
        return [LockUnavailable("no answer") if answer is None else answer for answer in answers]

    with sync.QuorumLocks(quorum_urls, TUNING, lease_s=LONG_S) as locks:
        lease = locks.lock("a").acquire()
        owed = []
        monkeypatch.setattr(locks.backend._release_retry, "retry", lambda ask, silent, until: owed.extend(silent))
        monkeypatch.setattr(locks.backend, "_together", answered)
        if said is None:
            with pytest.raises(LockUnavailable):
                run(locks.backend.release(lease.request))
        else:
            assert run(locks.backend.release(lease.request)) is said
        assert len(owed) == answers.count(None)
        monkeypatch.undo()
        lease.release()
