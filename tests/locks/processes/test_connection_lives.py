"""What a process does to its connections: signal handlers, forks, several event loops, users with few rights."""

import asyncio
import contextlib
import inspect
import os
import signal
import subprocess
import sys
import threading

import pytest
import redis
import redis.asyncio

from stockade import locks as sync
from stockade.locks import LockUnavailable, RedisTuning, aio
from stockade.locks.redis.transport.multiplexed import MultiplexedTransport
from stockade.locks.redis.transport.redis_py.asyncio_client import AsyncClientTransport
from stockade.locks.redis.transport.redis_py.blocking_client import ClientTransport
from stockade.locks.redis.transport.threaded import ThreadedTransport
from stockade.locks.runtime.sync_runtime import run
from tests.locks.bounds import in_child
from tests.threads import Running
from tests.waiting import eventually, eventually_async

pytestmark = pytest.mark.redis
ASK = ("EVAL", "return 1", 1, "a")
THREADS = {
    "url": ThreadedTransport,
    "client": lambda url: ClientTransport(redis.Redis.from_url(url)),
    "pool": lambda url: ClientTransport(redis.Redis(connection_pool=redis.BlockingConnectionPool.from_url(url))),
}
TASKS = {
    "url": MultiplexedTransport,
    "client": lambda url: AsyncClientTransport(redis.asyncio.Redis.from_url(url)),
}


def ask(transport, timeout_s=3.0):
    """One call of a thread."""
    return run(transport.call(*ASK, timeout_s=timeout_s))


@contextlib.contextmanager
def paused(server, resume_s):
    """The server answers nothing before `resume_s` seconds are over."""
    os.kill(server.pid, signal.SIGSTOP)
    alarm = threading.Timer(resume_s, os.kill, (server.pid, signal.SIGCONT))
    alarm.start()
    try:
        yield
    finally:
        alarm.join(resume_s + 10)


def call_in_handler(make, url, server):
    """A signal comes while the main thread is inside a call; its handler calls as well. The replies of both."""
    transport, heard = make(url), []
    ask(transport)

    def ring(*_):
        try:
            heard.append(ask(transport, 1.5))
        except LockUnavailable:
            heard.append("in vain")

    signal.signal(signal.SIGALRM, ring)
    with paused(server, 0.3):
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        heard.append(ask(transport))
    return heard


@pytest.mark.parametrize("face", THREADS)
def test_a_signal_handler_may_call(redis_server, face):
    """A handler whose thread is inside a call does not wait for that call, and gets an answer of its own."""
    server = redis_server()
    assert in_child(8.0, lambda: call_in_handler(THREADS[face], server.url, server)) == "[1, 1]"


def test_a_handler_that_stands_in_line_behind_itself(redis_server, monkeypatch):
    """The control: without a record of the threads inside, the handler waits for its own thread, in vain."""

    class Nobody(set):
        def __contains__(self, thread):
            return False

    def make(url):
        transport = ThreadedTransport(url)
        transport._inside = Nobody()
        return transport

    server = redis_server()
    assert in_child(8.0, lambda: call_in_handler(make, server.url, server)) == "['in vain', 1]"


ENDING = """
import atexit, threading, time, redis
from stockade.locks import RedisLocks
locks = RedisLocks(%s)
held = locks.lock("a").acquire(timeout=5)
waiter = threading.Thread(target=lambda: locks.lock("a").acquire(timeout=30), daemon=True)
waiter.start()
end = time.monotonic() + 10
while not locks.inspect("a").waiters:
    assert time.monotonic() < end, "it does not wait"
def end():
    held.release()
    print("released")
atexit.register(end)
"""


@pytest.mark.parametrize("where", ["{url!r}", "redis.Redis.from_url({url!r})"])
def test_the_interpreter_ends(redis_url, where):
    """With a waiter asleep, a notice thread at work and a release at exit a process ends quietly and at once."""
    script = ENDING % where.format(url=redis_url)
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=20, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "released\n", "")


@pytest.mark.parametrize("used", ["made", "used", "in a call", "guarded"])
@pytest.mark.parametrize("face", THREADS)
def test_a_fork_in_the_midst_of_things(redis_server, face, used):
    """In the child of a fork a transport works, whatever a thread of the parent was about; the parent's goes on."""
    server = redis_server()
    transport, answers, stop = THREADS[face](server.url), [], threading.Event()
    if used != "made":
        ask(transport)
    if used == "used":
        run(transport.listen("c", lambda message: None, lambda: None, 3.0))
    guard = transport._guard if face == "url" else transport._client.connection_pool._lock

    def hold():
        with guard:
            answers.append("held")
            stop.wait(10)

    def parent():
        answers.append(ask(transport, 10.0))

    work = {"in a call": parent, "guarded": hold}.get(used)
    thread = threading.Thread(target=work, daemon=True) if work else None
    if used == "in a call":
        server.pause()
    if thread:
        thread.start()
        eventually(lambda: answers if used == "guarded" else transport._inside)

    def child():
        os.kill(server.pid, signal.SIGCONT)
        run(transport.listen("c", lambda message: None, lambda: None, 3.0))
        return ask(transport)

    assert in_child(8.0, child) == "1"
    server.resume()
    stop.set()
    if thread:
        thread.join(10)
        assert answers == [1 if used == "in a call" else "held"]
    assert ask(transport) == 1
    run(transport.close())


