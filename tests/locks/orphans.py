"""Cancel locks at random, many at once, and look for what stayed behind: on the server and in the process.

Neighbours: `faults/test_cancellation.py` (the points of each face), `faults/test_interrupt.py` (Ctrl-C in a thread).
"""

import asyncio
import inspect
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import asyncmy
import asyncpg
import redis
import redis.asyncio

from stockade.locks import aio
from tests.locks.harness import eventually, work_for

LONG_S = 30.0  # no lease may run out while we look
ROUNDS = 400  # no arm needs more
CLEAN_UP_S = 8.0  # PostgreSQL looks each second whether a waiting client is still there


@dataclass
class Arm:
    """One provider that is cancelled, and who looks at its server.

    Attributes:
        locks: the provider.
        on_server: what the server still has: keys, waiters, connections beyond those allowed.
        at_once: tasks in flight together.
        span_s: each is cancelled within so many seconds.
        hold_s: how long a visit holds at most.
        shared: whether it has read/write locks and semaphores, which are visited too.
    """

    locks: Any
    on_server: Callable[[], Awaitable[list[str]]]
    at_once: int = 200
    span_s: float = 0.03
    hold_s: float = 0.0005
    shared: bool = False

    def lock(self, number: int, rng: random.Random) -> Any:
        """A lock of its own for half of the numbers, for the others one of a few that all want."""
        if number % 2:
            return self.locks.lock(f"own{number}")
        name = f"hot{rng.randrange(3)}"
        if not self.shared:
            return self.locks.lock(name)
        rw = self.locks.rwlock(name)
        return rng.choice([self.locks.lock(name), self.locks.semaphore(name, 2), rw.read, rw.write])

    async def left_behind(self) -> list[str]:
        """Everything that should have gone."""
        return [*self.here(), *await self.on_server()]

    def here(self) -> list[str]:
        """What this process still remembers of locks without a holder."""
        manager, backend = self.locks.manager, self.locks.backend
        found = [f"held: {key}" for key in manager.held._held]
        found += [f"renewed: {owner}" for owner in manager.renewer._entries]
        found += [f"unfinished: {task}" for task in getattr(self.locks.runtime, "_unfinished", ())]
        if (waiters := getattr(backend, "_waiters", None)) is not None:
            found += [f"waits: {owner}" for owner in (*waiters._waiters, *waiters._queues)]
        if (sessions := getattr(backend, "_locks", None)) is not None:
            found += [f"held by a session: {owner}" for owner in sessions.holds]
            found += [f"wanted of a session: {name}" for name in sessions.queues]
        if (names := getattr(backend, "names_in_use", 0)) != 0:
            found.append(f"{names} names in use")
        return found


async def visit(lock: Any, hold_s: float) -> None:
    """Take the lock and give it back; this may be cancelled anywhere."""
    async with lock:
        await work_for(hold_s)


async def chunk(arm: Arm, rng: random.Random) -> int:
    """Many visits at once; how many were cancelled."""
    loop = asyncio.get_running_loop()
    tasks = []
    for number in range(arm.at_once):
        tasks.append(asyncio.create_task(visit(arm.lock(number, rng), rng.random() * arm.hold_s)))
        loop.call_later(rng.random() * arm.span_s, tasks[-1].cancel)
    ends = await asyncio.gather(*tasks, return_exceptions=True)
    for end in ends:
        if isinstance(end, Exception):
            raise end
    await arm.locks.runtime.drain(5)
    return sum(isinstance(end, asyncio.CancelledError) for end in ends)


async def cancel_at_random(arm: Arm, points: int, seed: int = 1) -> int:
    """At least `points` cancelled visits, with a look for orphans after each chunk.

    Raises:
        AssertionError: something stayed behind.
    """
    rng, cancelled = random.Random(seed), 0
    for _ in range(ROUNDS):
        cancelled += await chunk(arm, rng)
        await nothing_left(arm)
        if cancelled >= points:
            return cancelled
    raise AssertionError(f"only {cancelled} of {points} visits were cancelled")


async def nothing_left(arm: Arm) -> None:
    """What is ended by the server in its own time is waited for, a little; then nothing may be there."""
    found = await arm.left_behind()
    if found:
        try:
            await eventually(lambda: _gone(arm), CLEAN_UP_S)
        except AssertionError:
            raise AssertionError(f"left behind: {(await arm.left_behind())[:5]}") from None


