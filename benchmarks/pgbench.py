"""pgbench with one UPDATE of the hot row: the fastest change of one row that PostgreSQL can do.

It is one statement, one row and one commit, without request row, order or ledger. Our store does ten times the work for
an order and is compared with it nevertheless.
"""

import asyncio
import re
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import ClassVar

from benchmarks import processor
from benchmarks.harness import Pace, Sample
from benchmarks.target import HOT, BenchmarkDatabase

SCRIPT = f"UPDATE skus SET on_hand = on_hand - 1 WHERE id = '{HOT}';\n"
CLIENTS = 32


def find_pgbench() -> str | None:
    """Path of pgbench, or None."""
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/pgbench"))
    return shutil.which("pgbench") or (str(debian[-1]) if debian else None)


@dataclass(frozen=True, slots=True)
class PgBench:
    """pgbench with the one-statement script, prepared."""

    NAME: ClassVar[str] = "pgbench hot update"

    program: str
    name: str = NAME
    clients: int = CLIENTS

    @asynccontextmanager
    async def open(self, target: BenchmarkDatabase) -> AsyncIterator["PgBench"]:
        """Nothing to connect: each run is a process of its own."""
        yield self

    async def run(self, target: BenchmarkDatabase, pace: Pace) -> Sample:
        """One run; the updates that pgbench counts must be the units that left the stock."""
        before = await target.reset()
        with NamedTemporaryFile("w", suffix=".sql") as script:
            script.write(SCRIPT)
            script.flush()
            await self._measure(target, script.name, pace.warm_s)
            counted = await target.sums()
            began_s = processor.family_s(target.server.pid)
            done, tps, average_ms = await self._measure(target, script.name, pace.measured_s)
            used_s = processor.family_s(target.server.pid) - began_s
        after = await target.sums()
        if counted.available - after.available != done or after._replace(available=before.available) != before:
            raise AssertionError(f"pgbench counts {done} updates, {counted.available - after.available} units left")
        nan = float("nan")
        return Sample(self.name, self.clients, 0, tps, average_ms, nan, done, nan, used_s / max(1, done) * 1e6)

    async def _measure(self, target: BenchmarkDatabase, script: str, seconds: float) -> tuple[int, float, float]:
        """Transactions done, transactions a second without connecting, average latency in ms."""
        whole_s = max(1, round(seconds))
        options = ["-n", "-M", "prepared", "-f", script, "-T", str(whole_s), "-c", str(self.clients), "-j", "1"]
        process = await asyncio.create_subprocess_exec(
            self.program, *options, target.url, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        out, error = (text.decode() for text in await process.communicate())
        if process.returncode:
            raise RuntimeError(f"pgbench: {error}")
        return (
            int(_figure(r"transactions actually processed: (\d+)", out)),
            _figure(r"tps = ([\d.]+)", out),
            _figure(r"latency average = ([\d.]+) ms", out),
        )


def _figure(pattern: str, text: str) -> float:
    found = re.search(pattern, text)
    if found is None:
        raise RuntimeError(f"pgbench printed nothing like {pattern!r}:\n{text}")
    return float(found[1])