@pytest.mark.parametrize("face", TASKS)
async def test_a_fork_beside_a_loop(redis_url, face):
    """The child has a loop and connections of its own; the parent's connection and loop go on untouched."""
    transport = TASKS[face](redis_url)
    await transport.listen("c", lambda message: None, lambda: None, 3.0)
    assert await transport.call(*ASK, timeout_s=3.0) == 1

    async def use():
        await transport.listen("c", lambda message: None, lambda: None, 3.0)
        return await transport.call(*ASK, timeout_s=3.0)

    before = getattr(transport, "_connection", None)
    assert in_child(8.0, lambda: in_new_loop(use)) == "1"
    assert await transport.call(*ASK, timeout_s=3.0) == 1
    assert getattr(transport, "_connection", None) is before
    await transport.close()


@pytest.mark.parametrize(
    "make", [*THREADS.values(), *TASKS.values()], ids=[*THREADS, *(f"aio-{name}" for name in TASKS)]
)
async def test_a_subscription_that_is_cut_is_made_again(redis_url, make):
    """Each transport reports the interruption once, and receives what is published afterwards."""
    transport, messages, gaps = make(redis_url), [], []
    await transport.listen("c", messages.append, lambda: gaps.append(len(messages)), 3.0)
    with redis.Redis.from_url(redis_url) as admin:
        admin.publish("c", "before")
        await eventually_async(lambda: asyncio.sleep(0, messages))
        for client in admin.client_list(_type="pubsub"):
            admin.client_kill(client["addr"])
        await eventually_async(lambda: asyncio.sleep(0, gaps))
        admin.publish("c", "after")
        await eventually_async(lambda: asyncio.sleep(0, messages[1:]))
    await transport.close()
    assert (messages, gaps) == ([b"before", b"after"], [1])


@pytest.mark.parametrize("make", THREADS.values(), ids=THREADS)
def test_a_subscription_without_its_thread_leaves_no_connection(redis_url, make, monkeypatch):
    """At the end of the interpreter no thread starts: an error says so, and the connection is closed."""

    def refuse(self):
        raise RuntimeError("can't start new thread")

    transport = make(redis_url)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        with pytest.raises(LockUnavailable, match="no notices: can't start new thread"):
            run(transport.listen("c", lambda message: None, lambda: None, 3.0))
    with redis.Redis.from_url(redis_url) as admin:
        eventually(lambda: not admin.client_list(_type="pubsub"))
    run(transport.listen("c", lambda message: None, lambda: None, 3.0))  # the next try may succeed
    run(transport.close())


def in_new_loop(work):
    """Run it in a loop of a thread of its own: of this one the parent's is still running, as the child sees it."""
    return Running(lambda: asyncio.run(work())).result()


@pytest.mark.parametrize("face", TASKS)
async def test_a_second_loop(redis_url, face):
    """A transport that another loop has used, which waits for nothing, works here, and there again."""
    transport = TASKS[face](redis_url)

    async def use():
        await transport.listen("c", lambda message: None, lambda: None, 3.0)
        return await transport.call(*ASK, timeout_s=3.0)

    async def use_and_leave(home):
        answer = await use()
        transport._move_to(home)  # as the next call there does; here so that nothing outlives this loop
        for _ in range(5):
            await asyncio.sleep(0)
        return answer

    assert await use() == 1
    home = asyncio.get_running_loop()
    assert await asyncio.to_thread(lambda: asyncio.run(use_and_leave(home))) == 1
    assert await use() == 1
    await transport.close()


FACES = {
    "url-threads": sync.RedisLocks,
    "url-aio": aio.RedisLocks,
    "client-threads": lambda url, *more: sync.RedisLocks(redis.Redis.from_url(url), *more),
    "client-aio": lambda url, *more: aio.RedisLocks(redis.asyncio.Redis.from_url(url), *more),
}


async def done(result):
    """The value of a call of either face."""
    return await result if inspect.isawaitable(result) else result


RIGHTS = {
    "no CONFIG, no CLIENT": ("~*", "&*", "+@all", "-config", "-client"),
    "a prefix": ("~shop:*", "&shop:*", "+@all"),
    "no channels": ("~*", "resetchannels", "+@all"),
}


@pytest.mark.parametrize("rights", RIGHTS)
@pytest.mark.parametrize("face", FACES)
async def test_users_with_few_rights(redis_url, face, rights):
    """Locks of every kind are taken, listed and given back by a user whose rights end at a prefix or lack commands."""
    with redis.Redis.from_url(redis_url) as admin:
        admin.execute_command("ACL", "SETUSER", "few", "reset", "on", ">pw", *RIGHTS[rights])
        url = redis_url.replace("redis://", "redis://few:pw@")
        locks = FACES[face](url, RedisTuning(prefix="shop:"))
        for lock in (locks.lock("a", metadata="m"), locks.rwlock("a").write, locks.semaphore("a", 2)):
            lease = await done(lock.acquire(timeout=3))
            assert await done(lock.try_acquire() if lock.spec.kind == "semaphore" else lease.check() or lease)
            await done(lease.release())
        held = await done(locks.lock("a").acquire(timeout=3))
        assert (await done(locks.scan())).found[0] == ("lock", "a")
        assert all(key.startswith(b"shop:") for key in admin.scan_iter())
        await done(held.release())
        await done(locks.close())
        admin.execute_command("ACL", "DELUSER", "few")


async def test_without_the_prefix_the_rights_do_not_reach(redis_url):
    """The control: the same user is refused where the names do not begin with the prefix."""
    with redis.Redis.from_url(redis_url) as admin:
        admin.execute_command("ACL", "SETUSER", "few", "reset", "on", ">pw", *RIGHTS["a prefix"])
        async with aio.RedisLocks(redis_url.replace("redis://", "redis://few:pw@")) as locks:
            with pytest.raises(sync.LockError, match="NOPERM"):
                await locks.lock("shop").try_acquire()
        admin.execute_command("ACL", "DELUSER", "few")
