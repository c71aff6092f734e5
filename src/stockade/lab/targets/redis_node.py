"""A private Redis for faults: its address stays the same whatever happens to the server behind it.

It can be down for a while, come back empty, and be replaced by a replica that has not received its last writes.
Neighbours: `devservers/process.py` runs the programs, `devservers/tcp_proxy.py` is address and replication link,
`site/redis_server.py` adds what faults of recordings do.
"""

import asyncio
import time
from collections.abc import Mapping
from typing import Any

from stockade.devservers import Server, Servers
from stockade.devservers.tcp_proxy import HOST, TcpProxy
from stockade.lab.errors import LabError
from stockade.locks.redis.transport.multiplexed import MultiplexedTransport

SYNC_WAIT_S = 10.0
CALL_S = 2.0
POLL_S = 0.01
PERSISTENCE: Mapping[str, Mapping[str, Any]] = {  # settings of an append-only file, by its flush policy
    "off": {},
    "everysec": {"durable": True, "appendfsync": "everysec"},
    "always": {"durable": True, "appendfsync": "always"},
}


class RedisNode:
    """One Redis and its address. Open it before use.

    Args:
        servers: starts the programs.
        persistence: what a restart keeps, one of `PERSISTENCE`.
        behind_link: clients reach it through a proxy, which can be disturbed and can lead to a replica.
    """

    def __init__(self, servers: Servers, *, persistence: str = "off", behind_link: bool = True) -> None:
        self._servers = servers
        self._settings = PERSISTENCE[persistence]
        self._behind_link = behind_link
        self.address: TcpProxy | None = None
        self.server: Server
        self._replica: Server | None = None
        self._link: TcpProxy | None = None

    async def open(self) -> None:
        """Start the server and its address."""
        self.server = await self._start()
        if self._behind_link:
            self.address = self._make_address(self.server.port)
            await self.address.open()

    async def close(self) -> None:
        """End everything, also what was begun when it did not open."""
        if self.address is not None:
            await self.address.close()
        await self.end_replica()
        if hasattr(self, "server"):
            await asyncio.to_thread(self.server.end)

    @property
    def url(self) -> str:
        """The URL for clients, whichever server is behind it."""
        return f"redis://{HOST}:{self.address.port}/0" if self.address is not None else self.server.url

    async def kill(self) -> None:
        """Kill the server; it loses what it has not persisted."""
        await asyncio.to_thread(self.server.kill)

    async def restart(self) -> None:
        """Start the killed server again, with what it has persisted."""
        await asyncio.to_thread(self.server.start)

    async def start_replica(self) -> None:
        """Start a replica and wait until it has all data."""
        self._replica = await self._start()
        self._link = TcpProxy(self.server.port)
        await self._link.open()
        await call(self._replica, "REPLICAOF", HOST, self._link.port)
        await self.wait_for_replica()

    async def end_replica(self) -> None:
        """End the replica, if there is one."""
        replica, link, self._replica, self._link = self._replica, self._link, None, None
        if link is not None:
            await link.close()
        if replica is not None:
            await asyncio.to_thread(replica.end)

    async def cut_replication(self) -> None:
        """From now on the replica receives nothing; neither side notices."""
        assert self._link is not None
        await self.wait_for_replica()
        self._link.swallow()

    async def fail_over(self) -> None:
        """Kill the server, promote the replica, and let the address lead to it."""
        replica, link = self._replica, self._link
        assert replica is not None
        assert link is not None
        assert self.address is not None
        await self.kill()
        await call(replica, "REPLICAOF", "NO", "ONE")
        self.address.retarget(replica.port)
        await link.close()
        self.server, self._replica, self._link = replica, None, None

    async def wait_for_replica(self) -> None:
        """Wait until the replica has received everything that the server has written.

        Raises:
            LabError: not within `SYNC_WAIT_S` seconds.
        """
        assert self._replica is not None
        deadline = time.monotonic() + SYNC_WAIT_S
        while time.monotonic() < deadline:
            written = (await call(self.server, "ROLE"))[1]
            _, _, _, state, read = await call(self._replica, "ROLE")
            if (state, read) == (b"connected", written):
                return
            await asyncio.sleep(POLL_S)
        raise LabError(f"the replica was not in step within {SYNC_WAIT_S:.0f} s")

    def _make_address(self, port: int) -> TcpProxy:
        return TcpProxy(port)

    async def _start(self) -> Server:
        return await asyncio.to_thread(self._servers.redis, **self._settings)


async def call(server: Server, *parts: str | int) -> Any:
    """Send one command to a server over a connection of its own; its answer."""
    transport = MultiplexedTransport(server.url)
    try:
        return await transport.call(*parts, timeout_s=CALL_S)
    finally:
        await transport.close()
