"""Signal handlers, `atexit` and the end of the interpreter: locks used there neither wait for ever nor break others.

Each test runs in a process of its own, which is killed when it hangs. Neighbours: `faults/test_interrupt.py` (handlers
that raise), `bounds.py`.
"""

import contextlib
import signal
import subprocess
import sys
import textwrap
import threading
import time
import warnings

import pytest
import redis

from stockade import locks as sync
from stockade.locks import LockReentry
from stockade.locks.compat.redis_py import Lock as DropIn
from stockade.locks.compat.threading import Lock as CompatLock
from stockade.locks.engine.lock_request import LockRequest, Spec
from stockade.locks.memory import MemoryBackend
from stockade.locks.runtime.sync_runtime import SyncRuntime
from tests.locks.bounds import in_child
from tests.threads import Running

STORM = 400  # signals
EVERY_S = 0.0005
CHILD_S = 40.0


def visits(locks, names):
    """A function that takes locks and gives them back; a handler learns what its own thread holds."""

    def visit(count):
        for number in range(count):
            with contextlib.suppress(LockReentry):
                lease = locks.lock(names[number % len(names)], lease_s=20, on_lost="raise").acquire(timeout=0.01)
                if lease is not None:
                    lease.release()

    return visit


def drop_in(url):
    """The same for redis-py's lock."""
    client = redis.Redis.from_url(url)

    def visit(count):
        for _ in range(count):
            lock = client.lock("drop-in", timeout=20, lock_class=DropIn, sleep=0.001)
            if lock.acquire(blocking_timeout=0.01):
                lock.release()

    return visit


def compat(locks):
    """The same for `threading.Lock`'s twin: one lock object, which handler and thread share."""
    lock = CompatLock(locks, "shared")

    def visit(count):
        for _ in range(count):
            if lock.acquire(timeout=0.01):
                lock.release()

    return visit


def storm(visit):
    """The main thread visits, a handler does the same whenever a signal comes: how many signals it has served."""
    served = []

    def handler(signum, frame):
        visit(1)
        served.append(signum)
        if len(served) < STORM:
            signal.setitimer(signal.ITIMER_REAL, EVERY_S)

    signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, EVERY_S)
    other = Running(lambda: [visit(5) for _ in range(100)])
    while len(served) < STORM:
        visit(3)
    other.result(20)
    return len(served)


def in_memory():
    """Locks of the process, the same names for all: and nothing of them stays behind."""
    locks = sync.MemoryLocks()
    served = storm(visits(locks, ("a", "b")))
    return served, locks.backend.names_in_use


def over_redis(url):
    """Locks on a server: nothing is left held, renewed or waited for."""
    locks = sync.RedisLocks(url)
    served = storm(visits(locks, ("a", "b")))
    leases, waits = len(locks.manager.renewer._entries), len(locks.backend._waiters._waiters)
    locks.close()
    return served, leases + waits + len(locks.manager.held.all())


def test_a_storm_on_locks_in_memory():
    """Handlers come at any point of the main thread's own calls: they get through, and nothing stays behind."""
    assert in_child(CHILD_S, in_memory) == repr((STORM, 0))


def test_the_control_with_a_plain_guard_hangs(monkeypatch):
    """A guard that does not let its own thread in again: the handler waits for ever."""
    begin = MemoryBackend._begin

    def plain(self):
        begin(self)
        self._guard = Plain()

    class Plain:
        def __init__(self):
            self.lock = threading.Lock()

        def __enter__(self):
            self.lock.acquire()

        def __exit__(self, *exc):
            self.lock.release()

        def _is_owned(self):
            return False

    monkeypatch.setattr(MemoryBackend, "_begin", plain)
    with pytest.raises(AssertionError, match="a hang"):
        in_child(5.0, in_memory)


def test_a_storm_on_compat_locks():
    """The drop-in for `threading.Lock`, over locks in memory."""
    assert in_child(CHILD_S, lambda: storm(compat(sync.MemoryLocks()))) == repr(STORM)


