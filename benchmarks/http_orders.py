"""The whole HTTP order path under wrk: one hot product, one worker process, PostgreSQL and MariaDB.

    python -m benchmarks.http_orders                64 and 256 connections, 5 rounds: about seven minutes
    python -m benchmarks.http_orders --clients 64 --rounds 2

Client, service and database share this machine's processors.
"""

import argparse
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import uvloop

from benchmarks import report
from benchmarks.harness import Pace, Sample, take_turns
from benchmarks.report import Measured, Ratio
from benchmarks.service import BUYERS, Served, find_wrk
from benchmarks.target import BenchmarkDatabase, open_target

POOL = 8  # the default of `stockade serve`
SMALL_POOL = 10  # the default of HikariCP, a pool that many services use
MAX_CONNECTIONS = 500


def arms(target: BenchmarkDatabase, clients: int, first: bool) -> list[Served]:
    """The sequencer, `pessimistic` with a small pool, and on the first database with a connection for each client."""
    kind = target.server.kind
    taken = [
        Served(f"sequencer, {kind}", "sequencer", target, clients, POOL),
        Served(f"pessimistic, {kind}, pool {SMALL_POOL}", "pessimistic", target, clients, SMALL_POOL),
    ]
    if first:
        taken.append(Served(f"pessimistic, {kind}", "pessimistic", target, clients, clients))
    return taken


async def run(kinds: Sequence[str], clients: Sequence[int], pace: Pace, path: Path | None) -> None:
    """Measure one database after the other; for each number of clients let the arms take turns, then print."""
    # one at a time: a server that still flushes what it wrote delays the other's commits
    samples: list[Sample] = []
    found: list[Measured] = []
    environment: dict[str, Any] = {"servers": {}}
    for kind in kinds:
        print(f"starting {kind} with {BUYERS:,} buyers", flush=True)
        async with open_target(BUYERS, kind, MAX_CONNECTIONS) as target:
            here = report.environment([target], pace)
            environment = {**here, "servers": {**environment["servers"], **here["servers"]}}
            for number in clients:
                print(f"\n## {kind}: {number} connections of wrk, one hot product\n", flush=True)
                own = []
                async for sample in take_turns(target, arms(target, number, kind == kinds[0]), pace):
                    print(f"  round {sample.round} {sample.arm:30} {sample.orders_s:9,.0f} orders/s", flush=True)
                    own.append(sample)
                ratio = Ratio(f"sequencer, {kind}", f"pessimistic, {kind}", 8, 12)
                measured = [each for each in [ratio.of(own)] if each]
                print(
                    f"\n{report.table(own)}\n\n{report.ratio_table(measured)}\n\n{tails(own)}\n\n{processes(own)}",
                    flush=True,
                )
                samples += own
                found += measured
    if path:
        report.write_json(path, environment, samples, found)


def tails(samples: Sequence[Sample]) -> str:
    """How many times longer the other arms' p99 is than the sequencer's in the same round.

    wrk does not count requests that it aborts at its end: a p99 near the length of a round is a lower bound. Callers
    send the next request when they have the response, so a shorter p99 is a higher rate too.
    """
    own, *others = dict.fromkeys(sample.arm for sample in samples)
    p99_ms = {(sample.arm, sample.round): sample.p99_ms for sample in samples}
    lines = []
    for other in others:
        ratios = [p99_ms[arm, n] / p99_ms[own, n] for arm, n in p99_ms if arm == other]
        lines.append(
            f"p99 of {other} ÷ of {own}: {statistics.median(ratios):.1f} [{min(ratios):.1f}-{max(ratios):.1f}]"
        )
    return "\n".join(lines)


def processes(samples: Sequence[Sample]) -> str:
    """Seconds to ready and memory of each service."""
    lines = []
    for arm in dict.fromkeys(sample.arm for sample in samples):
        notes = [sample.notes for sample in samples if sample.arm == arm]
        ready_s, resident_mb = notes[0]["ready_s"], statistics.median(note["resident_mb"] for note in notes)
        lines.append(f"{arm}: ready in {ready_s:.1f} s, {resident_mb:.0f} MB resident")
    return "\n".join(lines)


def main() -> None:
    """Read the command line, run, print."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.http_orders",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--clients", type=int, nargs="+", default=[64, 256], help="connections (default 64 256)")
    parser.add_argument("--databases", nargs="+", choices=["postgres", "mariadb"], default=["postgres", "mariadb"])
    parser.add_argument("--rounds", type=int, default=5, help="measured rounds (default 5)")
    parser.add_argument("--seconds", type=int, default=5, help="measured in each run (default 5)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every sample")
    options = parser.parse_args()
    if find_wrk() is None:
        parser.exit(2, "wrk is missing: apt-get install wrk\n")
    pace = Pace(options.rounds, 1, options.seconds)
    uvloop.run(run(options.databases, options.clients, pace, options.json))


if __name__ == "__main__":
    main()
