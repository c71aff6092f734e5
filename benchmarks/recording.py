"""What recording costs the lab's own process: `python -m benchmarks.recording`.

Prints the share of one core for 10,000 operations a second: what is done while the load runs, and what is done when it
has ended (values are made and written as JSON lines). Processor time of this process, so that other programs on the
machine count for little; the first repeats warm up.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from stockade.lab.execution.processes.answers import Answer
from stockade.lab.history.history import History
from stockade.lab.history.history_file import write_history
from stockade.lab.history.operation import OK
from stockade.lab.model.burst import RepeatNames
from stockade.lab.recording.recorder import Recorder, rare_collection
from stockade.lab.workloads.registry import find_workload
from stockade.lab.workloads.workload import Request

RATE = 10_000
WARM_UPS = 2


def record(requests: list[Request]) -> Recorder:
    """Record each as an operation with the answer that it usually gets."""
    recorder = Recorder()
    answer = Answer(OK, "", False, "0123456789abcdef", {"stock:lab-1-0-sku-1": 1, "points:lab-1-0-user-1": 1})
    with rare_collection():
        for number, each in enumerate(requests):
            sent = recorder.invoked(
                number % 16, "service 0", each.command, 2_000_000_000, deltas=each.deltas, takes=each.takes
            )
            recorder.returned(sent, answer)  # which the wire has made, whether it is recorded or not
    return recorder


def measured(work: Callable[[], object], count: int, repeats: int) -> list[float]:
    """Processor time for `RATE` operations, in seconds, of each repeat after the warm-ups."""
    found = []
    for _ in range(WARM_UPS + repeats):
        began_s = time.process_time()
        work()
        found.append((time.process_time() - began_s) / count * RATE)
    return found[WARM_UPS:]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--operations", type=int, default=50_000)
    parser.add_argument("--repeats", type=int, default=7)
    options = parser.parse_args()
    names = RepeatNames("bench", 0, 0, 0, 0)
    stream = find_workload("order-stream").requests(names, 1)
    requests = [next(stream) for _ in range(options.operations)]
    recorder = record(requests)
    operations = recorder.operations()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "history.jsonl"
        history = History("order-stream", "pessimistic", "sqlite", (), 1, operations=operations)
        parts = {
            "while the load runs": lambda: record(requests),
            "values, when it has ended": recorder.operations,
            "JSON lines, when it has ended": lambda: write_history(history, file),
        }
        for name, work in parts.items():
            shares = [100 * each for each in measured(work, options.operations, options.repeats)]
            spread = f"{min(shares):.2f} to {max(shares):.2f}"
            print(f"{name}: {statistics.median(shares):.2f} % of a core at {RATE:,} operations/s ({spread})")


if __name__ == "__main__":
    main()