async def _gone(arm: Arm) -> bool:
    return not await arm.left_behind()


async def nothing() -> list[str]:
    """A provider without a server."""
    return []


def redis_rows(onlookers):
    """A look at Redis servers: keys of owners and lines, and connections beyond one for calls and one for notices."""

    async def look() -> list[str]:
        found = []
        for onlooker in onlookers:
            keys = [key async for key in onlooker.scan_iter(count=1000)]
            found += [f"key: {key}" for key in keys if not key.endswith(":f") and ":a:" not in key]
            clients = [row for row in await onlooker.client_list() if row["name"].startswith("stockade")]
            found += [f"connection: {row['id']}" for row in clients[2:]]
        return found

    return look


def postgres_rows(onlooker):
    """A look at a PostgreSQL database of the test's own: advisory locks, and sessions beyond the provider's eight."""

    async def look() -> list[str]:
        here = "SELECT oid FROM pg_database WHERE datname = current_database()"
        locks = f"SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND database = ({here})"
        sessions = "SELECT count(*) - 9 FROM pg_stat_activity WHERE datname = current_database()"
        return ["a lock"] * await onlooker.fetchval(locks) + ["a session"] * await onlooker.fetchval(sessions)

    return look


def mariadb_rows(onlooker, locks):
    """The same at MariaDB, where only a lock's name tells whether it is held."""

    async def held(name: str) -> bool:
        answer = locks.lock(name).locked()
        return await answer if inspect.isawaitable(answer) else answer

    async def look() -> list[str]:
        async with onlooker.cursor() as cursor:
            await cursor.execute("SELECT count(*) - 9 FROM information_schema.processlist WHERE db = DATABASE()")
            sessions = (await cursor.fetchone())[0]
        if sessions > 0:
            return ["a session"] * sessions
        return [f"lock {name}" for name in ("hot0", "hot1", "hot2", "own1", "own3", "k0", "k1") if await held(name)]

    return look


async def redis_arm(kind, urls, stack, face):
    """The Redis providers; of each server they may keep two connections and no key but counters and signs of life."""
    url = urls[0]
    onlookers = [redis.asyncio.Redis.from_url(each, decode_responses=True) for each in urls]
    for each in onlookers:
        await stack.enter_async_context(each)
    client = redis.asyncio.Redis.from_url(url) if face is aio else redis.Redis.from_url(url)
    if face is aio:
        stack.push_async_callback(client.aclose)
    else:
        stack.callback(client.close)
    make = {
        "redis": lambda: face.RedisLocks(url, lease_s=LONG_S),
        "redisspin": lambda: face.RedisLocks(url, fair=False, lease_s=LONG_S),
        "redisclient": lambda: face.RedisLocks(client, lease_s=LONG_S),
        "rediscluster": lambda: face.RedisLocks(urls, lease_s=LONG_S, cluster=True),
        "quorum": lambda: face.QuorumLocks(urls, lease_s=LONG_S),
    }[kind]
    at_once = {"redis": 250, "redisspin": 150}.get(kind, 60)
    return Arm(make(), redis_rows(onlookers), at_once, shared=kind != "quorum")


async def make_arm(kind, urls, stack, face=aio):
    """A provider of that face (a module) and who looks at its server; what it opens is closed with `stack`."""
    if kind == "memory":
        return Arm(face.MemoryLocks(), nothing, shared=True)
    if kind == "postgres":
        onlooker = await asyncpg.connect(urls[0])
        stack.push_async_callback(onlooker.close)
        plain = f"{urls[0]}?sslmode=disable"  # cancelled while it negotiates TLS, asyncpg grumbles in the log
        return Arm(face.PostgresLocks(plain, lease_s=LONG_S), postgres_rows(onlooker), at_once=24, span_s=0.08)
    if kind == "mysql":
        parts = urlsplit(urls[0])
        where = {"host": parts.hostname, "port": parts.port, "user": parts.username, "password": parts.password or ""}
        onlooker = await asyncmy.connect(**where, db=parts.path[1:], autocommit=True)
        stack.push_async_callback(onlooker.ensure_closed)
        locks = face.MySQLLocks(urls[0], prefix=parts.path, lease_s=LONG_S)
        return Arm(locks, mariadb_rows(onlooker, locks), at_once=24, span_s=0.08)
    return await redis_arm(kind, urls, stack, face)
