"""`stockade serve` as a process: started, loaded by wrk, measured, ended.

Neighbour: `http_orders.py` lets several of these take turns.
"""

import asyncio
import json
import os
import secrets
import shutil
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks import processor
from benchmarks.harness import Pace, Sample
from benchmarks.target import HOT, BenchmarkDatabase, user_id
from stockade.devservers.process import HOST, free_port
from stockade.shop.tokens import TokenIssuer

SCRIPT = Path(__file__).with_name("orders.lua")
ROUTE = "/v1/orders"
BUYERS = 10_000  # each with a token of its own; the service remembers more
READY_S = 30.0
STOP_S = 20.0
POLL_S = 0.01
MOST_AGE_MS = 3_600_000  # the keys of wrk count the milliseconds of a second by themselves
QUIET = {"log_level": "error", "wait_s": "60", "max_in_flight": "100000"}


def find_wrk() -> str | None:
    """Path of wrk, or None."""
    return shutil.which("wrk")


@dataclass(frozen=True, slots=True)
class Served:
    """An arm: one strategy behind HTTP, one worker process.

    Attributes:
        name: of the arm.
        strategy: of every resource.
        target: its server and data.
        clients: connections of wrk, each with one request at a time.
        pool: connections to the database.
    """

    name: str
    strategy: str
    target: BenchmarkDatabase
    clients: int
    pool: int

    @asynccontextmanager
    async def open(self, _target: BenchmarkDatabase) -> AsyncIterator["Running"]:
        """Start it and wait until /readyz says 200; end it in order."""
        secret = secrets.token_hex(16)
        with TemporaryDirectory(prefix="stockade-bench-") as folder:
            tokens = Path(folder) / "tokens"
            tokens.write_text(_tokens(secret.encode(), min(BUYERS, self.target.users)))
            port, began_s = free_port(), time.monotonic()
            process = await asyncio.create_subprocess_exec(*self._command(port), env=_environment(secret, folder))
            try:
                await _ready(port, process)
                yield Running(self, port, process.pid, time.monotonic() - began_s, tokens)
            finally:
                await _end(process)

    def _command(self, port: int) -> Sequence[str]:
        settings = {**QUIET, "pool_size": str(self.pool)}
        options = ["--database", self.target.url, "--strategy", self.strategy, "--host", HOST, "--port", str(port)]
        for name, value in settings.items():
            options += ["--set", f"{name}={value}"]
        return [sys.executable, "-m", "stockade", "serve", *options]


@dataclass(frozen=True, slots=True)
class Running:
    """A service that is ready."""

    arm: Served
    port: int
    pid: int
    ready_s: float
    tokens: Path

    async def run(self, _target: BenchmarkDatabase, pace: Pace) -> Sample:
        """Warm up, measure with wrk, audit the tables.

        Raises:
            AssertionError: a response was not 201, or the tables do not agree with the responses. A request that wrk
                aborted at its end may have placed its order or not.
        """
        target, clients = self.arm.target, self.arm.clients
        before = await target.reset()
        warm = await self._wrk(pace.warm_s)
        began_s, server_s = processor.family_s(self.pid), processor.family_s(target.server.pid)
        counted = await self._wrk(pace.measured_s)
        used_s, server_used_s = processor.family_s(self.pid) - began_s, processor.family_s(target.server.pid) - server_s
        await self._idle(clients)
        if counted["refused"] or counted["broken"]:
            raise AssertionError(f"{self.arm.name}: {counted}")
        answered = int(counted["answered"])
        placed = await target.audit(before)
        if not 0 <= placed - answered - int(warm["answered"]) <= 2 * clients:
            raise AssertionError(f"{self.arm.name}: {warm} and {counted}, but {placed} orders")
        age_ms = abs(time.time_ns() // 1_000_000 - await target.newest_ms())
        if age_ms > MOST_AGE_MS:
            raise AssertionError(f"{self.arm.name}: wrk's keys carry no time: the newest id is {age_ms} ms from now")
        return Sample(
            self.arm.name,
            clients,
            0,
            answered / counted["seconds"],
            counted["p50_ms"],
            counted["p99_ms"],
            answered,
            used_s / answered * 1e6,
            server_used_s / answered * 1e6,
            {"ready_s": self.ready_s, "resident_mb": processor.resident_mb(self.pid)},
        )

    async def _wrk(self, seconds: float) -> dict[str, float]:
        """Run wrk for whole seconds; returns what its script prints."""
        program = find_wrk()
        assert program is not None
        load = ["-t1", f"-c{self.arm.clients}", f"-d{max(1, round(seconds))}s", "--timeout", "60s", "-s", str(SCRIPT)]
        run = [f"http://{HOST}:{self.port}{ROUTE}", "--", str(self.tokens), secrets.token_hex(8), HOT]
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(program, *load, *run, stdout=pipe, stderr=pipe)
        out, error = await process.communicate()
        if process.returncode:
            raise RuntimeError(f"wrk: {error.decode()}")
        counted: dict[str, float] = json.loads(out.decode().splitlines()[-1])
        return counted

    async def _idle(self, clients: int) -> None:
        """Wait until the requests that wrk aborted have ended and no more orders are placed."""
        placed, deadline_s = -1, time.monotonic() + STOP_S
        while (now := (await self.arm.target.sums()).orders) != placed:
            if time.monotonic() > deadline_s:
                raise AssertionError(f"{self.arm.name} still places orders {STOP_S} s after {clients} clients left")
            placed = now
            await asyncio.sleep(0.3)


def _tokens(secret: bytes, count: int) -> str:
    issuer = TokenIssuer(secret)
    return "".join(f"{issuer.issue(user_id(number), valid_s=86_400)}\n" for number in range(count))


def _environment(secret: str, folder: str) -> dict[str, str]:
    """The environment of a service: byte code is kept, settings come from the command line only."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("STOCKADE_") and k != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, "STOCKADE_TOKEN_SECRET": secret, "STOCKADE_STATE_DIR": folder}


async def _ready(port: int, process: asyncio.subprocess.Process) -> None:
    deadline_s = time.monotonic() + READY_S
    while await _status(port) != HTTPStatus.OK:
        if process.returncode is not None or time.monotonic() > deadline_s:
            raise RuntimeError(f"stockade serve was not ready within {READY_S} s")
        await asyncio.sleep(POLL_S)


async def _status(port: int) -> int:
    """The status of /readyz; 0 while the port is closed."""
    try:
        reader, writer = await asyncio.open_connection(HOST, port)
    except OSError:
        return 0
    try:
        writer.write(b"GET /readyz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        words = (await reader.readline()).split()
        return int(words[1]) if len(words) > 1 else 0
    finally:
        writer.close()


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.terminate()
        try:
            async with asyncio.timeout(STOP_S):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
