"""Orders on one hot product through a real Kafka, beside the sequencer and raw row locks.

    python -m benchmarks.kafka                      every contest, 7 rounds: about twelve minutes
    python -m benchmarks.kafka --only 128 --rounds 2 --seconds 1
    python -m benchmarks.kafka --json figures.json

Decided orders only: the caller has its outcome. Broker, workers, PostgreSQL and callers share the machine, so believe
the ratios, which are taken inside each round, and their median of many rounds: in one run raw row locks give 150
orders/s in one round and 280 in another. Neighbours: `orders` runs the arms that need no log.
"""

import argparse
import asyncio
import statistics
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, BinaryIO
from uuid import uuid4

import uvloop

from benchmarks import processor, report
from benchmarks.baselines import Raw, Transaction, row_lock
from benchmarks.harness import Arm, Loop, Opened, Pace, Sample, calm_collector, percentile, take_turns
from benchmarks.orders import MANY, Contest
from benchmarks.ours import MOST, POOL, WAIT_S, Ours, order
from benchmarks.report import Measured, Ratio
from benchmarks.reserved import reserve
from benchmarks.target import FINGERPRINT, HOT, PRICE, BenchmarkDatabase, Buy, open_target, user_id
from stockade.core import Guard
from stockade.devservers import KafkaCluster, Servers
from stockade.kafka.admin import read_topic
from stockade.kafka.options import KafkaOptions
from stockade.shop.commands import CreateProduct, NewSku, OrderLine, PlaceOrder
from stockade.shop.model.command_codec import COMMAND_CODEC
from stockade.shop.model.constants import LATER
from stockade.shop.model.resources import SHOP_RESOURCES
from stockade.store import Database, SqlStore
from stockade.strategies.kafka import Kafka
from stockade.strategies.options import Options

BURST = 30
BURSTS = 20
COLD = "cold-sku"
WARM_UP_S = 90.0  # the broker is one that runs for days: its virtual machine compiles with both compilers first
JOIN_S = 6.0  # until the second worker has its share of the partitions; about 2 s
LOG_TAIL = 4_000  # bytes of a worker's log that are printed when it fails


@dataclass(frozen=True, slots=True)
class Logged:
    """The strategy `kafka` with worker processes of its own on a topic of its own.

    Attributes:
        name: of the arm.
        cluster: the brokers.
        callers: at the same time.
        workers: processes.
        partitions: of the topic.
    """

    name: str
    cluster: KafkaCluster
    callers: int
    workers: int = 1
    partitions: int = 3

    @asynccontextmanager
    async def open(self, target: BenchmarkDatabase) -> AsyncIterator[Opened]:
        """Start the workers, and execute one order before the measurement."""
        async with self.running(target) as (strategy, pids):

            async def place(buy: Buy) -> bool:
                return (await strategy.execute(order(buy, target.pay))).accepted

            spent_s: list[float] = []

            def begin() -> None:
                spent_s[:] = self._spent_s(pids)

            def notes(answered: int) -> dict[str, float]:
                worker_s, broker_s = (now - then for now, then in zip(self._spent_s(pids), spent_s, strict=True))
                orders = max(1, answered)
                return {"worker_us": worker_s / orders * 1e6, "broker_us": broker_s / orders * 1e6}

            yield Metered(Loop(self.name, self.callers, place, notes), begin)

    def _spent_s(self, pids: Sequence[int]) -> tuple[float, float]:
        """Processor time of the workers and of the brokers so far."""
        brokers = [broker.pid for broker in self.cluster.brokers]
        return sum(map(processor.family_s, pids)), sum(map(processor.family_s, brokers))

    @asynccontextmanager
    async def running(self, target: BenchmarkDatabase) -> AsyncIterator[tuple[Kafka, list[int]]]:
        """The strategy and the ids of its worker processes."""
        topic = f"bench.{uuid4().hex[:8]}"
        log = KafkaOptions(COMMAND_CODEC, self.cluster.url, topic, self.partitions, group=topic)
        async with AsyncExitStack() as stack:
            database = await Database.open(target.url, pool_size=1)
            stack.push_async_callback(database.close)
            strategy = Kafka(SqlStore(database, SHOP_RESOURCES), Options(wait_s=WAIT_S, kafka=log))
            await strategy.start()
            stack.push_async_callback(strategy.stop)
            pids = [await stack.enter_async_context(_worker(target, log)) for _ in range(self.workers)]
            await strategy.execute(order(target.next_buy(), target.pay))
            yield strategy, pids


@dataclass(frozen=True, slots=True)
class Metered:
    """A loop that counts processor time from its own beginning, because arms share the brokers."""

    loop: Loop
    begin: Callable[[], None]

    async def run(self, target: BenchmarkDatabase, pace: Pace) -> Sample:
        """See `Loop.run`."""
        self.begin()
        return await self.loop.run(target, pace)