@pytest.mark.redis
def test_a_storm_on_redis(redis_url):
    """Over a connection that all threads share: handlers get through, no key, lease or waiter stays."""
    assert in_child(CHILD_S, lambda: over_redis(redis_url)) == repr((STORM, 0))
    with redis.Redis.from_url(redis_url) as server:
        assert [key for key in server.scan_iter() if b"{" not in key] == []


@pytest.mark.redis
def test_a_storm_on_the_drop_in(redis_url):
    """redis-py's lock with our scripts."""
    assert in_child(CHILD_S, lambda: storm(drop_in(redis_url))) == repr(STORM)


def handed_over():
    """The main thread is interrupted inside the memory locks' guard; its handler waits for what a thread gives back."""
    locks = sync.MemoryLocks()
    held, entered = threading.Event(), threading.Event()
    said = []

    def holder():
        with locks.lock("other"):
            held.set()
            entered.wait(5)
        said.append("given back")

    thread = Running(holder)
    assert held.wait(5)
    now = locks.runtime.now

    def interrupted():
        locks.runtime.now = now
        entered.set()
        lease = locks.lock("other").acquire(timeout=5)
        said.append("got it" if lease else "not in time")
        lease.release()
        return now()

    locks.runtime.now = interrupted  # `_granted` calls it while it has the guard, as a signal handler would come
    with locks.backend._guard:
        locks.backend._enter(("lock", "mine"), LockRequest(Spec("mine"), locks.runtime.new_id()), 0.0)
    thread.result(5)
    return sorted(said)


def test_a_handler_that_waits_lets_the_others_on():
    """A handler inside the guard waits for a lock that another thread gives back meanwhile, which needs the guard."""
    assert in_child(CHILD_S, handed_over) == repr(["given back", "got it"])


END = """
    import atexit, contextlib, sys, threading, time
    from stockade import locks
    url = sys.argv[1]
    provider = locks.RedisLocks(url, lease_s=3) if url else locks.MemoryLocks()
    held = provider.lock("held", on_lost="ignore").acquire(timeout=5)
    def wait():
        with contextlib.suppress(locks.ProviderClosed):
            provider.lock("held").acquire()
    waiter = threading.Thread(target=wait, daemon=True)
    waiter.start()
    end = time.monotonic() + 10
    while not provider.inspect("held").waiters:
        assert time.monotonic() < end, "it does not wait"
        time.sleep(0.01)
    {what}
"""
WHATS = {
    "nothing": "pass",
    "atexit releases": "atexit.register(held.release)",
    "atexit acquires": 'atexit.register(lambda: provider.lock("late").acquire(timeout=1).release())',
    "atexit closes": "atexit.register(provider.close)",
    "an error": 'atexit.register(held.release); raise SystemExit("given up")',
}


@pytest.mark.redis
@pytest.mark.parametrize("where", ["redis", "memory"])
@pytest.mark.parametrize("what", WHATS)
def test_the_interpreter_ends(request, where, what):
    """With a held lease, a waiter in a daemon thread, and handlers that use locks: the process ends by itself."""
    url = request.getfixturevalue("redis_url") if where == "redis" else ""
    text = textwrap.dedent(END).replace("{what}", WHATS[what])
    started = time.monotonic()
    ended = subprocess.run([sys.executable, "-c", text, url], capture_output=True, text=True, timeout=30, check=False)
    assert time.monotonic() - started < 10
    assert ended.returncode == (1 if what == "an error" else 0)
    assert "Traceback" not in ended.stderr
    if where == "redis" and "releases" in what:
        with redis.Redis.from_url(url) as server:
            assert server.get("stockade:held") is None or not server.get("stockade:held").endswith(b".0")


def test_no_thread_can_be_started_any_more(monkeypatch):
    """An interpreter that starts no thread any more (3.12 in `atexit`): the lock is had, unrenewed, and it is said."""

    def refuse(self):
        raise RuntimeError("can't create new thread at interpreter shutdown")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert SyncRuntime().spawn(_nothing(), "job") is None
        locks = sync.MemoryLocks()
        lease = locks.lock("a", lease_s=5).acquire()
        assert lease.alive
        lease.release()
        locks.close()


async def _nothing():
    return None
