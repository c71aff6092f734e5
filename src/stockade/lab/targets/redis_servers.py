"""The Redis servers of a run: named by the user, by STOCKADE_TEST_REDIS_URL, or private ones that end with the run.

Neighbours: `servers` starts them, `plan` leaves out whom they do not suffice. Faults use private ones of their own.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from stockade.devservers import ServerFailed, Servers, ServerUnavailable, existing_url, redis
from stockade.lab.errors import LabError
from stockade.lab.execution.contender import Entrant
from stockade.locks import LockUnavailable
from stockade.locks.errors import MissingExtra
from stockade.locks.redis.transport.address import load_hiredis
from stockade.locks.redis.transport.multiplexed import MultiplexedTransport

ANSWER_WAIT_S = 5.0
ASK_FOR_IT = "needs redis: name it in --strategies, or a server with --redis"


@dataclass(frozen=True, slots=True)
class RedisServers:
    """What there is.

    Attributes:
        urls: independent servers.
        missing: why there are no more.
    """

    urls: tuple[str, ...] = ()
    missing: str = ASK_FOR_IT

    def urls_for(self, entrant: Entrant) -> tuple[str, ...]:
        """The servers of an entrant: one, or all for a quorum."""
        return self.urls if entrant.redis_servers > 1 else self.urls[:1]

    def why_not(self, entrant: Entrant) -> str:
        """Why these servers do not do for an entrant; empty when they do."""
        if len(self.urls) < entrant.redis_servers:
            return self.missing
        if entrant.redis_servers > 1 and len(self.urls) % 2 == 0:
            return f"needs an odd number of redis servers, not {len(self.urls)}"
        return ""


@asynccontextmanager
async def open_redis(named: str, count: int) -> AsyncIterator[RedisServers]:
    """Have so many servers if they can be had.

    Args:
        named: URLs separated by commas; empty: those of the environment, else private ones.
        count: how many are needed; 0 starts none.

    Raises:
        LabError: a named server cannot be reached, or a private one did not start.
    """
    urls = tuple(url.strip() for url in (named or existing_url("redis") or "").split(",") if url.strip())
    if count == 0:
        yield RedisServers()
    elif urls:
        await _greet(urls)
        yield RedisServers(urls, f"needs {count} independent redis servers, named are {len(urls)}")
    else:
        with Servers() as servers:
            yield await asyncio.to_thread(_start, servers, count)


def private_redis_missing() -> str:
    """Why no private Redis can be started and used here; empty when one can."""
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


async def _greet(urls: tuple[str, ...]) -> None:
    """One PING to each: else every order would wait for a server that is not there."""
    for url in urls:
        try:
            transport = MultiplexedTransport(url)
            try:
                await transport.call("PING", timeout_s=ANSWER_WAIT_S)
            finally:
                await transport.close()
        except (ValueError, LockUnavailable, MissingExtra) as error:
            raise LabError(f"redis: {error}") from error
