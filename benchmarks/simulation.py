"""How many histories a minute the simulator plays, by strategy: `python -m benchmarks.simulation`.

Four clients with two operations each, two processes, every fault at once and none; with the judgement of the history.
The seeds are shared by as many processes as there are cores, at most `--processes`. A violation of a strategy that
protects its rows ends the measurement: the simulator or the strategy would be broken, and so would be the figures.
"""

import argparse
import gc
import logging
import os
import time
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from typing import NamedTuple

from stockade.lab.checkers import judge
from stockade.lab.model.contender import all_contenders
from stockade.lab.simulation.settings import Settings
from stockade.lab.simulation.simulation import play

WARM_UP = 5  # histories that are not timed, of each strategy in each process
STORMS = ("calm", "everything")


class Measured(NamedTuple):
    """Processor seconds of playing and of judging, events and callbacks, histories; of some seeds together."""

    played_s: float = 0.0
    judged_s: float = 0.0
    steps: int = 0
    histories: int = 0


def measure(settings: Settings, seeds: range) -> Measured:
    """Play seeds, and judge what came of them.

    Raises:
        RuntimeError: a history has a violation that the strategy does not allow.
    """
    for seed in range(WARM_UP):
        judge(play(seed, settings).history)
    may_break = settings.parsed.guarantees.may_oversell
    played_s = judged_s = 0.0
    steps = 0
    for seed in seeds:
        began_s = time.process_time()
        played = play(seed, settings)
        ended_s = time.process_time()
        found = judge(played.history)
        played_s += ended_s - began_s
        judged_s += time.process_time() - ended_s
        if found and not may_break:
            raise RuntimeError(
                f"{settings.contender}, {settings.storm}, seed {seed}: {found[0].rule}: {found[0].detail}"
            )
        steps += played.steps
    return Measured(played_s, judged_s, steps, len(seeds))


def together(parts: Iterable[Measured]) -> Measured:
    """The sum."""
    return Measured(*(sum(each) for each in zip(*parts, strict=True)))


def all_settings() -> list[Settings]:
    """Every strategy, without faults and with all."""
    return [
        Settings.named(contender.name, storm, 1 if contender.guarantees.processes == "one" else 2)
        for contender in all_contenders(with_forms=False)
        for storm in STORMS
    ]


def _begin() -> None:
    """In each process: no log, and the collector need not look at what the imports made."""
    logging.disable(logging.CRITICAL)
    gc.collect()
    gc.freeze()


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=200, help="histories of each strategy")
    parser.add_argument("--processes", type=int, default=2, help="at most so many play at the same time")
    arguments = parser.parse_args()
    processes = min(arguments.processes, os.cpu_count() or 1)
    shares = [range(first, arguments.seeds, processes) for first in range(processes)]
    print("| strategy | faults | histories/min | with judgement | events | ms |")
    print("|---|---|---:|---:|---:|---:|")
    total, wall_s = Measured(), 0.0
    with ProcessPoolExecutor(processes, initializer=_begin) as pool:
        for settings in all_settings():
            began_s = time.perf_counter()
            found = together(pool.map(partial(measure, settings), shares))
            wall_s += time.perf_counter() - began_s
            total = together([total, found])
            print(f"| {settings.contender} | {settings.storm} | {_columns(found)} |", flush=True)
    one_core = total.histories / (total.played_s + total.judged_s) * 60
    print(f"\none core: {one_core:,.0f} histories a minute with judgement, by processor time")
    played = total.histories + WARM_UP * processes * len(all_settings())
    print(f"{processes} processes: {played / wall_s * 60:,.0f} a minute, by the clock, with the warm-ups")


def _columns(found: Measured) -> str:
    both_s, count = found.played_s + found.judged_s, found.histories
    rates = f"{count / found.played_s * 60:,.0f} | {count / both_s * 60:,.0f}"
    return f"{rates} | {found.steps / count:.0f} | {both_s / count * 1e3:.1f}"


if __name__ == "__main__":
    main()
