"""The database of a site: a private PostgreSQL or MariaDB, or a SQLite file, and what faults do to it.

A server is kept for many recordings; each gets an empty database on it. Neighbours: `disk.py` is what is below it,
`site_servers.py` starts and keeps it, `site.py` puts a link before it.
"""

import asyncio
import random
import time
from pathlib import Path
from typing import ClassVar

from stockade.devservers import Server, Servers, drop_database, fresh_database
from stockade.devservers.databases import execute
from stockade.devservers.workdir import WorkDir
from stockade.lab.errors import LabError
from stockade.lab.site.disk import Disk, SmallDisk
from stockade.lab.targets.target_database import sqlite_base

CONNECTIONS = 200  # usually
OWN_CONNECTIONS = 20  # of the lab
ANSWER_WAIT_S = 45.0  # recovery after a crash included
CALL_WAIT_S = 5.0
POLL_S = 0.05
_BUSY_SESSIONS = {
    "postgres": (
        "SELECT pid, state = 'idle' FROM pg_stat_activity"
        " WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() AND datname = '{name}' ORDER BY 2, 1"
    ),
    "mariadb": (
        "SELECT id, command = 'Sleep' FROM information_schema.processlist"
        " WHERE id <> connection_id() AND db = '{name}' ORDER BY 2, 1"
    ),
}
_END_SESSION = {"postgres": "SELECT pg_terminate_backend({session})", "mariadb": "KILL CONNECTION {session}"}


class DatabaseServer:
    """A private server.

    Attributes:
        kind: `postgres` or `mariadb`.
        url: of the database of the present recording, past every link.
        disk: what its data is on.

    Args:
        kind: the same.
        durable: it waits for the disk at each commit.
        small_disk: its data is on a file system that can be filled.
        connections: that it accepts.
    """

    is_server: ClassVar[bool] = True

    def __init__(self, kind: str, *, durable: bool, small_disk: bool, connections: int = CONNECTIONS) -> None:
        self.kind, self.url = kind, ""
        self.disk = Disk(SmallDisk() if small_disk else None)
        self._servers = Servers(self.disk.small.path if self.disk.small else None)
        self._durable, self._connections = durable, connections
        self.server: Server

    async def open(self) -> None:
        """Start it.

        Raises:
            ServerUnavailable: its program is not installed.
            ServerFailed: it did not start.
        """
        start = self._servers.postgres if self.kind == "postgres" else self._servers.mariadb
        self.server = await asyncio.to_thread(start, durable=self._durable, max_connections=self._connections)

    async def close(self) -> None:
        """End it; its data is removed."""
        try:
            await self.disk.restore()
        finally:
            await asyncio.to_thread(self._servers.close)
            if self.disk.small is not None:
                await asyncio.to_thread(self.disk.small.unmount)

    async def begin(self) -> None:
        """Create an empty database for a recording."""
        self.url = await fresh_database(self.server.url)

    async def end(self) -> None:
        """Remove the database of the recording."""
        url, self.url = self.url, ""
        if url:
            await drop_database(self.server.url, url)

    def pids(self) -> list[int]:
        """Its processes; none while it is down."""
        return self.server.pids

    async def kill(self) -> None:
        """SIGKILL to all its processes. It stays down until `bring_back`."""
        await self.disk.let_go()
        await asyncio.to_thread(self.server.kill)

    async def stop_at_once(self) -> None:
        """Let it end without waiting for clients. It stays down until `bring_back`.

        PostgreSQL's immediate shutdown ends without a checkpoint and recovers at the next start; MariaDB has none, so
        it rolls open transactions back and ends.
        """
        await self.disk.let_go()
        stop = self.server.end if self.kind == "postgres" else self.server.stop
        await asyncio.to_thread(stop)

    async def kill_session(self, rng: random.Random) -> str:
        """End one session by the server's own command, one that is in use if there is any.

        Returns:
            Which one; empty: there is none, or the server is down.
        """
        name = self.url.rpartition("/")[2]
        if not self.server.running:
            return ""
        rows = await execute(self.url, _BUSY_SESSIONS[self.kind].format(name=name), CALL_WAIT_S)
        if not rows:
            return ""
        busy = [session for session, idle in rows if not idle]
        session = rng.choice(busy or [session for session, _ in rows])
        await execute(self.url, _END_SESSION[self.kind].format(session=int(session)), CALL_WAIT_S)
        return f"session {session}, {'in use' if session in busy else 'idle'}"

    async def restore(self) -> str:
        """Heal everything: the disk, the server itself; a bounded time.

        Returns:
            As of `bring_back`.

        Raises:
            LabError: it did not answer in time, even after another start.
            ServerFailed: it did not start.
        """
        await self.disk.restore()
        return await self.bring_back()

    async def bring_back(self) -> str:
        """Start the server if it is down, and wait until it answers; what faults do to its disk stays.

        Returns:
            What this did beyond that: one that runs and gives no answer is killed; usually empty.

        Raises:
            LabError: it did not answer in time, even after another start.
            ServerFailed: it did not start.
        """
        await self.disk.let_go()
        runs = self.server.running
        goes_on = runs and await self._goes_on()
        was_killed = runs and not goes_on and self.server.running
        if was_killed:
            await asyncio.to_thread(self.server.kill)
        if not goes_on:
            await asyncio.to_thread(self.server.start)
            if not await self._answers(ANSWER_WAIT_S / 2):
                raise LabError(f"{self.kind} started and gave no answer:\n{self.server.log(1_000)}")
        await self.disk.seize()
        return f"{self.kind} ran, gave no answer in {ANSWER_WAIT_S / 2:.0f} s, and was killed" if was_killed else ""

    async def _goes_on(self) -> bool:
        """Whether a server that runs answers, suspended or not."""
        self.server.resume()
        return await self._answers(ANSWER_WAIT_S / 2)

    async def _answers(self, wait_s: float) -> bool:
        """Whether it answers within this time, in seconds; False at once if it ends."""
        deadline_s = time.monotonic() + wait_s
        while self.server.running and time.monotonic() < deadline_s:
            try:
                await execute(self.server.url, "SELECT 1", CALL_WAIT_S)
            except Exception:  # noqa: BLE001 - each driver has its own errors for a server that recovers
                await asyncio.sleep(POLL_S)
            else:
                return True
        return False