@asynccontextmanager
async def _worker(target: BenchmarkDatabase, log: KafkaOptions) -> AsyncIterator[int]:
    """`stockade worker` in a process; its id. When it fails, its exit code and its log are printed."""
    given = {"kafka_bootstrap": log.bootstrap, "kafka_topic": log.topic, "kafka_group": log.group, "pool_size": POOL}
    pairs = [word for name, value in given.items() for word in ("--set", f"{name}={value}")]
    with TemporaryFile() as output:
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "stockade", "worker", "--database", target.url, *pairs, stdout=output, stderr=output
        )
        watch = asyncio.create_task(_print_end(child, output))  # at once: callers wait for a while before they fail
        try:
            yield child.pid
        finally:
            early = child.returncode is not None
            watch.cancel()
            if not early:
                child.terminate()
            if await child.wait() or early:
                raise AssertionError(_end_of(child, output))


async def _print_end(child: asyncio.subprocess.Process, output: BinaryIO) -> None:
    await child.wait()
    print(_end_of(child, output), file=sys.stderr, flush=True)


def _end_of(child: asyncio.subprocess.Process, output: BinaryIO) -> str:
    output.seek(0)
    return f"a worker ended with {child.returncode}; its log:\n{output.read()[-LOG_TAIL:].decode(errors='replace')}"


def contests(cluster: KafkaCluster) -> dict[str, Contest]:
    """Every contest by name."""

    def against(callers: int, by_hand: Transaction = row_lock) -> list[Arm]:
        return [
            Logged("kafka", cluster, callers),
            Ours("sequencer", "sequencer", callers),
            Raw("raw row lock", by_hand, callers, MOST),
        ]

    return {
        "128": Contest(
            f"{MOST} callers, one hot product, 1 worker",
            against(MOST),
            [Ratio("kafka", "raw row lock", 20, 30), Ratio("kafka", "sequencer", 0.6, 0.6)],
        ),
        "1024": Contest(
            f"{MANY} callers, one hot product, 1 worker",
            against(MANY),
            [Ratio("kafka", "raw row lock", 40, 60), Ratio("kafka", "sequencer", 0.8, 0.8)],
        ),
        "reserved": Contest(
            f"{MANY} callers, one hot product, 1 worker, orders that reserve their unit to be paid later",
            against(MANY, reserve),
            [Ratio("kafka", "raw row lock", 40, 60), Ratio("kafka", "sequencer", 0.8, 0.8)],
            LATER,
        ),
        "cost": Contest(
            f"{MOST} callers, one hot product: partitions and workers",
            [
                Logged(f"{parts} partitions, {workers} workers", cluster, MOST, workers, parts)
                for parts, workers in ((1, 1), (3, 1), (6, 1), (3, 2), (3, 3))
            ],
            [],
        ),
    }


async def bursts(target: BenchmarkDatabase, cluster: KafkaCluster) -> None:
    """30 orders at once, until all are accepted and until all are decided, beside `pessimistic`."""
    took: dict[str, list[float]] = {"kafka, all accepted": [], "kafka, all decided": [], "pessimistic, all decided": []}
    async with AsyncExitStack() as stack:
        strategy, _ = await stack.enter_async_context(Logged("kafka", cluster, BURST).running(target))
        locks = await stack.enter_async_context(Ours("pessimistic", "pessimistic", BURST, BURST).open(target))
        for number in range(BURSTS + 2):
            buys = [[order(target.next_buy()) for _ in range(BURST)] for _ in range(2)]
            plain = [target.next_buy() for _ in range(BURST)]
            for name, calls in (
                ("kafka, all accepted", [strategy.submit(each) for each in buys[0]]),
                ("kafka, all decided", [strategy.execute(each) for each in buys[1]]),
                ("pessimistic, all decided", [locks._place(each) for each in plain]),  # noqa: SLF001 - its one operation
            ):
                began_s = time.perf_counter()
                await asyncio.gather(*calls)
                if number >= 2:
                    took[name].append((time.perf_counter() - began_s) * 1e3)
                await strategy.execute(order(target.next_buy()))  # behind what was only accepted, so that it is decided
    print(f"\n## bursts of {BURST}\n")
    print("| 30 at once, until | median ms | range |\n|---|--:|--:|")
    for name, times in took.items():
        print(f"| {name} | {statistics.median(times):.1f} | {min(times):.1f}-{max(times):.1f} |", flush=True)


