"""The Redis servers of a run: named by an option or by STOCKADE_TEST_REDIS_URL, or private ones that end with the run.

Neighbours: `devservers/` starts them, `runs/plan.py` leaves out contenders that need more. Runs with faults have
their own (`redis_node.py`).
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from stockade.devservers import ServerFailed, Servers, ServerUnavailable, existing_url, redis
from stockade.lab.errors import LabError
from stockade.lab.model.contender import Contender
from stockade.locks import LockUnavailable
from stockade.locks.errors import MissingExtra
from stockade.locks.redis.transport.address import load_hiredis
from stockade.locks.redis.transport.multiplexed import MultiplexedTransport

ANSWER_WAIT_S = 5.0
NOT_REQUESTED = "needs redis: name it in --strategies, or a server with --redis"


@dataclass(frozen=True, slots=True)
class RedisServers:
    """The Redis servers of a run.

    Attributes:
        urls: independent servers.
        missing: why there are no more.
    """

    urls: tuple[str, ...] = ()
    missing: str = NOT_REQUESTED

    def urls_for(self, contender: Contender) -> tuple[str, ...]:
        """The servers that a contender uses: one, or all for a quorum."""
        return self.urls if contender.redis_servers > 1 else self.urls[:1]

    def why_not(self, contender: Contender) -> str:
        """Why a contender cannot run on these servers; empty if it can."""
        if len(self.urls) < contender.redis_servers:
            return self.missing
        if contender.redis_servers > 1 and len(self.urls) % 2 == 0:
            return f"needs an odd number of redis servers, not {len(self.urls)}"
        return ""


@asynccontextmanager
async def open_redis(named: str, count: int) -> AsyncIterator[RedisServers]:
    """Find or start so many servers, if possible.

    Args:
        named: URLs separated by commas; empty: those of the environment, otherwise private ones.
        count: how many are needed; 0 starts none.

    Raises:
        LabError: a named server cannot be reached, or a private one did not start.
    """
    urls = tuple(url.strip() for url in (named or existing_url("redis") or "").split(",") if url.strip())
    if count == 0:
        yield RedisServers()
    elif urls:
        await _check_reachable(urls)
        yield RedisServers(urls, f"needs {count} independent redis servers, named are {len(urls)}")
    else:
        with Servers() as servers:
            yield await asyncio.to_thread(_start, servers, count)


def private_redis_missing() -> str:
    """Why no private Redis can be started and used here; empty if one can."""
    try:
        load_hiredis()
        redis.find()
    except (ServerUnavailable, MissingExtra) as error:
        return str(error)
    return ""


def _start(servers: Servers, count: int) -> RedisServers:
    if missing := private_redis_missing():
        return RedisServers(missing=f"needs redis: {missing}")
    try:
        return RedisServers(tuple(servers.redis().url for _ in range(count)))
    except ServerFailed as error:
        raise LabError(str(error)) from error


async def _check_reachable(urls: tuple[str, ...]) -> None:
    """Send one PING to each: otherwise every order would wait for a server that does not exist."""
    for url in urls:
        try:
            transport = MultiplexedTransport(url)
            try:
                await transport.call("PING", timeout_s=ANSWER_WAIT_S)
            finally:
                await transport.close()
        except (ValueError, LockUnavailable, MissingExtra) as error:
            raise LabError(f"redis: {error}") from error