class SqliteFile:
    """A SQLite file. The processes of the service write it, so faults of its disk are faults of theirs.

    Args:
        small_disk: it is on a file system that can be filled.
    """

    is_server: ClassVar[bool] = False
    kind: ClassVar[str] = "sqlite"

    def __init__(self, *, small_disk: bool) -> None:
        self.disk = Disk(SmallDisk() if small_disk else None)
        self.url = ""
        self._workdir: WorkDir | None = None

    async def open(self) -> None:
        """Nothing has to be started."""

    async def close(self) -> None:
        """Remove the file and its disk."""
        await self.restore()
        await self.end()
        if self.disk.small is not None:
            await asyncio.to_thread(self.disk.small.unmount)

    async def begin(self) -> None:
        """Choose a new file for a recording."""
        base: Path = self.disk.small.path if self.disk.small else sqlite_base()
        self._workdir = await asyncio.to_thread(WorkDir, base)
        self.url = f"sqlite:///{self._workdir.path / 'lab.db'}"

    async def end(self) -> None:
        """Remove the file of the recording."""
        workdir, self._workdir, self.url = self._workdir, None, ""
        if workdir is not None:
            await asyncio.to_thread(workdir.close)

    def pids(self) -> list[int]:
        """None: it has no server."""
        return []

    async def bring_back(self) -> str:
        """It has no server."""
        return ""

    async def restore(self) -> str:
        """Heal its disk; empty, as of a server.

        Raises:
            LabError: a limit could not be lifted.
        """
        await self.disk.restore()
        return ""