async def cold(target: BenchmarkDatabase, cluster: KafkaCluster, pace: Pace) -> None:
    """A caller of cold products while 0 or 128 callers buy the hot one; by partition: the hot one's or another."""
    store = SqlStore(target.database, SHOP_RESOURCES)
    names = tuple(f"{COLD}-{n}" for n in range(8))  # over all partitions
    news = tuple(NewSku(PRICE, 1_000_000, name) for name in names)
    command = CreateProduct(uuid4().hex, FINGERPRINT, 0, "Cold", "benchmark", news)
    await store.transact([command], Guard.ROW, deadline=time.monotonic() + 10)
    print("\n## cold: a cold product beside a hot one\n")
    print("| cold product on | hot callers | orders | p50 ms | p99 ms |\n|---|--:|--:|--:|--:|")
    async with Logged("kafka", cluster, MOST, workers=2).running(target) as (strategy, _):
        await asyncio.sleep(JOIN_S)
        await asyncio.gather(*(strategy.execute(_cold_order(name)) for name in names))
        near = await asyncio.to_thread(_neighbours, strategy.kafka_options)
        for hot in (0, MOST):
            over = asyncio.Event()

            async def fight(over: asyncio.Event = over) -> None:
                while not over.is_set():
                    await strategy.execute(order(target.next_buy()))

            fighters = [asyncio.create_task(fight()) for _ in range(hot)]
            await asyncio.sleep(pace.warm_s)
            times: dict[str, list[float]] = {"another partition": [], "the hot product's partition": []}
            end_s = time.monotonic() + pace.measured_s * pace.rounds
            while time.monotonic() < end_s:
                for name in names:
                    began_s = time.perf_counter()
                    await strategy.execute(_cold_order(name))
                    where = "the hot product's partition" if name in near else "another partition"
                    times[where].append((time.perf_counter() - began_s) * 1e3)
            over.set()
            await asyncio.gather(*fighters)
            for where, took in times.items():
                took.sort()
                middle, worst = percentile(took, 0.5), percentile(took, 0.99)
                print(f"| {where} | {hot} | {len(took)} | {middle:.1f} | {worst:.1f} |", flush=True)


def _cold_order(name: str) -> PlaceOrder:
    return PlaceOrder(uuid4().hex, FINGERPRINT, 0, user_id(0), (OrderLine(name, 1),), "LATER")


def _neighbours(log: KafkaOptions) -> set[str]:
    """The SKUs whose messages are in the partition of the hot product. Blocks."""
    for part in range(log.partitions):
        found = {(record.key or b"").decode() for record in read_topic(log.bootstrap, log.topic, 100, part)}
        if f"stock:{HOT}" in found:
            return {key.removeprefix("stock:") for key in found}
    raise AssertionError("the first orders of the hot product are in no partition")


async def warm_up(cluster: KafkaCluster, users: int) -> None:
    """Run until the brokers are compiled, on a database of its own: its rows would slow the contests' one."""
    async with open_target(users) as target, Logged("warm-up", cluster, MOST).open(target) as loop:
        await loop.run(target, Pace(1, 0, WARM_UP_S))


async def run(only: Sequence[str], pace: Pace, users: int, path: Path | None) -> None:
    """Run the contests one after the other, each on a database of its own, and print each when it is done."""
    samples: list[Sample] = []
    found: list[Measured] = []
    environment: dict[str, Any] = {}
    with Servers() as servers:
        cluster = servers.kafka(long_lived=True)
        calm_collector()
        await warm_up(cluster, users)
        known = contests(cluster)
        for name in only:
            async with open_target(users) as target:
                environment = report.environment([target], pace)
                if name == "bursts":
                    await bursts(target, cluster)
                elif name == "cold":
                    await cold(target, cluster, pace)
                else:
                    own, measured = await contested(name, known[name], target, pace)
                    samples += own
                    found += measured
    if path:
        report.write_json(path, environment, samples, found)


async def contested(
    name: str, contest: Contest, target: BenchmarkDatabase, pace: Pace
) -> tuple[list[Sample], list[Measured]]:
    """Run one contest and print it."""
    print(f"\n## {name}: {contest.summary}\n", flush=True)
    own = [sample async for sample in take_turns(replace(target, pay=contest.pay), contest.arms, pace)]
    measured = [each for ratio in contest.ratios if (each := ratio.of(own))]
    print(f"{report.table(own)}\n\n{costs(own)}\n", flush=True)
    if measured:
        print(report.ratio_table(measured), flush=True)
    return own, measured


def costs(samples: Sequence[Sample]) -> str:
    """Processor time of every process for an order through the log, in µs, medians over the rounds."""
    lines = [
        "| processor µs for an order | service | worker | broker | database | together |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    for arm in dict.fromkeys(sample.arm for sample in samples if "worker_us" in sample.notes):
        of = [sample for sample in samples if sample.arm == arm]
        parts = [
            (sample.client_us, sample.notes["worker_us"], sample.notes["broker_us"], sample.server_us) for sample in of
        ]
        middle = [statistics.median(column) for column in zip(*parts, strict=True)]
        cells = [f"{each:.0f}" for each in (*middle, sum(middle))]
        lines.append(f"| {arm} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Read the command line, run, print."""
    every = [*contests(KafkaCluster(())), "bursts", "cold"]
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.kafka", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="+", choices=every, default=every, help="contests to run; default all")
    parser.add_argument("--rounds", type=int, default=7, help="measured rounds (default 7)")
    parser.add_argument("--seconds", type=float, default=2.0, help="measured in each run (default 2)")
    parser.add_argument("--warm", type=float, default=0.7, metavar="SECONDS", help="before that (default 0.7)")
    parser.add_argument("--users", type=int, default=200_000, help="points accounts (default 200000)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every sample")
    options = parser.parse_args()
    pace = Pace(options.rounds, options.warm, options.seconds)
    uvloop.run(run(options.only, pace, options.users, options.json))


if __name__ == "__main__":
    main()
