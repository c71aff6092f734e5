"""Ctrl-C in the middle of a blocking call: the sync face's cancellation."""

import random
import threading

import pytest
import redis

from stockade import locks as sync
from stockade.locks import RedisTuning
from tests.locks.harness import Interrupt
from tests.waiting import eventually

pytestmark = [
    pytest.mark.redis,
    pytest.mark.filterwarnings(
        "ignore::pytest.PytestUnraisableExceptionWarning"
    ),  # an interrupt in a finalizer is lost
]


SESSION_INTERRUPTS = 60
INTERRUPTS = 350  # for a lock that is free, and as many for one that is not


def give_back(locks, name):
    """An interrupt just after the grant leaves the lock with the thread, as with `threading.Lock`: it can tell."""
    if locks.lock(name).owned():
        locks.lock(name).release()


@pytest.mark.parametrize("contended", [False, True])
def test_interrupted_acquire_leaves_nothing(redis_url, interrupt_after, contended):
    """Acquisitions interrupted at random moments: the lock is free afterwards, and its queue is empty."""
    rng = random.Random(3)
    interrupted = 0
    with (
        sync.RedisLocks(redis_url, RedisTuning(poll_s=0.2), lease_s=20) as locks,
        sync.RedisLocks(redis_url, lease_s=20) as other,
        redis.Redis.from_url(redis_url) as server,
    ):
        locks.lock("a").acquire().release()
        for _ in range(INTERRUPTS):
            held = other.lock("a").acquire() if contended else None
            try:
                interrupt_after(rng.uniform(0.0001, 0.002))
                while True:
                    locks.lock("a").acquire(timeout=5).release()
            except Interrupt:
                interrupted += 1
            finally:
                interrupt_after(0)
                give_back(locks, "a")
                if held is not None:
                    held.release()
            assert server.llen("stockade:{stockade:a}:q") == 0
        assert interrupted == INTERRUPTS
        final = other.lock("a").acquire(timeout=2)
        final.release()


def test_interrupted_leader_does_not_stop_the_others(redis_url, interrupt_after):
    """Interrupting the thread that sends for all: the others go on, on a new connection."""
    with sync.RedisLocks(redis_url, lease_s=20) as locks:
        stop, done, errors = threading.Event(), [0] * 4, []

        def work(number):
            try:
                while not stop.is_set():
                    with locks.lock(f"k{number}"):
                        done[number] += 1
            except Exception as error:  # noqa: BLE001 - shown below
                errors.append(error)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        rng = random.Random(4)
        for _ in range(40):
            try:
                interrupt_after(rng.uniform(0.0005, 0.004))
                for _ in range(1_000_000):  # until the signal comes, after a few milliseconds
                    with locks.lock("main"):
                        pass
            except Interrupt:
                give_back(locks, "main")
            finally:
                interrupt_after(0)
        before = sum(done)
        lease = locks.lock("last").acquire(timeout=5)
        assert lease
        lease.release()
        stop.set()
        for thread in threads:
            thread.join(10)
        assert not any(thread.is_alive() for thread in threads)
        assert errors == []
        assert before > 40


@pytest.mark.parametrize(
    "kind", [pytest.param("postgres", marks=pytest.mark.postgres), pytest.param("mysql", marks=pytest.mark.mariadb)]
)
def test_interrupted_wait_for_a_session_leaves_nothing(request, interrupt_after, kind):
    """Ctrl-C while a database session is opened, waits, holds or gives back: the lock is free afterwards."""
    url = request.getfixturevalue("postgres_url" if kind == "postgres" else "mariadb_url")
    make = sync.PostgresLocks if kind == "postgres" else sync.MySQLLocks
    rng, interrupted = random.Random(5), 0
    with make(url, prefix=request.node.name) as locks, make(url, prefix=request.node.name) as other:
        for number in range(SESSION_INTERRUPTS):
            held = other.lock("a").acquire(timeout=10) if number % 2 else None
            try:
                interrupt_after(rng.uniform(0.0005, 0.02))
                while True:
                    locks.lock("a").acquire(timeout=10).release()
            except Interrupt:
                interrupted += 1
            finally:
                interrupt_after(0)
                give_back(locks, "a")
                if held is not None:
                    held.release()
        assert interrupted == SESSION_INTERRUPTS
        final = other.lock("a").acquire(timeout=10)
        assert eventually(lambda: other.inspect("a").waiters == ())
        final.release()
