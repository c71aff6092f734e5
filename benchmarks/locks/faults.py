"""How long a fault delays the waiters of a fair lock, with the default tuning. The tests hold only upper bounds.

Neighbours: `__main__.py` (runs this), `tests/locks/faults/test_redis_faults.py` (the bounds).
"""

import asyncio
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine
from typing import Any
from unittest.mock import patch

import redis

from benchmarks.locks.contenders import ours
from benchmarks.locks.runs import contended_tasks
from stockade.locks import RedisTuning, aio
from stockade.locks.redis.transport.multiplexed import MultiplexedTransport
from stockade.locks.redis.transport.transport import OnMessage, OnReconnect

PATIENCE_S = 10.0
HOLDER = "print('there')\nlocks.lock('a', lease_s=0.5).acquire()\nprint('held')\nsys.stdin.read()"
WAITER = "print('there')\nlocks.lock('a', lease_s=0.5).acquire()"
POLL_S = RedisTuning().poll_s
ALIVE_S = 3 * POLL_S


def child(url: str, body: str) -> "subprocess.Popen[str]":
    """Another process with `locks` on the same server; it has started."""
    code = f"import sys\nfrom stockade.locks import RedisLocks\nlocks = RedisLocks({url!r})\n{body}"
    process = subprocess.Popen(
        [sys.executable, "-u", "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    said(process)
    return process


def said(process: "subprocess.Popen[str]") -> str:
    """The next line that it prints."""
    return process.stdout.readline() if process.stdout else ""


def end(process: "subprocess.Popen[str]") -> None:
    """Kill it and wait for it."""
    process.kill()
    process.communicate()


async def until(condition: Callable[[], Any]) -> None:
    """Wait until the condition is true; check every millisecond.

    Raises:
        TimeoutError: it never came true.
    """
    async with asyncio.timeout(PATIENCE_S):
        while not condition():  # noqa: ASYNC110 - what is awaited happens in the server
            await asyncio.sleep(0.001)


async def queue_length(server: Any, number: int) -> None:
    """Wait until so many wait for the lock `a`."""
    await until(lambda: server.llen("stockade:{stockade:a}:q") == number)


async def granted_after(waiter: "asyncio.Task[Any]", since: float) -> float:
    """Milliseconds from the monotonic second `since` until the waiter gets the lock, which is then released."""
    lease = await asyncio.wait_for(waiter, PATIENCE_S)
    late_ms = (time.monotonic() - since) * 1000
    await lease.release()
    return late_ms


async def after_killed_holder(url: str, server: Any) -> float:
    """Milliseconds from the end of a killed holder's lease until the waiter gets the lock."""
    async with aio.RedisLocks(url) as locks:
        holder = child(url, HOLDER)
        said(holder)
        waiter = asyncio.create_task(locks.lock("a").acquire())
        await queue_length(server, 1)
        end(holder)
        return await granted_after(waiter, time.monotonic() + max(server.pttl("a"), 0) / 1000)


async def after_lost_notice(url: str, server: Any) -> float:
    """Milliseconds from a release whose message is lost until the waiter gets the lock."""
    listen = MultiplexedTransport.listen

    async def lose(
        self: MultiplexedTransport, channel: str, on_message: OnMessage, on_reconnect: OnReconnect, timeout_s: float
    ) -> None:
        await listen(self, channel, lambda message: None, on_reconnect, timeout_s)

    with patch.object(MultiplexedTransport, "listen", lose):
        async with aio.RedisLocks(url) as locks:
            held = await locks.lock("a").acquire()
            assert held is not None
            waiter = asyncio.create_task(locks.lock("a").acquire())
            await queue_length(server, 1)
            since = time.monotonic()
            await held.release()
            return await granted_after(waiter, since)


async def behind_dead_waiter(url: str, server: Any, fault: signal.Signals) -> float:
    """Milliseconds from a release until the second waiter gets the lock, when the first was killed or stopped."""
    async with aio.RedisLocks(url) as locks:
        held = await locks.lock("a").acquire()
        assert held is not None
        first = child(url, WAITER)
        try:
            await queue_length(server, 1)
            waiter = asyncio.create_task(locks.lock("a").acquire())
            await queue_length(server, 2)
            first.send_signal(fault)
            if fault == signal.SIGSTOP:
                await asyncio.sleep(ALIVE_S + 0.1)  # until its heartbeat has expired
            else:
                await asyncio.to_thread(first.wait, PATIENCE_S)
            since = time.monotonic()
            await held.release()
            return await granted_after(waiter, since)
        finally:
            end(first)


async def storm(url: str, server: Any) -> tuple[float, float]:
    """Commands and time of a fair run whose subscription is killed four times, as multiples of an undisturbed run."""
    quiet = await contended_tasks(ours, url, 30, 20)
    run = asyncio.create_task(contended_tasks(ours, url, 30, 20))
    for _ in range(4):
        await asyncio.sleep(0.15)
        await asyncio.to_thread(server.client_kill_filter, _type="pubsub")
    shaken = await asyncio.wait_for(run, 3 * PATIENCE_S)
    return shaken.commands / quiet.commands, shaken.wall_s / quiet.wall_s


def show_faults(rounds: int, url: str) -> dict[str, list[float]]:
    """Measure and print them: all in milliseconds, but for the last two."""
    with redis.Redis.from_url(url) as server:
        waits: dict[str, Callable[[], Coroutine[Any, Any, float]]] = {
            "after the end of a killed holder's lease": lambda: after_killed_holder(url, server),
            f"after a lost notice (poll {POLL_S:g} s)": lambda: after_lost_notice(url, server),
            "behind a killed waiter": lambda: behind_dead_waiter(url, server, signal.SIGKILL),
            f"behind a waiter stopped for {ALIVE_S:g} s": lambda: behind_dead_waiter(url, server, signal.SIGSTOP),
        }
        print(f"\nFaults, tasks: median of {rounds}")
        samples = {}
        for name, wait in waits.items():
            times_ms = samples[name] = [asyncio.run(wait()) for _ in range(rounds)]
            print(f"{name}: {statistics.median(times_ms):,.0f} ms (most {max(times_ms):,.0f})", flush=True)
        commands, wall = asyncio.run(storm(url, server))
    print(f"notice connection killed 4 times in a fair run: {commands:.2f}x the commands, {wall:.2f}x the time")
    return {**samples, "storm: commands and time, x quiet": [commands, wall]}
