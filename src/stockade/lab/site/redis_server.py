"""A Redis of a site: what faults of recordings do to it, beyond what `RedisNode` can.

Neighbours: `targets/redis_node.py` runs it, `disk.py` is what its append-only file is on.
"""

import asyncio
import time
from typing import Any

from stockade.devservers import Servers
from stockade.devservers.tcp_proxy import TcpProxy
from stockade.lab.errors import LabError
from stockade.lab.site.disk import Disk
from stockade.lab.site.link import Link
from stockade.lab.targets.redis_node import RedisNode, call
from stockade.locks import LockUnavailable
from stockade.locks.redis.transport.transport import ServerError

ANSWER_WAIT_S = 15.0
POLL_S = 0.02
SCAN_COUNT = 1_000
MAX_KEYS = 1_000_000


class RedisServer(RedisNode):
    """One Redis.

    Args:
        servers: starts its programs; it owns them.
        persistence: what a restart keeps, one of `PERSISTENCE`.
        behind_link: clients reach it through a link.
    """

    def __init__(self, servers: Servers, *, persistence: str, behind_link: bool) -> None:
        super().__init__(servers, persistence=persistence, behind_link=behind_link)
        self.disk = Disk()
        self.link: Link | None = None

    def _make_address(self, port: int) -> TcpProxy:
        self.link = Link(port, "client->redis")
        return self.link

    def pids(self) -> list[int]:
        """Its processes; none while it is down."""
        return self.server.pids

    async def call(self, *parts: str | int) -> Any:
        """Send one command past every link; its answer."""
        return await call(self.server, *parts)

    async def flush(self) -> int:
        """Delete everything; how many keys there were."""
        keys = int(await self.call("DBSIZE"))
        await self.call("FLUSHALL", "SYNC")
        return keys

    async def expire_all(self) -> int:
        """Let every key that expires do so within a millisecond, as if the server's clock had jumped ahead.

        Returns:
            How many keys.

        Raises:
            LabError: there are more than a million keys.
        """
        cursor, expired = b"0", 0
        for _ in range(MAX_KEYS // SCAN_COUNT):
            cursor, keys = await self.call("SCAN", cursor.decode(), "COUNT", SCAN_COUNT)
            for key in keys:
                # XX: only keys that expire. A key without expiry is not touched by any clock.
                expired += await self.call("PEXPIRE", key, 1, "XX")
            if cursor == b"0":
                return expired
        raise LabError(f"more than {MAX_KEYS} keys in Redis")

    async def kill(self) -> None:
        """SIGKILL. It stays down until `bring_back`."""
        await self.disk.let_go()
        await super().kill()

    async def restore(self) -> None:
        """Heal everything: disk and link, the server itself; a bounded time.

        Raises:
            LabError: it gave no answer in time.
            ServerFailed: it did not start.
        """
        await self.disk.restore()
        if self.link is not None:
            await self.link.restore()
        await self.bring_back()

    async def bring_back(self) -> None:
        """End a replica that has not taken over, start it if it is down; what its disk and its link have stays.

        Raises:
            LabError: it gave no answer in time.
            ServerFailed: it did not start.
        """
        await self.end_replica()
        await self.disk.let_go()
        if self.server.running:
            self.server.resume()
        else:
            await self.restart()
        await self._until_it_writes()
        await self.disk.seize()

    async def _until_it_writes(self) -> None:
        deadline_s = time.monotonic() + ANSWER_WAIT_S
        while time.monotonic() < deadline_s:
            if await self._writes():
                return
            await asyncio.sleep(POLL_S)
        raise LabError(f"Redis did not take a write within {ANSWER_WAIT_S:.0f} s:\n{self.server.log(500)}")

    async def _writes(self) -> bool:
        """Whether it takes writes: after a full disk it refuses them (MISCONF) until a flush of its file succeeded."""
        try:
            answer = await self.call("SET", "stockade-lab-probe", 1, "PX", 1)
        except (LockUnavailable, ServerError):
            return False
        return bool(answer == b"OK")
