"""Memory of the process while many orders go through the sequencer: it must stay flat.

python -m benchmarks.memory                     200,000 orders, one line every 20,000: about a minute
"""

import argparse
import asyncio
import gc
import os

import uvloop

from benchmarks import processor
from benchmarks.harness import Place, calm_collector
from benchmarks.ours import MOST, strategy_on
from benchmarks.target import BenchmarkDatabase, open_target

STEPS = 10


async def run(orders: int, users: int, callers: int) -> None:
    """Place the orders, print the resident memory after every tenth of them, audit."""
    each = orders // STEPS // callers * callers
    async with open_target(users) as target, strategy_on(target, "sequencer") as (place, _):
        before = await target.reset()
        resident_mb: list[float] = []
        calm_collector()
        for step in range(1, STEPS + 1):
            await asyncio.gather(*(_place(target, place, each // callers) for _ in range(callers)))
            gc.collect()  # what is left is referenced
            resident_mb.append(processor.resident_mb(os.getpid()))
            print(f"{step * each:>9,} orders  {resident_mb[-1]:7.1f} MB", flush=True)
        await target.audit(before, STEPS * each)
        print(f"from the first line to the last: {resident_mb[-1] - resident_mb[0]:+.1f} MB")


async def _place(target: BenchmarkDatabase, place: Place, orders: int) -> None:
    for _ in range(orders):
        assert await place(target.next_buy())


def main() -> None:
    """Read the command line, run, print."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.memory", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--orders", type=int, default=200_000, help="in all (default 200000)")
    parser.add_argument("--users", type=int, default=200_000, help="points accounts (default 200000)")
    parser.add_argument("--callers", type=int, default=MOST, help=f"at the same time (default {MOST})")
    options = parser.parse_args()
    uvloop.run(run(options.orders, options.users, options.callers))


if __name__ == "__main__":
    main()
