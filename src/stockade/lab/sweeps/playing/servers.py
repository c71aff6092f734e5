"""Everything that a sweep talks to, opened once for all its points: database, link, Redis servers, broker.

Private servers are those of a burst: durable, as in production. Their process ids are known, so that the processor time
that they take can be measured; servers that the user names have none here. Neighbours: `turn.py` uses it,
`lab/targets/` opens what is named.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

from stockade.devservers import Server, ServerFailed, Servers, ServerUnavailable, existing_url
from stockade.devservers.kafka import KafkaCluster
from stockade.devservers.tcp_proxy import TcpProxy
from stockade.lab.errors import LabError
from stockade.lab.sweeps.plan import SweepPlan
from stockade.lab.targets.kafka_servers import open_kafka
from stockade.lab.targets.redis_servers import open_redis
from stockade.lab.targets.target_database import PRIVATE, TargetDatabase, open_private_database, open_target_database
from stockade.locks.redis.transport.multiplexed import MultiplexedTransport
from stockade.service import find_application

Started = Server | KafkaCluster
DATABASE, REDIS, KAFKA = PLACES = ("database", "redis", "kafka")


@dataclass(frozen=True, slots=True)
class SweepServers:
    """What is open.

    Attributes:
        target: the database, by the lab's own connections past every link.
        link: before a private server of a database; None: there is none.
        redis_urls: of independent servers.
        redis: connections of the lab's own to them, which count their commands.
        bootstrap: of Kafka; empty without.
        private: by place the servers that were started here.
    """

    target: TargetDatabase
    link: TcpProxy | None
    redis_urls: tuple[str, ...]
    redis: tuple[MultiplexedTransport, ...]
    bootstrap: str
    private: dict[str, list[Started]]

    def url(self, *, linked: bool) -> str:
        """Of the database, for the processes.

        Args:
            linked: through the link.

        Raises:
            LabError: there is no link.
        """
        if not linked:
            return self.target.url
        if self.link is None:
            raise LabError("latency to the database needs a private server: --database postgres or mariadb")
        return self.target.url.replace(f":{urlsplit(self.target.url).port}/", f":{self.link.port}/")

    def pids(self, place: str) -> list[int]:
        """Of the private servers at a place of `PLACES`; none where the server is the user's, or a file."""
        found = list[int]()
        for server in self.private.get(place, []):
            for each in server.brokers if isinstance(server, KafkaCluster) else (server,):
                found += each.pids
        return found


@asynccontextmanager
async def open_servers(plan: SweepPlan) -> AsyncIterator[SweepServers]:
    """Open what the points of a plan need; what was started here ends with it.

    Raises:
        LabError: something cannot be opened; the message says why.
    """
    application = find_application(plan.app)
    async with AsyncExitStack() as stack:
        private = dict[str, list[Started]]()
        group = stack.enter_context(Servers())
        link = None
        if plan.database in PRIVATE:
            start = group.postgres if plan.database == "postgres" else group.mariadb
            server = await _started(lambda: start(durable=True, max_connections=plan.connections))
            private[DATABASE] = [server]
            target = await stack.enter_async_context(open_private_database(server.url, application))
            if any(point.setting.has_link for point in plan.points):
                link = await stack.enter_async_context(TcpProxy(urlsplit(server.url).port or 0))
        else:
            opening = open_target_database(plan.database, plan.connections, application)
            target = await stack.enter_async_context(opening)
        urls = await _redis(plan, group, private, stack)
        counters = tuple(MultiplexedTransport(url) for url in urls)
        for counter in counters:
            stack.push_async_callback(counter.close)
        bootstrap = await _kafka(plan, group, private, stack)
        yield SweepServers(target, link, urls, counters, bootstrap, private)


async def _redis(
    plan: SweepPlan, group: Servers, private: dict[str, list[Started]], stack: AsyncExitStack
) -> tuple[str, ...]:
    count = plan.redis_servers
    if not count:
        return ()
    if plan.redis or existing_url(REDIS):
        named = await stack.enter_async_context(open_redis(plan.redis, count))
        if len(named.urls) < count:
            raise LabError(named.missing)
        return named.urls
    private[REDIS] = [await _started(group.redis) for _ in range(count)]
    return tuple(each.url for each in private[REDIS])


async def _kafka(plan: SweepPlan, group: Servers, private: dict[str, list[Started]], stack: AsyncExitStack) -> str:
    if not plan.needs_kafka:
        return ""
    if plan.kafka or existing_url(KAFKA):
        named = await stack.enter_async_context(open_kafka(plan.kafka, wanted=True))
        if not named.bootstrap:
            raise LabError(named.missing)
        return named.bootstrap
    private[KAFKA] = [await _started(group.kafka)]
    return private[KAFKA][0].url


async def _started(start: Callable[[], Started]) -> Started:
    try:
        return await asyncio.to_thread(start)
    except (ServerUnavailable, ServerFailed) as error:
        raise LabError(str(error)) from error
