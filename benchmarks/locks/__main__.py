"""`python -m benchmarks.locks [--rounds 3]`: the speed tables of docs/locks.md, on a private Redis server.

Rounds are interleaved, so that a busy moment of the machine hits all contenders alike; the best of each is shown.
Other libraries take part once `uv pip install --require-hashes -r requirements/contenders.txt` has been run; who is
left out is named.
"""

import argparse
import asyncio
import json
import os
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

from benchmarks.locks.contenders import BASELINE, TASKS, THREADS
from benchmarks.locks.faults import show_faults
from benchmarks.locks.measure import Pairs
from benchmarks.locks.runs import (
    contended_tasks,
    contended_threads,
    pairs_tasks,
    pairs_threads,
    sleeps_alone,
    sleeps_alone_task,
)
from stockade.devservers import Servers

Samples: TypeAlias = dict[str, Any]
WORKERS, TURNS = 30, 20
ALONE = "the sleeps alone, x ideal"
SECONDS = 0.3  # of an uncontended run
SLICES = 3  # so many of them in each round: the best of many short ones has found a quiet moment


def rounds_of(rounds: int, runs: dict[str, Callable[[], Any]]) -> dict[str, list[Any]]:
    """The results of each run over interleaved rounds."""
    found: dict[str, list[Any]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            found[name].append(run())
    return found


def show_contended(title: str, rounds: int, runs: dict[str, Callable[[], Any]]) -> Samples:
    """Run and print a table of contended runs; the run `ALONE` is only the sleeps."""
    results = rounds_of(rounds, runs)
    print(f"\n{title}: {WORKERS} x {TURNS} acquisitions of 1 ms (the sleeps alone: {min(results[ALONE]):.2f} x ideal)")
    print(f"{'':26}{'x ideal':>9}{'requests':>10}{'commands':>10}{'max/mean':>10}{'Jain':>7}")
    samples: Samples = {ALONE: results.pop(ALONE)}
    samples |= {name: [result.row(WORKERS) for result in of] for name, of in results.items()}
    for name in results:
        row = min(samples[name], key=lambda row: row["x ideal"])
        print(f"{name:26}{row['x ideal']:9.2f}{row['requests']:10.2f}{row['commands']:10.1f}", end="")
        print(f"{row['max/mean wait']:10.2f}{row['Jain']:7.3f}", flush=True)
    return samples


def show_pairs(title: str, table: dict[int, dict[str, list[Pairs]]]) -> Samples:
    """A table of pairs per second: as a multiple of redis-py's Lock, and with the processor time of this process."""
    print(f"\n{title}: acquire+release pairs/s, each on a lock of its own (x {BASELINE}, CPU of the client per pair)")
    print(f"{'':26}" + "".join(f"{number:>26}" for number in table))
    for name in next(iter(table.values())):
        cells = [_cell(row[name], row[BASELINE]) if name in row else "-" for row in table.values()]
        print(f"{name:26}" + "".join(f"{cell:>26}" for cell in cells), flush=True)
    return {
        f"{name}, {number}": [asdict(each) for each in results]
        for number, row in table.items()
        for name, results in row.items()
    }


def _cell(results: list[Pairs], baseline: list[Pairs]) -> str:
    """The best rate, its ratio, the least processor time."""
    per_s, its = (max(each.per_s for each in of) for of in (results, baseline))
    return f"{per_s:,.0f} ({per_s / its:.2f}x, {min(each.cpu_us for each in results):.0f} us)"


def tasks(rounds: int, url: str) -> Samples:
    """Both experiments with tasks."""
    there = [each for each in TASKS if each.version is not None]
    hot: dict[str, Callable[[], Any]] = {
        each.name: partial(_run, contended_tasks, each.make, url, WORKERS, TURNS) for each in there
    }
    hot[ALONE] = partial(_run, sleeps_alone_task, WORKERS * TURNS)
    samples = show_contended("Tasks, one hot lock", rounds, hot)
    table = {
        number: rounds_of(SLICES * rounds, {
            each.name: partial(_run, pairs_tasks, each.make, url, number, SECONDS)
            for each in there if number <= each.most
        })
        for number in (1, 50, 500)
    }  # fmt: skip
    return {"hot": samples, "cold": show_pairs("Tasks", table)}


def _run(experiment: Callable[..., Any], *args: Any) -> Any:
    return asyncio.run(experiment(*args))


def threads(rounds: int, url: str) -> Samples:
    """Both experiments with threads."""
    there = [each for each in THREADS if each.version is not None]
    hot: dict[str, Callable[[], Any]] = {
        each.name: partial(contended_threads, each.make, url, WORKERS, TURNS) for each in there if each.hot
    }
    hot[ALONE] = partial(sleeps_alone, WORKERS * TURNS)
    samples = show_contended("Threads, one hot lock", rounds, hot)
    table = {
        number: rounds_of(
            SLICES * rounds, {each.name: partial(pairs_threads, each.make, url, number, SECONDS) for each in there}
        )
        for number in (1, 50)
    }
    return {"hot": samples, "cold": show_pairs("Threads", table)}


PARTS: dict[str, Callable[[int, str], Samples]] = {"tasks": tasks, "threads": threads, "faults": show_faults}


def main() -> None:
    """Run everything and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", choices=PARTS)
    parser.add_argument("--json", type=Path, metavar="FILE", help="keep every sample and the environment")
    options = parser.parse_args()
    contenders = {each.needs: each.version for each in (*TASKS, *THREADS) if each.needs}
    missing = sorted(name for name, version in contenders.items() if version is None)
    report: Samples = {"cores": os.cpu_count(), "load before": os.getloadavg()[0], "versions": contenders}
    print(f"{report['cores']} cores, load at the start {report['load before']:.1f}")
    if missing:
        print(f"left out, not installed (requirements/contenders.txt): {', '.join(missing)}")
    with Servers() as servers:
        url = servers.redis().url
        for name, part in PARTS.items():
            if options.only in (None, name):
                report[name] = part(options.rounds, url)
    report["load after"] = os.getloadavg()[0]
    print(f"\nload at the end {report['load after']:.1f}")
    if options.json:
        options.json.write_text(json.dumps(report, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
