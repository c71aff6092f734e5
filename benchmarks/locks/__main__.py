"""`python -m benchmarks.locks [--rounds 3]`: the speed tables of docs/locks.md, on a private Redis server.

Rounds are interleaved, so that a busy moment of the machine hits all contenders alike; the best of each is shown.
Other libraries take part once `uv pip install --require-hashes -r requirements/contenders.txt` has been run; who is
left out is named.
"""

import argparse
import asyncio
import os
from collections.abc import Callable
from typing import Any

from benchmarks.locks.contenders import BASELINE, TASKS, THREADS, Contender
from benchmarks.locks.faults import show_faults
from benchmarks.locks.measure import Contended, Pairs
from benchmarks.locks.runs import (
    contended_tasks,
    contended_threads,
    pairs_tasks,
    pairs_threads,
    sleeps_alone,
    sleeps_alone_task,
)
from stockade.lab.servers import Servers

WORKERS, TURNS = 30, 20
SECONDS = 1.0


def rounds_of(rounds: int, runs: dict[str, Callable[[], Any]]) -> dict[str, list[Any]]:
    """The results of each run over interleaved rounds."""
    found: dict[str, list[Any]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            found[name].append(run())
    return found


def show_contended(title: str, rounds: int, runs: dict[str, Callable[[], Contended]], alone: float) -> None:
    """Run and print a table of contended runs."""
    print(
        f"\n{title}: {WORKERS} x {TURNS} acquisitions of 1 ms (the sleeps alone, without a lock: {alone:.2f} x ideal)"
    )
    print(f"{'':26}{'x ideal':>9}{'requests':>10}{'commands':>10}{'max/mean':>10}{'Jain':>7}")
    for name, results in rounds_of(rounds, runs).items():
        row = min(results, key=lambda result: result.wall_s).row(WORKERS)
        print(f"{name:26}{row['x ideal']:9.2f}{row['requests']:10.2f}{row['commands']:10.1f}", end="")
        print(f"{row['max/mean wait']:10.2f}{row['Jain']:7.3f}", flush=True)


def show_pairs(title: str, table: dict[int, dict[str, Pairs]]) -> None:
    """A table of pairs per second: as a multiple of redis-py's Lock, and with the processor time of this process."""
    print(f"\n{title}: acquire+release pairs/s, each on a lock of its own (x {BASELINE}, CPU of the client per pair)")
    print(f"{'':26}" + "".join(f"{number:>26}" for number in table))
    for name in next(iter(table.values())):
        cells = [
            f"{row[name].per_s:,.0f} ({row[name].per_s / row[BASELINE].per_s:.2f}x, {row[name].cpu_us:.0f} us)"
            if name in row
            else "-"
            for row in table.values()
        ]
        print(f"{name:26}" + "".join(f"{cell:>26}" for cell in cells), flush=True)


def pairs(rounds: int, contenders: list[Contender], number: int, run: Callable[[Contender], Pairs]) -> dict[str, Pairs]:
    """The best rate and the least processor time of each contender with so many workers."""
    runs = {each.name: lambda each=each: run(each) for each in contenders if number <= each.most}
    return {
        name: Pairs(max(each.per_s for each in results), min(each.cpu_us for each in results))
        for name, results in rounds_of(rounds, runs).items()
    }


def show_tasks(rounds: int, url: str, contenders: list[Contender]) -> None:
    """Both experiments with tasks."""
    hot = {
        each.name: lambda each=each: asyncio.run(contended_tasks(each.make, url, WORKERS, TURNS)) for each in contenders
    }
    show_contended("Tasks, one hot lock", rounds, hot, asyncio.run(sleeps_alone_task(WORKERS * TURNS)))
    table = {
        number: pairs(
            rounds, contenders, number, lambda each, n=number: asyncio.run(pairs_tasks(each.make, url, n, SECONDS))
        )
        for number in (1, 50, 500)
    }
    show_pairs("Tasks", table)


def show_threads(rounds: int, url: str, contenders: list[Contender]) -> None:
    """Both experiments with threads."""
    hot = {
        each.name: lambda each=each: contended_threads(each.make, url, WORKERS, TURNS)
        for each in contenders
        if each.hot
    }
    show_contended("Threads, one hot lock", rounds, hot, sleeps_alone(WORKERS * TURNS))
    table = {
        number: pairs(rounds, contenders, number, lambda each, n=number: pairs_threads(each.make, url, n, SECONDS))
        for number in (1, 50)
    }
    show_pairs("Threads", table)


def main() -> None:
    """Run everything and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", choices=["tasks", "threads", "faults"])
    options = parser.parse_args()
    print(f"{os.cpu_count()} cores, load at the start {os.getloadavg()[0]:.1f}")
    missing = sorted({each.needs for each in (*TASKS, *THREADS) if each.version is None})
    if missing:
        print(f"left out, not installed (requirements/contenders.txt): {', '.join(missing)}")
    with Servers() as servers:
        url = servers.redis().url
        if options.only in (None, "tasks"):
            show_tasks(options.rounds, url, [each for each in TASKS if each.version is not None])
        if options.only in (None, "threads"):
            show_threads(options.rounds, url, [each for each in THREADS if each.version is not None])
        if options.only in (None, "faults"):
            show_faults(url, options.rounds)
    print(f"\nload at the end {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
