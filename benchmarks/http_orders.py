"""The whole HTTP order path under wrk: one hot product, one worker process, PostgreSQL and MariaDB.

    python -m benchmarks.http_orders                64 and 256 connections, 5 rounds: about four minutes
    python -m benchmarks.http_orders --clients 64 --rounds 2

Client, service and database share this machine's processors.
"""

import argparse
import statistics
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import uvloop

from benchmarks import report
from benchmarks.ground import Ground, open_ground
from benchmarks.harness import Pace, Sample, take_turns
from benchmarks.report import Measured, Ratio
from benchmarks.service import BUYERS, Served, find_wrk

POOL = 8  # the default of `stockade serve`
MAX_CONNECTIONS = 500


def arms(grounds: Sequence[Ground], clients: int) -> list[Served]:
    """The sequencer on every server, and `pessimistic` with a connection for each client on the first."""
    first = grounds[0]
    sequencers = [Served(f"sequencer, {g.server.kind}", "sequencer", g, clients, POOL) for g in grounds]
    return [*sequencers, Served(f"pessimistic, {first.server.kind}", "pessimistic", first, clients, clients)]


async def run(kinds: Sequence[str], clients: Sequence[int], pace: Pace, path: Path | None) -> None:
    """Start the servers, let the arms take turns for each number of clients, print."""
    samples: list[Sample] = []
    found: list[Measured] = []
    async with AsyncExitStack() as stack:
        print(f"starting {' and '.join(kinds)} with {BUYERS:,} buyers", flush=True)
        grounds = [await stack.enter_async_context(open_ground(BUYERS, kind, MAX_CONNECTIONS)) for kind in kinds]
        environment = report.environment(grounds, pace)
        for number in clients:
            print(f"\n## {number} connections of wrk, one hot product\n", flush=True)
            own = []
            async for sample in take_turns(grounds[0], arms(grounds, number), pace):
                print(f"  round {sample.round} {sample.arm:24} {sample.orders_s:9,.0f} orders/s", flush=True)
                own.append(sample)
            asked = Ratio(f"sequencer, {kinds[0]}", f"pessimistic, {kinds[0]}", 8, 12)
            measured = [each for each in [asked.of(own)] if each]
            print(f"\n{report.table(own)}\n\n{report.ratio_table(measured)}\n\n{processes(own)}", flush=True)
            samples += own
            found += measured
    if path:
        report.write_json(path, environment, samples, found)


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
    parser.add_argument("--seconds", type=int, default=2, help="measured in each run (default 2)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every sample")
    options = parser.parse_args()
    if find_wrk() is None:
        parser.exit(2, "wrk is missing: apt-get install wrk\n")
    pace = Pace(options.rounds, 1, options.seconds)
    uvloop.run(run(options.databases, options.clients, pace, options.json))


if __name__ == "__main__":
    main()
