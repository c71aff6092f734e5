"""A private Redis for faults: its address stays the same whatever happens to the server behind it.

It can be down for a while, come back empty, and be replaced by a replica that has not received its last writes.
Neighbours: `devservers/process.py` runs the programs, `devservers/tcp_proxy.py` is address and replication link.
"""

import asyncio
import time
from typing import Any

from stockade.devservers import Server, Servers
from stockade.devservers.tcp_proxy import HOST, TcpProxy
from stockade.lab.errors import LabError
from stockade.locks.redis.transport.multiplexed import MultiplexedTransport

SYNC_WAIT_S = 10.0
CALL_S = 2.0
POLL_S = 0.01


class RedisNode:
    """One Redis and its address. Open it before use.

    Args:
        servers: starts the programs.
    """

    def __init__(self, servers: Servers) -> None:
        self._servers = servers
        self._server: Server
        self._address: TcpProxy
        self._replica: Server | None = None
        self._link: TcpProxy | None = None

    async def open(self) -> None:
        """Start the server and its address."""
        self._server = await asyncio.to_thread(self._servers.redis)
        self._address = TcpProxy(self._server.port)
        await self._address.open()

    async def close(self) -> None:
        """End everything."""
        await self._address.close()
        if self._link is not None:
            await self._link.close()
        for server in (self._server, self._replica):
            if server is not None:
                await asyncio.to_thread(server.end)

    @property
    def url(self) -> str:
        """The URL for clients, whichever server is behind it."""
        return f"redis://{HOST}:{self._address.port}/0"

    async def kill(self) -> None:
        """Kill the server; it loses its data."""
        await asyncio.to_thread(self._server.kill)

    async def restart(self) -> None:
        """Start the killed server again, empty."""
        await asyncio.to_thread(self._server.start)

    async def start_replica(self) -> None:
        """Start a replica and wait until it has all data."""
        self._replica = await asyncio.to_thread(self._servers.redis)
        self._link = TcpProxy(self._server.port)
        await self._link.open()
        await _call(self._replica, "REPLICAOF", HOST, self._link.port)
        await self.wait_for_replica()

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
        await self.kill()
        await _call(replica, "REPLICAOF", "NO", "ONE")
        self._address.retarget(replica.port)
        await link.close()
        self._server, self._replica, self._link = replica, None, None

    async def wait_for_replica(self) -> None:
        """Wait until the replica has received everything that the server has written.

        Raises:
            LabError: not within `SYNC_WAIT_S` seconds.
        """
        assert self._replica is not None
        deadline = time.monotonic() + SYNC_WAIT_S
        while time.monotonic() < deadline:
            written = (await _call(self._server, "ROLE"))[1]
            _, _, _, state, read = await _call(self._replica, "ROLE")
            if (state, read) == (b"connected", written):
                return
            await asyncio.sleep(POLL_S)
        raise LabError(f"the replica was not in step within {SYNC_WAIT_S:.0f} s")


async def _call(server: Server, *parts: str | int) -> Any:
    transport = MultiplexedTransport(server.url)
    try:
        return await transport.call(*parts, timeout_s=CALL_S)
    finally:
        await transport.close()
