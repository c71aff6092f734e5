"""The audit of a large shop: time of each step and of all, memory of the server, and orders/s beside the audit.

    python -m benchmarks.audit                              100,000 and 1,000,000 orders: about half an hour
    python -m benchmarks.audit --orders 100000 --kinds postgres
    python -m benchmarks.audit --beside                     orders/s beside an audit, at several paces (PostgreSQL)

Each shop is audited before the first ANALYZE, when the database has no statistics, and after. SQLite holds
200,000 orders at most. Neighbours: `big_shop` writes the shop, `target` has the servers' settings.
"""

import argparse
import asyncio
import os
import tempfile
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

import uvloop
from sqlalchemy import Connection, text

from benchmarks.big_shop import Size, fill
from benchmarks.grown import FilledDatabase
from benchmarks.harness import Loop, Pace
from benchmarks.ours import strategy_on
from benchmarks.target import SERVER_SETTINGS, open_target
from stockade.devservers import Server, Servers
from stockade.shop.audit import LongAudit
from stockade.shop.migrations import SCHEMA
from stockade.store import Database

SQLITE_ORDERS = 200_000
WAIT_S = 3_600.0
SEEN_S = 0.05  # between two readings of the memory
PACES = (None, 1.0, 0.5, 0.25)
ROUNDS = 3  # of each pace, interleaved
KINDS = ("postgres", "mariadb", "sqlite")


def run_all(statements: list[str], conn: Connection) -> None:
    """Run statements."""
    for statement in statements:
        conn.execute(text(statement))


def analysing(kind: str) -> list[str]:
    """The statements that make statistics."""
    return [f"ANALYZE TABLE {', '.join(each.name for each in SCHEMA.tables)}"] if kind == "mariadb" else ["ANALYZE"]


def unlearned(kind: str) -> list[str]:
    """The statements that keep the server from making statistics by itself."""
    return [f"ALTER TABLE {each.name} STATS_AUTO_RECALC = 0" for each in SCHEMA.tables] if kind == "mariadb" else []


def resident_mb(server: int | None) -> float:
    """The private memory of this process, or of a server and its children, in megabytes."""
    total = 0
    for pid in [os.getpid()] if server is None else [server, *children(server)]:
        try:
            lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        except OSError:  # it has ended meanwhile
            continue
        total += sum(int(line.split()[1]) for line in lines if line.startswith("RssAnon:"))
    return total / 1024


def children(pid: int) -> list[int]:
    """Processes that a process has started."""
    folder = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(each) for each in folder.read_text().split()] if folder.exists() else []


class Memory:
    """Reads the memory of this process and of a server until it is stopped."""

    def __init__(self, server: int | None) -> None:
        self.server, self.own_mb, self.server_mb = server, 0.0, 0.0

    async def watch(self) -> None:
        """Keep the maximum."""
        while True:
            self.own_mb = max(self.own_mb, resident_mb(None))
            self.server_mb = max(self.server_mb, resident_mb(self.server) if self.server else 0.0)
            await asyncio.sleep(SEEN_S)


async def audited(database: Database, server: int | None) -> tuple[dict[str, float], float, Memory]:
    """Seconds of each step, of which two run at the same time; elapsed seconds of all; and the maximum of memory."""
    memory = Memory(server)
    watching = asyncio.create_task(memory.watch())
    job = LongAudit(database.read, wait_s=WAIT_S)
    began_s = time.monotonic()
    try:
        _, found = await job.run()
        took_s = time.monotonic() - began_s
    finally:
        watching.cancel()
    if found:
        raise SystemExit(f"the shop is sound, but the audit found {found[:3]}")
    return job.seconds, took_s, memory


