"""`python -m benchmarks.locks [--rounds 3]`: the speed tables of docs/locks.md, on a private Redis server.

Rounds are interleaved, so that a busy moment of the machine hits all contenders alike; the best of each is shown.
"""

import argparse
import asyncio
from collections.abc import Callable
from typing import Any

from benchmarks.locks.contenders import TASKS, THREADS, UNCONTENDED_THREADS
from benchmarks.locks.runs import contended_tasks, contended_threads, pairs_tasks, pairs_threads
from stockade.lab.servers import Servers

WORKERS, TURNS = 30, 20
SECONDS = 1.0


def best(rounds: int, runs: dict[str, Callable[[], Any]], better: Callable[[Any], float]) -> dict[str, Any]:
    """The best result of each run over interleaved rounds."""
    found: dict[str, Any] = {}
    for _ in range(rounds):
        for name, run in runs.items():
            result = run()
            if name not in found or better(result) > better(found[name]):
                found[name] = result
    return found


def show_contended(title: str, rows: dict[str, Any]) -> None:
    """A table of contended runs."""
    print(f"\n{title}: {WORKERS} x {TURNS} acquisitions of 1 ms")
    print(f"{'':26}{'x ideal':>9}{'requests':>10}{'commands':>10}{'max/mean':>10}{'Jain':>7}")
    for name, result in rows.items():
        row = result.row(WORKERS)
        print(f"{name:26}{row['x ideal']:9.2f}{row['requests']:10.2f}{row['commands']:10.1f}", end="")
        print(f"{row['max/mean wait']:10.2f}{row['Jain']:7.3f}")


def show_pairs(title: str, table: dict[int, dict[str, float]]) -> None:
    """A table of pairs per second, and each as a multiple of redis-py's Lock."""
    print(f"\n{title}: acquire+release pairs/s, each on a lock of its own (x redis-py Lock)")
    print(f"{'':26}" + "".join(f"{number:>20}" for number in table))
    for name in next(iter(table.values())):
        cells = [
            f"{row[name]:,.0f} ({row[name] / row['redis-py Lock']:.2f}x)" if name in row else "-"
            for row in table.values()
        ]
        print(f"{name:26}" + "".join(f"{cell:>20}" for cell in cells))


def hot_tasks(contender: Any, url: str) -> Callable[[], Any]:
    """A contended run with tasks."""
    return lambda: asyncio.run(contended_tasks(contender, url, WORKERS, TURNS))


def hot_threads(contender: Any, url: str) -> Callable[[], Any]:
    """A contended run with threads."""
    return lambda: contended_threads(contender, url, WORKERS, TURNS)


def cold_tasks(contender: Any, url: str, number: int) -> Callable[[], Any]:
    """An uncontended run with tasks."""
    return lambda: asyncio.run(pairs_tasks(contender, url, number, SECONDS))


def cold_threads(contender: Any, url: str, number: int) -> Callable[[], Any]:
    """An uncontended run with threads."""
    return lambda: pairs_threads(contender, url, number, SECONDS)


def main() -> None:
    """Run everything and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    with Servers() as servers:
        url = servers.redis().url
        runs = {name: hot_tasks(each, url) for name, each in TASKS.items()}
        show_contended("Tasks, one hot lock", best(rounds, runs, lambda run: -run.wall_s))
        runs = {name: hot_threads(each, url) for name, each in THREADS.items()}
        show_contended("Threads, one hot lock", best(rounds, runs, lambda run: -run.wall_s))
        table = {}
        for number in (1, 50, 500):
            chosen = {name: each for name, each in TASKS.items() if number <= 50 or name != "stockade over redis-py"}
            runs = {name: cold_tasks(each, url, number) for name, each in chosen.items()}
            table[number] = best(rounds, runs, float)
        show_pairs("Tasks", table)
        table = {}
        for number in (1, 50):
            runs = {name: cold_threads(each, url, number) for name, each in UNCONTENDED_THREADS.items()}
            table[number] = best(rounds, runs, float)
        show_pairs("Threads", table)


if __name__ == "__main__":
    main()
