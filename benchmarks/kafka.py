"""Orders on one hot product through a real Kafka, beside the sequencer and raw row locks.

    python -m benchmarks.kafka                      every contest, 5 rounds: about ten minutes
    python -m benchmarks.kafka --only 128 --rounds 2 --seconds 1
    python -m benchmarks.kafka --json figures.json

Decided orders only: the caller has its outcome. Broker, workers, PostgreSQL and callers share the machine, so believe
the ratios, which are taken inside each round. Neighbours: `orders` runs the arms that need no log.
"""

import argparse
import asyncio
import statistics
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import uvloop

from benchmarks import processor, report
from benchmarks.baselines import Raw, row_lock
from benchmarks.ground import FINGERPRINT, PRICE, Buy, Ground, open_ground, user_id
from benchmarks.harness import Arm, Loop, Pace, Sample, calm_collector, percentile, take_turns
from benchmarks.orders import MANY, Contest
from benchmarks.ours import MOST, POOL, WAIT_S, Ours, order
from benchmarks.report import Ratio
from stockade.core import Guard
from stockade.lab.servers import Servers
from stockade.shop.commands import CreateProduct, NewSku, OrderLine, PlaceOrder
from stockade.shop.resources import SHOP_RESOURCES
from stockade.shop.wire import encode_command
from stockade.store import Database, SqlStore
from stockade.strategies.kafka import Kafka
from stockade.strategies.kafka_options import KafkaOptions
from stockade.strategies.options import Options

BURST = 30
BURSTS = 20
COLD = "cold-sku"


@dataclass(frozen=True, slots=True)
class Logged:
    """The strategy `kafka` with worker processes of its own on a topic of its own.

    Attributes:
        name: of the arm.
        bootstrap: the brokers.
        callers: at the same time.
        workers: processes.
        partitions: of the topic.
    """

    name: str
    bootstrap: str
    callers: int
    workers: int = 1
    partitions: int = 3

    @asynccontextmanager
    async def open(self, ground: Ground) -> AsyncIterator[Loop]:
        """Start the workers, and warm the way up with one order."""
        async with self.running(ground) as (strategy, pids):

            async def place(buy: Buy) -> bool:
                return (await strategy.execute(order(buy))).accepted

            spent_s = sum(map(processor.family_s, pids))

            def notes(answered: int) -> dict[str, float]:
                nonlocal spent_s
                before, spent_s = spent_s, sum(map(processor.family_s, pids))
                return {"worker_us": (spent_s - before) / max(1, answered) * 1e6}

            yield Loop(self.name, self.callers, place, notes)

    @asynccontextmanager
    async def running(self, ground: Ground) -> AsyncIterator[tuple[Kafka, list[int]]]:
        """The strategy and the ids of its worker processes."""
        topic = f"bench.{uuid4().hex[:8]}"
        log = KafkaOptions(encode_command, self.bootstrap, topic, self.partitions, group=topic)
        async with AsyncExitStack() as stack:
            database = await Database.open(ground.url, pool_size=1)
            stack.push_async_callback(database.close)
            strategy = Kafka(SqlStore(database, SHOP_RESOURCES), Options(wait_s=WAIT_S, kafka=log))
            await strategy.start()
            stack.push_async_callback(strategy.stop)
            pids = [await stack.enter_async_context(_worker(ground, log)) for _ in range(self.workers)]
            await strategy.execute(order(ground.next_buy()))
            yield strategy, pids


@asynccontextmanager
async def _worker(ground: Ground, log: KafkaOptions) -> AsyncIterator[int]:
    """`stockade worker` in a process; its id."""
    given = {"kafka_bootstrap": log.bootstrap, "kafka_topic": log.topic, "kafka_group": log.group, "pool_size": POOL}
    given["log_level"] = "error"
    pairs = [word for name, value in given.items() for word in ("--set", f"{name}={value}")]
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "stockade", "worker", "--database", ground.url, *pairs
    )
    try:
        yield child.pid
    finally:
        if child.returncode is None:
            child.terminate()
        if await child.wait():
            raise AssertionError(f"a worker ended with {child.returncode}; it said why")


def contests(bootstrap: str) -> dict[str, Contest]:
    """Every contest by name."""

    def against(callers: int) -> list[Arm]:
        return [
            Logged("kafka", bootstrap, callers),
            Ours("sequencer", "sequencer", callers),
            Raw("raw row lock", row_lock, callers, MOST),
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
        "cost": Contest(
            f"{MOST} callers, one hot product: partitions and workers",
            [
                Logged(f"{parts} partitions, {workers} workers", bootstrap, MOST, workers, parts)
                for parts, workers in ((1, 1), (3, 1), (6, 1), (3, 2), (3, 3))
            ],
            [],
        ),
    }