async def measure(kind: str, orders: int) -> None:
    """One shop: fill, audit, analyse, audit, print."""
    async with AsyncExitStack() as stack:
        if kind == "sqlite":
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            url, server = f"sqlite:///{folder}/shop.sqlite", None
        else:
            servers = stack.enter_context(Servers())
            start: Callable[..., Server] = {"postgres": servers.postgres, "mariadb": servers.mariadb}[kind]
            started = start(**SERVER_SETTINGS[kind])
            url, server = started.url, started.pid
        database = await Database.open(url, pool_size=2, wait_s=WAIT_S)
        stack.push_async_callback(database.close)
        await SCHEMA.migrate(database)
        deadline = time.monotonic() + WAIT_S
        await database.transaction(partial(run_all, unlearned(kind)), deadline=deadline)
        began_s = time.monotonic()
        await database.transaction(partial(fill, size=Size.of(orders)), deadline=deadline)
        print(f"\n## {kind}, {orders:,} orders (written in {time.monotonic() - began_s:.0f} s)\n", flush=True)
        unknown, unknown_s, before = await audited(database, server)
        await database.transaction(partial(run_all, analysing(kind)), deadline=deadline)
        analysed, analysed_s, after = await audited(database, server)
        print("| step | no statistics, s | analysed, s |\n|---|---:|---:|")
        for name in unknown:
            print(f"| {name.replace('_', '-')} | {unknown[name]:.2f} | {analysed[name]:.2f} |")
        print(f"| all, on the clock | {unknown_s:.1f} | {analysed_s:.1f} |")
        print(f"| most memory of the audit's process, MB | {before.own_mb:.0f} | {after.own_mb:.0f} |")
        print(f"| most memory of the server, without shared, MB | {before.server_mb:.0f} | {after.server_mb:.0f} |")


async def beside(orders: int, callers: int, pace: Pace) -> None:
    """Orders/s without an audit, and beside an audit that restarts whenever it ends."""
    async with open_target(20_000) as target, strategy_on(target, "sequencer") as (place, _):
        grown = FilledDatabase(target.server, target.database, target.users)  # keeps its rows between the rounds
        loop = Loop("orders", callers, place)
        while (await grown.sums()).orders < orders:
            await loop.run(grown, Pace(1, measured_s=10.0))
        samples: dict[float | None, list[float]] = {share: [] for share in PACES}
        for number in range(ROUNDS):
            for share in PACES if number % 2 == 0 else PACES[::-1]:
                auditing = asyncio.create_task(again_and_again(target.database.url.render_as_string(False), share))
                sample = await loop.run(grown, pace)
                auditing.cancel()
                await asyncio.gather(auditing, return_exceptions=True)
                samples[share].append(sample.orders_s)
        print(
            f"{(await grown.sums()).orders:,} orders at the end\n\n| | orders/s | ÷ without an audit |\n|---|---:|---:|"
        )
        for share, each in samples.items():
            ratios = sorted(one / other for one, other in zip(each, samples[None], strict=True))
            print(
                f"| {'no audit' if share is None else f'--pace {share:g}'} | {sorted(each)[ROUNDS // 2]:,.0f} "
                f"| {ratios[ROUNDS // 2]:.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f}) |",
                flush=True,
            )


async def again_and_again(url: str, share: float | None) -> None:
    """Audit until cancelled."""
    if share is None:
        return
    database = await Database.open(url, pool_size=2, wait_s=WAIT_S)
    try:
        while True:
            await LongAudit(database.read, pace=share, wait_s=WAIT_S).run()
    finally:
        await database.close()


async def run(kinds: list[str], sizes: list[int]) -> None:
    """Every kind at every size."""
    for kind in kinds:
        for orders in sorted({min(size, SQLITE_ORDERS) if kind == "sqlite" else size for size in sizes}):
            await measure(kind, orders)


def main() -> None:
    """Read the command line, run, print."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.audit", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--orders", type=int, nargs="+", default=[100_000, 1_000_000], help="sizes of the shops")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS), help="databases (default all)")
    parser.add_argument("--beside", action="store_true", help="orders/s beside an audit instead")
    parser.add_argument("--callers", type=int, default=128, help="of --beside (default 128)")
    parser.add_argument("--seconds", type=float, default=20.0, help="of each run of --beside (default 20)")
    options = parser.parse_args()
    if options.beside:
        uvloop.run(beside(min(options.orders), options.callers, Pace(1, measured_s=options.seconds)))
    else:
        uvloop.run(run(options.kinds, options.orders))


if __name__ == "__main__":
    main()
