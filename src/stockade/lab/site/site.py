"""The site of a recording: its database, Redis servers and Kafka, and a link before each one where a fault needs it.

Neighbours: `needs.py` has the names of what a fault needs, `site_servers.py` keeps servers from one recording to the
next, `recording/` opens a site, `faults/` disturb it.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

from stockade.lab.errors import LabError
from stockade.lab.site import needs as names
from stockade.lab.site.database_server import DatabaseServer, SqliteFile
from stockade.lab.site.kafka_broker import KafkaBroker
from stockade.lab.site.link import Link
from stockade.lab.site.redis_server import RedisServer
from stockade.lab.site.site_servers import SiteServers
from stockade.lab.site.tools import no_small_disk

PLACES = ("database", "redis", "kafka")  # where a link can be: between the service and these


@dataclass(frozen=True, slots=True)
class Site:
    """Everything that the processes of a recording talk to.

    Attributes:
        database: the server or the file.
        database_url: for the processes, through the link if there is one.
        redis: independent servers; none if the strategy needs none.
        kafka: the broker; None if the strategy needs none.
        links: by place (`PLACES`), those that there are.
        needs: what it was opened with.
    """

    database: DatabaseServer | SqliteFile
    database_url: str
    redis: tuple[RedisServer, ...]
    kafka: KafkaBroker | None
    links: Mapping[str, tuple[Link, ...]]
    needs: frozenset[str] = frozenset()

    @property
    def admin_url(self) -> str:
        """URL of the database past every link, for the lab's own reads."""
        return self.database.url

    @property
    def redis_urls(self) -> tuple[str, ...]:
        """For the processes, through the links if there are any."""
        return tuple(each.url for each in self.redis)

    @property
    def bootstrap(self) -> str:
        """Bootstrap servers of Kafka for the processes; empty without one."""
        return self.kafka.bootstrap if self.kafka is not None else ""

    @property
    def server(self) -> DatabaseServer:
        """The database as a server.

        Raises:
            LabError: it is a file.
        """
        if isinstance(self.database, SqliteFile):
            raise LabError("SQLite is a file: there is no server to disturb")
        return self.database

    async def restore(self) -> str:
        """Links clean, servers up and answering, disks healthy. Does nothing to a healthy site; a bounded time.

        Returns:
            What this did to a database that no fault had disturbed; usually empty.

        Raises:
            LabError: a server did not answer in time.
            ServerFailed: a server did not start.
        """
        for link in (each for place in self.links.values() for each in place):
            await link.restore()
        brokers = [self.kafka.restore()] if self.kafka is not None else []
        why, *_ = await asyncio.gather(self.database.restore(), *(each.restore() for each in self.redis), *brokers)
        return why or ""


@asynccontextmanager
async def open_site(
    database: str,
    needs: frozenset[str] = frozenset(),
    *,
    redis_servers: int = 0,
    kafka: bool = False,
    connections: int = 0,
    servers: SiteServers | None = None,
) -> AsyncIterator[Site]:
    """Open what a recording needs. When it is left, everything is healed and goes back to `servers`.

    Args:
        database: `sqlite`, `postgres` or `mariadb`.
        needs: of all faults of the recording together, names of `needs.py`.
        redis_servers: how many independent ones the strategy needs.
        kafka: whether the strategy needs a broker.
        connections: to the database, that the processes of the recording open.
        servers: keeps servers for the next recording; None: they end with the site.

    Raises:
        LabError: something could not be started, or this machine lacks a tool; the message says what to install.
        ValueError: a need that does not exist.
    """
    _check(needs)
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        kept = servers if servers is not None else await enter(SiteServers())
        small_disk = names.SMALL_DISK in needs and not no_small_disk()
        opened = await enter(
            kept.database(database, durable=names.FSYNC in needs, small_disk=small_disk, connections=connections)
        )
        linked = names.REPLICA in needs or not needs.isdisjoint({names.LINKS, names.LINK_REDIS})
        redis = [await enter(kept.redis(_persistence(needs), behind_link=linked)) for _ in range(redis_servers)]
        broker = None
        if kafka:
            behind_link = not needs.isdisjoint({names.LINKS, names.LINK_KAFKA})
            broker = await enter(kept.kafka(behind_link=behind_link))
        links: dict[str, tuple[Link, ...]] = {}
        url = opened.url
        if opened.is_server and not needs.isdisjoint({names.LINKS, names.LINK_DATABASE}):
            port = urlsplit(url).port
            assert port is not None
            link = Link(port, f"client->{opened.kind}")
            await enter(link)
            links["database"], url = (link,), url.replace(f":{port}/", f":{link.port}/")
        if found := tuple(each.link for each in redis if each.link is not None):
            links["redis"] = _numbered(found)
        if broker is not None and broker.address is not None:
            links["kafka"] = (broker.address,)
        yield Site(opened, url, tuple(redis), broker, links, needs)


def _numbered(links: tuple[Link, ...]) -> tuple[Link, ...]:
    """The links to several servers of one kind, each with its number in its name."""
    for number, link in enumerate(links if len(links) > 1 else ()):
        link.name = f"client->redis {number}"
    return links


def _check(needs: frozenset[str]) -> None:
    """Refuse needs that do not exist, or that this machine cannot meet.

    Raises:
        LabError: a tool is missing; the message says what to install.
        ValueError: a need that does not exist.
    """
    if unknown := sorted(needs - names.NAMES):
        raise ValueError(f"unknown needs {', '.join(unknown)}; there are: {', '.join(sorted(names.NAMES))}")
    if missing := names.missing_tools(needs):
        raise LabError(missing)


def _persistence(needs: frozenset[str]) -> str:
    """What a restart of Redis keeps; the safest that one of the faults asks for."""
    if names.REDIS_ALWAYS in needs:
        return "always"
    return "everysec" if names.REDIS_EVERYSEC in needs else "off"
