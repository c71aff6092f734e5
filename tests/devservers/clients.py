"""The smallest client of each kind of server: write a mark, count the marks. One connection each time unless kept."""

import asyncio
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import asyncmy
import asyncpg
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

CREATE = "CREATE TABLE IF NOT EXISTS marks (id INT)"


@asynccontextmanager
async def connected(server):
    """A connection that offers `await put()` and `await count()`."""
    opened = {"postgres": _postgres, "mariadb": _mariadb, "redis": _redis}[server.kind]
    async with opened(server) as client:
        yield client


async def answers(server):
    """Whether a new connection is served within a second."""
    try:
        async with asyncio.timeout(1), connected(server) as client:
            await client.count()
    except (OSError, TimeoutError, asyncmy.errors.OperationalError, RedisError):
        return False
    return True


class _Sql:
    def __init__(self, execute, number):
        self._execute, self._number = execute, number

    async def put(self):
        await self._execute("INSERT INTO marks VALUES (1)")

    async def count(self):
        return await self._number("SELECT count(*) FROM marks")


@asynccontextmanager
async def _postgres(server):
    connection = await asyncpg.connect(server.url)
    try:
        await connection.execute(CREATE)
        yield _Sql(connection.execute, connection.fetchval)
    finally:
        connection.terminate()


@asynccontextmanager
async def _mariadb(server):
    parts = urlsplit(server.url)
    connection = await asyncmy.connect(
        host=parts.hostname, port=parts.port, user=parts.username, db="stockade", autocommit=True
    )

    async def execute(statement):
        async with connection.cursor() as cursor:
            await cursor.execute(statement)
            return await cursor.fetchone()

    async def number(statement):
        return (await execute(statement))[0]

    try:
        async with connection.cursor() as cursor:
            await cursor.execute("SET sql_notes = 0")
        await execute(CREATE)
        yield _Sql(execute, number)
    finally:
        connection.close()


class _Marks:
    def __init__(self, redis):
        self._redis = redis

    async def put(self):
        await self._redis.rpush("marks", 1)

    async def count(self):
        return await self._redis.llen("marks")


@asynccontextmanager
async def _redis(server):
    async with Redis.from_url(server.url, retry=Retry(NoBackoff(), 0)) as redis:
        yield _Marks(redis)