async def bursts(ground: Ground, bootstrap: str) -> None:
    """Seed 004's burst: 30 at once, until all are accepted and until all are decided, beside `pessimistic`."""
    took: dict[str, list[float]] = {"kafka, all accepted": [], "kafka, all decided": [], "pessimistic, all decided": []}
    async with AsyncExitStack() as stack:
        strategy, _ = await stack.enter_async_context(Logged("kafka", bootstrap, BURST).running(ground))
        locks = await stack.enter_async_context(Ours("pessimistic", "pessimistic", BURST, BURST).open(ground))
        for number in range(BURSTS + 2):
            buys = [[order(ground.next_buy()) for _ in range(BURST)] for _ in range(2)]
            plain = [ground.next_buy() for _ in range(BURST)]
            for name, calls in (
                ("kafka, all accepted", [strategy.submit(each) for each in buys[0]]),
                ("kafka, all decided", [strategy.execute(each) for each in buys[1]]),
                ("pessimistic, all decided", [locks._place(each) for each in plain]),  # noqa: SLF001 - its one operation
            ):
                began_s = time.perf_counter()
                await asyncio.gather(*calls)
                if number >= 2:
                    took[name].append((time.perf_counter() - began_s) * 1e3)
            await strategy.execute(order(ground.next_buy()))  # behind what was only accepted
    for name, times in took.items():
        print(f"| {name} | {statistics.median(times):.1f} ms | {min(times):.1f}-{max(times):.1f} |", flush=True)


async def cold(ground: Ground, bootstrap: str, pace: Pace) -> None:
    """A caller of a cold product on another partition, while 128 fight for the hot one, and while nobody does."""
    store = SqlStore(ground.database, SHOP_RESOURCES)
    names = tuple(f"{COLD}-{n}" for n in range(8))  # over all partitions; the slowest tells
    news = tuple(NewSku(PRICE, 1_000_000, name) for name in names)
    command = CreateProduct(uuid4().hex, FINGERPRINT, 0, "Cold", "benchmark", news)
    await store.transact([command], Guard.ROW, deadline=time.monotonic() + 10)
    async with Logged("kafka", bootstrap, MOST, workers=2).running(ground) as (strategy, _):
        for hot in (0, MOST):
            over = asyncio.Event()

            async def fight(over: asyncio.Event = over) -> None:
                while not over.is_set():
                    await strategy.execute(order(ground.next_buy()))

            fighters = [asyncio.create_task(fight()) for _ in range(hot)]
            await asyncio.sleep(pace.warm_s)
            times: dict[str, list[float]] = {name: [] for name in names}
            end_s = time.monotonic() + pace.measured_s * pace.rounds
            while time.monotonic() < end_s:
                for name in names:
                    lines = (OrderLine(name, 1),)
                    buy = PlaceOrder(uuid4().hex, FINGERPRINT, 0, user_id(0), lines, "LATER")
                    began_s = time.perf_counter()
                    await strategy.execute(buy)
                    times[name].append((time.perf_counter() - began_s) * 1e3)
            over.set()
            await asyncio.gather(*fighters)
            for name, took in times.items():
                took.sort()
                print(
                    f"| {name} beside {hot} hot callers | {percentile(took, 0.5):.1f} | {percentile(took, 0.99):.1f} |"
                )


async def run(only: Sequence[str], pace: Pace, users: int, path: Path | None) -> None:
    """Run the contests one after the other and print each when it is done."""
    samples: list[Sample] = []
    found = []
    with Servers() as servers:
        bootstrap = servers.kafka().url
        async with open_ground(users) as ground:
            environment = report.environment([ground], pace)
            calm_collector()
            for name, contest in contests(bootstrap).items():
                if name not in only:
                    continue
                print(f"\n## {name}: {contest.summary}\n", flush=True)
                own = [sample async for sample in take_turns(ground, contest.arms, pace)]
                measured = [each for ratio in contest.ratios if (each := ratio.of(own))]
                print(f"{report.table(own)}\n\n{report.ratio_table(measured)}\n{worker_costs(own)}", flush=True)
                samples += own
                found += measured
            if "bursts" in only:
                print(f"\n## bursts of {BURST}\n", flush=True)
                await bursts(ground, bootstrap)
            if "cold" in only:
                print("\n## a cold product beside a hot one, p50 and p99 in ms\n", flush=True)
                await cold(ground, bootstrap, pace)
    if path:
        report.write_json(path, environment, samples, found)


def worker_costs(samples: Sequence[Sample]) -> str:
    """Processor time of the workers for an order, medians over the rounds."""
    lines = []
    for arm in dict.fromkeys(sample.arm for sample in samples if "worker_us" in sample.notes):
        costs = [sample.notes["worker_us"] for sample in samples if sample.arm == arm]
        lines.append(f"worker µs, {arm}: {statistics.median(costs):.0f}")
    return "\n".join(lines)


def main() -> None:
    """Read the command line, run, print."""
    every = [*contests(""), "bursts", "cold"]
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.kafka", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="+", choices=every, default=every, help="contests to run; default all")
    parser.add_argument("--rounds", type=int, default=5, help="measured rounds (default 5)")
    parser.add_argument("--seconds", type=float, default=2.0, help="measured in each run (default 2)")
    parser.add_argument("--warm", type=float, default=0.7, metavar="SECONDS", help="before that (default 0.7)")
    parser.add_argument("--users", type=int, default=200_000, help="points accounts (default 200000)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every sample")
    options = parser.parse_args()
    pace = Pace(options.rounds, options.warm, options.seconds)
    uvloop.run(run(options.only, pace, options.users, options.json))


if __name__ == "__main__":
    main()
