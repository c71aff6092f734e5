"""The Kafka of a site: one private broker, behind a link where a fault needs one."""

import asyncio

from stockade.devservers import KafkaCluster, Server, Servers
from stockade.devservers.tcp_proxy import HOST
from stockade.lab.site.link import Link


class KafkaBroker:
    """One broker.

    Args:
        behind_link: clients reach it through a link, whose address the broker advertises.
    """

    def __init__(self, *, behind_link: bool) -> None:
        self.address: Link | None = None
        self._behind_link = behind_link
        self._servers = Servers()
        self._cluster: KafkaCluster

    async def open(self) -> None:
        """Start it.

        Raises:
            ServerUnavailable: Java, Maven or the jars are missing.
            ServerFailed: it did not start.
        """
        if not self._behind_link:
            self._cluster = await asyncio.to_thread(self._servers.kafka)
            return
        self.address = Link(0, "client->kafka")
        await self.address.open()
        advertised = f"PLAINTEXT://{HOST}:{self.address.port}"
        self._cluster = await asyncio.to_thread(self._servers.kafka, advertised_listeners=advertised)
        self.address.target = self.server.port

    async def close(self) -> None:
        """End it; its data is removed."""
        if self.address is not None:
            await self.address.close()
        await asyncio.to_thread(self._servers.close)

    @property
    def server(self) -> Server:
        """The broker's process."""
        return self._cluster.brokers[0]

    @property
    def bootstrap(self) -> str:
        """Bootstrap servers for clients."""
        return f"{HOST}:{self.address.port}" if self.address is not None else self._cluster.url

    async def kill(self) -> None:
        """SIGKILL. It stays down until `bring_back`."""
        await asyncio.to_thread(self.server.kill)

    async def restore(self) -> None:
        """Heal everything: the link, the broker itself; a bounded time.

        Raises:
            ServerFailed: it did not start.
        """
        if self.address is not None:
            await self.address.restore()
        await self.bring_back()

    async def bring_back(self) -> None:
        """Start the broker if it is down; its link stays as it is.

        Raises:
            ServerFailed: it did not start.
        """
        if self.server.running:
            self.server.resume()
        else:
            await asyncio.to_thread(self.server.start)
