"""Popular products: time of an answer over the sums of ten million orders, of adding up old orders, and its staleness.

    python -m benchmarks.popular                            ten million orders of three days, on each database
    python -m benchmarks.popular --products 1000 100000     of so many products
    python -m benchmarks.popular --old 1000000              a shop that was there before its sums
    python -m benchmarks.popular --beside                   orders/s with and without the job, and how old answers are

The server writes the sums of each hour itself, or the old orders (`big_shop`). Neighbours: `audit` opens the same
databases, `grown` keeps its rows between the rounds.
"""

import argparse
import asyncio
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from statistics import median, quantiles

import uvloop
from sqlalchemy import Connection, text

from benchmarks.audit import analysing, run_all
from benchmarks.big_shop import SPELLINGS, Size, fill
from benchmarks.grown import FilledDatabase
from benchmarks.harness import Loop, Pace
from benchmarks.ours import strategy_on
from benchmarks.target import SERVER_SETTINGS, open_target
from stockade.core.clock import now_ms
from stockade.devservers import Servers
from stockade.service.audit.rule_types import Scope
from stockade.shop import queries
from stockade.shop.audit.sales import sales_sum
from stockade.shop.migrations import SCHEMA
from stockade.shop.sales import SalesJob
from stockade.shop.sales.hours import HOUR_MS, hour_of, oldest_kept
from stockade.shop.sales.progress import progress_of
from stockade.store import Database
from stockade.store.settled_events import Settled

KINDS = ("postgres", "mariadb", "sqlite")
ORDERS = 10_000_000
HOURS = 72
ASKED = 200  # answers of each kind
WAIT_S = 3_600.0
LOOK_S = 0.05  # between two answers beside orders
ROUNDS = 3  # with and without the job, interleaved
NOW_MS = hour_of(1_700_000_000_000) + HOUR_MS // 2


@asynccontextmanager
async def migrated(kind: str) -> AsyncIterator[Database]:
    """An empty shop on a server of its own."""
    async with AsyncExitStack() as stack:
        if kind == "sqlite":
            url = f"sqlite:///{stack.enter_context(tempfile.TemporaryDirectory())}/shop.sqlite"
        else:
            servers = stack.enter_context(Servers())
            url = getattr(servers, kind)(**SERVER_SETTINGS[kind]).url
        database = await Database.open(url, pool_size=2, wait_s=WAIT_S)
        stack.push_async_callback(database.close)
        await SCHEMA.migrate(database)
        yield database


def sums_of_hours(connection: Connection, products: int) -> None:
    """Write what ten million orders of three days leave: a sum for each product and hour, no two hours alike."""
    spelling = SPELLINGS[connection.dialect.name]
    rows = products * HOURS
    units = f"(1 + (n % 100000 * 7919) % {2 * ORDERS // rows})"  # half of that on average, so ten million units
    hour = f"{hour_of(NOW_MS)} - {HOUR_MS} * {spelling.divide.format(a='n', b=products)}"
    name = spelling.string.format(x=f"n % {products}")
    catalogue = (
        "INSERT INTO products (id, name, category, status, created_ms, folded_name) SELECT 'product-' || "
        f"{spelling.string.format(x='n')}, 'a name', 'things', 'ACTIVE', 0, 'a name' FROM "
        f"{spelling.numbers.format(last=products - 1)} WHERE 1 = 1"
    )
    sums = (
        f"INSERT INTO product_sales (hour_ms, product_id, quantity, revenue) SELECT {hour}, 'product-' || {name}, "
        f"{units}, {units} * (1000 + n % 977) FROM {spelling.numbers.format(last=rows - 1)} WHERE 1 = 1"
    )
    progress = "INSERT INTO sales_progress (name, position, counted_from_ms, as_of_ms) VALUES ('popular', 0, 0, 0)"
    for statement in (*spelling.before, catalogue, sums, progress, *spelling.after):
        connection.execute(text(statement))


class NothingNew:
    """No event waits to be counted."""

    async def up_to(self, after: int | None) -> Settled | None:
        return Settled(0, NOW_MS)


async def in_ms(work: Callable[[], Awaitable[object]]) -> float:
    """How long some work takes, in milliseconds."""
    began_s = time.perf_counter()
    await work()
    return (time.perf_counter() - began_s) * 1000


async def answers(database: Database, at_ms: int, **asked: object) -> str:
    """Median and 99th percentile of an answer, in milliseconds, through the pool of readers."""
    query = partial(queries.popular, now_ms=at_ms, **asked)  # type: ignore[arg-type]
    times = [await in_ms(lambda: database.read(query, timeout_s=WAIT_S)) for _ in range(ASKED)]
    return f"{median(times):.2f} | {quantiles(times, n=100)[-1]:.2f}"


async def measure_sums(kind: str, products: int) -> None:
    """Answers over the sums of ten million orders."""
    async with migrated(kind) as database:
        deadline = time.monotonic() + WAIT_S
        await database.transaction(partial(sums_of_hours, products=products), deadline=deadline)
        job = SalesJob(database, lambda: NOW_MS, wait_s=WAIT_S, settled=NothingNew(), busy_s=WAIT_S)
        built_ms = await in_ms(job.once)
        await database.transaction(partial(run_all, analysing(kind)), deadline=deadline)
        for name, asked in (
            ("3 days, by units", {}),
            ("3 days, by revenue", {"by": "revenue"}),
            ("3 days, the best 100", {"limit": 100}),
            ("2 days, summed over their hours", {"days": 2}),
        ):
            print(
                f"| {kind}, {products:,} products | {name} | {await answers(database, NOW_MS, **asked)} |", flush=True
            )
        print(
            f"| {kind}, {products:,} products | the windows made from {HOURS} hours | {built_ms:,.0f} | |", flush=True
        )


