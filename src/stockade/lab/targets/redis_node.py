"""A private Redis as faults need it: behind an address that stays, whatever becomes of the server.

It can be gone for a while, come back empty, and be followed by a replica that misses its last writes and then takes
its place. Neighbours: `servers` runs the programs, `proxy` is the address and the link, `faults/` say what happens.
"""

import asyncio
import time
from typing import Any

from stockade.devservers import Server, Servers
from stockade.devservers.tcp_proxy import HOST, Proxy
from stockade.lab.errors import LabError
from stockade.locks.redis.transport.multiplexed import MultiplexedTransport

SYNC_WAIT_S = 10.0
CALL_S = 2.0
LOOK_AGAIN_S = 0.01


class RedisNode:
    """One Redis and its address. Open it before use.

    Args:
        servers: where its servers are started.
    """

    def __init__(self, servers: Servers) -> None:
        self._servers = servers
        self._server: Server
        self._front: Proxy
        self._replica: Server | None = None
        self._link: Proxy | None = None

    async def open(self) -> None:
        """Start the server and its address."""
        self._server = await asyncio.to_thread(self._servers.redis)
        self._front = Proxy(self._server.port)
        await self._front.open()

    async def close(self) -> None:
        """End everything."""
        await self._front.close()
        if self._link is not None:
            await self._link.close()
        for server in (self._server, self._replica):
            if server is not None:
                await asyncio.to_thread(server.end)

    @property
    def url(self) -> str:
        """How clients name it, whichever server is behind."""
        return f"redis://{HOST}:{self._front.port}/0"

    async def go_down(self) -> None:
        """It is killed; it keeps nothing."""
        await asyncio.to_thread(self._server.kill)

    async def come_back(self) -> None:
        """Started again where it was, empty."""
        await asyncio.to_thread(self._server.start)

    async def follow(self) -> None:
        """Start a replica and wait until it has everything."""
        self._replica = await asyncio.to_thread(self._servers.redis)
        self._link = Proxy(self._server.port)
        await self._link.open()
        await _call(self._replica, "REPLICAOF", HOST, self._link.port)
        await self._in_step()

    async def cut(self) -> None:
        """From now on the replica gets nothing, and neither side knows."""
        assert self._link is not None
        await self._in_step()
        self._link.swallow()

    async def fail_over(self) -> None:
        """The server dies, the replica is promoted and takes over the address."""
        replica, link = self._replica, self._link
        assert replica is not None
        assert link is not None
        await self.go_down()
        await _call(replica, "REPLICAOF", "NO", "ONE")
        self._front.point(replica.port)
        await link.close()
        self._server, self._replica, self._link = replica, None, None

    async def _in_step(self) -> None:
        """Until the replica has all that the server has written.

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
            await asyncio.sleep(LOOK_AGAIN_S)
        raise LabError(f"the replica was not in step within {SYNC_WAIT_S:.0f} s")


async def _call(server: Server, *parts: str | int) -> Any:
    transport = MultiplexedTransport(server.url)
    try:
        return await transport.call(*parts, timeout_s=CALL_S)
    finally:
        await transport.close()
