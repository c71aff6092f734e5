"""How many histories a minute the simulator plays on one core, by strategy: `python -m benchmarks.simulation`.

Four clients with two operations each, two processes, every fault at once and none; with the judgement of the history.
"""

import argparse
import logging
import time

from stockade.lab.checkers import judge
from stockade.lab.model.contender import all_contenders
from stockade.lab.simulation.settings import Settings
from stockade.lab.simulation.simulation import play

WARM_UP = 20


def measure(settings: Settings, seeds: int) -> tuple[float, float, int]:
    """Seconds of processor time for the histories, for their judgement, and the events and callbacks of all."""
    for seed in range(WARM_UP):
        judge(play(seed, settings).history)
    played_s = judged_s = 0.0
    steps = 0
    for seed in range(seeds):
        began_s = time.process_time()
        played = play(seed, settings)
        ended_s = time.process_time()
        judge(played.history)
        played_s += ended_s - began_s
        judged_s += time.process_time() - ended_s
        steps += played.steps
    return played_s, judged_s, steps


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=200, help="histories of each strategy")
    seeds = parser.parse_args().seeds
    logging.disable(logging.CRITICAL)
    print("| strategy | faults | histories/min | with judgement | events | ms |")
    print("|---|---|---:|---:|---:|---:|")
    total_s, count = 0.0, 0
    for contender in (each for each in all_contenders(with_forms=False) if not each.needs_kafka):
        for storm in ("calm", "everything"):
            processes = 1 if contender.guarantees.processes == "one" else 2
            played_s, judged_s, steps = measure(Settings.named(contender.name, storm, processes), seeds)
            both_s = played_s + judged_s
            total_s, count = total_s + both_s, count + seeds
            rates = f"{seeds / played_s * 60:,.0f} | {seeds / both_s * 60:,.0f}"
            print(f"| {contender.name} | {storm} | {rates} | {steps / seeds:.0f} | {both_s / seeds * 1e3:.1f} |")
    print(f"\nall: {count / total_s * 60:,.0f} histories a minute with judgement, processor time of one core")


if __name__ == "__main__":
    main()