def _is_behind(conn: Connection, now_ms: int) -> bool:
    """Whether the job has events to count or old orders to add up."""
    progress = progress_of(conn)
    return progress is None or progress.counted_from_ms > oldest_kept(now_ms)


async def measure_old(kind: str, orders: int) -> None:
    """A shop with so many orders: the answer from the orders, adding them up, and the rule of the audit."""
    async with migrated(kind) as database:
        deadline, size = time.monotonic() + WAIT_S, Size.of(orders)
        await database.transaction(partial(fill, size=size), deadline=deadline)
        await database.transaction(partial(run_all, analysing(kind)), deadline=deadline)
        query = partial(queries.popular, now_ms=size.ends_ms)
        before = await in_ms(lambda: database.read(query, timeout_s=WAIT_S))
        job = SalesJob(database, lambda: size.ends_ms, wait_s=WAIT_S)
        rounds = [await in_ms(job.once)]
        while await database.read(partial(_is_behind, now_ms=size.ends_ms)):
            assert time.monotonic() < deadline, "the sums are not ready in time"
            rounds.append(await in_ms(job.once))
        after = await in_ms(lambda: database.read(query, timeout_s=WAIT_S))
        audited = await in_ms(lambda: database.read(lambda c: list(sales_sum(c, Scope())), timeout_s=WAIT_S))
        print(
            f"| {kind}, {orders:,} orders | {before:,.0f} | {after:.1f} | {sum(rounds) / 1000:,.1f} | "
            f"{max(rounds):,.0f} | {audited:,.0f} |",
            flush=True,
        )


async def beside(kind: str, callers: int, pace: Pace) -> None:
    """Orders/s with and without the job, and the age of the answers while it runs."""
    async with open_target(20_000, kind) as target, strategy_on(target, "sequencer") as (place, _):
        grown = FilledDatabase(target.server, target.database, target.users)
        loop, url = Loop("orders", callers, place), target.database.url.render_as_string(False)
        await loop.run(grown, pace)
        found: dict[bool, list[float]] = {True: [], False: []}
        ages: list[float] = []
        for number in range(ROUNDS):
            for runs in (True, False) if number % 2 == 0 else (False, True):
                stop = asyncio.Event()
                summing = asyncio.create_task(sum_and_look(url, stop, ages)) if runs else None
                found[runs].append((await loop.run(grown, pace)).orders_s)
                stop.set()
                if summing is not None:
                    await summing
        ratios = sorted(one / other for one, other in zip(found[True], found[False], strict=True))
        print(
            f"{kind}, {callers} callers: {median(found[False]):,.0f} orders/s without, {median(found[True]):,.0f} with"
        )
        print(f"ratio {ratios[ROUNDS // 2]:.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})")
        print(f"age of the answers: median {median(ages):.2f} s, most {max(ages):.2f} s, of {len(ages)}")


async def sum_and_look(url: str, stop: asyncio.Event, ages: list[float]) -> None:
    """The job as a process runs it, and answers of which the age is noted; until it has caught up after the stop."""
    database = await Database.open(url, pool_size=2, wait_s=WAIT_S)
    try:
        job = SalesJob(database, now_ms)
        await job.once()
        looking = asyncio.create_task(look(database, stop, ages))
        while not stop.is_set():
            await job.once()
            await asyncio.sleep(1.0)
        await looking
    finally:
        await database.close()


async def look(database: Database, stop: asyncio.Event, ages: list[float]) -> None:
    """Ask again and again."""
    while not stop.is_set():
        answer = await database.read(lambda c: queries.popular(c, now_ms=now_ms()))
        ages.append(answer.behind_s)
        await asyncio.sleep(LOOK_S)


async def run(options: argparse.Namespace) -> None:
    """What the command line asks for."""
    if options.beside:
        for kind in [kind for kind in options.kinds if kind != "sqlite"]:
            await beside(kind, options.callers, Pace(1, measured_s=options.seconds))
    elif options.old:
        print("| | from the orders, ms | from the sums, ms | adding up, s | longest round, ms | audit rule, ms |")
        print("|---|--:|--:|--:|--:|--:|")
        for kind in options.kinds:
            await measure_old(kind, options.old)
    else:
        print(f"| {ORDERS:,} orders | answer | median ms | p99 ms |\n|---|---|--:|--:|")
        for kind in options.kinds:
            for products in options.products:
                await measure_sums(kind, products)


def main() -> None:
    """Read the command line, run, print."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.popular", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS), help="databases (default all)")
    parser.add_argument("--products", type=int, nargs="+", default=[1_000, 10_000, 100_000], help="numbers of products")
    parser.add_argument("--old", type=int, default=0, help="orders of a shop without sums")
    parser.add_argument("--beside", action="store_true", help="orders/s beside the job, on PostgreSQL and MariaDB")
    parser.add_argument("--callers", type=int, default=128, help="of --beside (default 128)")
    parser.add_argument("--seconds", type=float, default=10.0, help="of each run of --beside (default 10)")
    uvloop.run(run(parser.parse_args()))


if __name__ == "__main__":
    main()
