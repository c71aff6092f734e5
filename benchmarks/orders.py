"""Orders on one hot product in this process: the sequencer against the ways people take orders.

    python -m benchmarks.orders                     every contest, 5 rounds: about eight minutes
    python -m benchmarks.orders --only strategies --rounds 2 --seconds 1
    python -m benchmarks.orders --json figures.json

Ratios are taken inside each round, so run it on a machine that does nothing else, or believe the ranges.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import uvloop

from benchmarks import report
from benchmarks.baselines import BY_HAND, Raw, row_lock
from benchmarks.harness import Arm, Pace, Sample, calm_collector, take_turns
from benchmarks.orm import Orm
from benchmarks.ours import MOST, POOL, Ours, Pooled
from benchmarks.pgbench import PgBench, find_pgbench
from benchmarks.report import Measured, Ratio
from benchmarks.target import open_target
from stockade.shop.model.constants import POINTS

MANY = 1_024
FEW = 32


@dataclass(frozen=True, slots=True)
class Contest:
    """Arms that take turns, the goals for their ratios, and how their orders are paid."""

    summary: str
    arms: Sequence[Arm]
    ratios: Sequence[Ratio]
    pay: str = POINTS


def contests() -> dict[str, Contest]:
    """Every contest by name."""
    program = find_pgbench()
    hot = [PgBench(program)] if program else []
    return {
        "128": Contest(
            f"{MOST} callers, one hot product",
            [
                Ours("sequencer", "sequencer", MOST),
                Orm("orm", MOST, MOST),
                Raw("raw row lock", row_lock, MOST, MOST),
                Raw(f"raw row lock, pool {POOL}", row_lock, MOST),
                *hot,
            ],
            [
                Ratio("sequencer", "orm", 30, 60),
                Ratio("sequencer", "raw row lock", 20, 30),
                Ratio("sequencer", PgBench.NAME, 3, 5),
            ],
        ),
        "1024": Contest(
            f"{MANY} callers, one hot product, {MOST} connections where there is one for each caller",
            [
                Ours("sequencer", "sequencer", MANY),
                Raw("raw row lock", row_lock, MANY, MOST),
                Raw(f"raw row lock, pool {POOL}", row_lock, MANY),
                *hot,
            ],
            [Ratio("sequencer", "raw row lock", 35, 60), Ratio("sequencer", PgBench.NAME, 3, 5)],
        ),
        "growth": Contest(
            "more callers must not make it slower",
            [
                Ours("sequencer at 1,024", "sequencer", MANY),
                Ours("sequencer at 128", "sequencer", MOST),
                Ours("sequencer at 8", "sequencer", 8),
                Ours("sequencer at 1", "sequencer", 1),
            ],
            [Ratio("sequencer at 1,024", "sequencer at 128", 1, 1)],
        ),
        "strategies": Contest(
            f"each row-level strategy and the same work by hand, {FEW} callers, pool {POOL}",
            [arm for name in BY_HAND for arm in (Ours(name, name, FEW), Raw(f"{name} by hand", BY_HAND[name], FEW))],
            [Ratio(name, f"{name} by hand", 0.5, 0.8) for name in BY_HAND],
        ),
        "pooler": _pooler(),
    }


def _pooler() -> Contest:
    names = ("sequencer", "pessimistic")
    return Contest(
        f"{MOST} callers, one hot product, through PgBouncer in transaction mode and without it",
        [arm for name in names for arm in (Ours(name, name, MOST), Pooled(f"{name}, pooler", name, MOST))],
        [Ratio(f"{name}, pooler", name, 0.3, 0.5) for name in names],
    )


async def run(chosen: dict[str, Contest], pace: Pace, users: int, path: Path | None) -> None:
    """Run the contests one after the other and print each when it is done."""
    samples: list[Sample] = []
    found: list[Measured] = []
    print(f"starting PostgreSQL with {users:,} points accounts", flush=True)
    async with open_target(users) as target:
        environment = report.environment([target], pace)
        calm_collector()
        for name, contest in chosen.items():
            print(f"\n## {name}: {contest.summary}\n", flush=True)
            own = []
            async for sample in take_turns(target, contest.arms, pace):
                print(f"  round {sample.round} {sample.arm:24} {sample.orders_s:9,.0f} orders/s", flush=True)
                own.append(sample)
            measured = [each for ratio in contest.ratios if (each := ratio.of(own))]
            print(f"\n{report.table(own)}\n\n{report.ratio_table(measured)}", flush=True)
            samples += own
            found += measured
    if path:
        report.write_json(path, environment, samples, found)


def main() -> None:
    """Read the command line, run, print."""
    every = contests()
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.orders", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="+", choices=every, default=list(every), help="contests to run; default all")
    parser.add_argument("--rounds", type=int, default=5, help="measured rounds (default 5)")
    parser.add_argument("--seconds", type=float, default=2.0, help="measured in each run (default 2)")
    parser.add_argument("--warm", type=float, default=0.7, metavar="SECONDS", help="before that (default 0.7)")
    parser.add_argument("--users", type=int, default=200_000, help="points accounts (default 200000)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every sample")
    options = parser.parse_args()
    if find_pgbench() is None:
        print("left out: pgbench (it comes with PostgreSQL's programs)")
    pace = Pace(options.rounds, options.warm, options.seconds)
    uvloop.run(run({name: every[name] for name in options.only}, pace, options.users, options.json))


if __name__ == "__main__":
    main()
