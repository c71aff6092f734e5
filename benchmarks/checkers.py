"""How long the checkers of histories take: `python -m benchmarks.checkers`.

A history of a right system is made by the model of the tests, written, read and judged; each checker is timed alone.
The tables that several checkers share are made before. The search has a register of its own, with clients that are
always busy. Neighbours: `tests/lab/checkers/good_histories.py` makes histories, docs/lab.md has the figures.
"""

import argparse
import gc
import json
import random
import resource
import statistics
import sys
import tempfile
import time
from pathlib import Path

from stockade.lab.checkers import CHECKERS
from stockade.lab.checkers.indexed_history import IndexedHistory
from stockade.lab.checkers.linearizability.call import READ, WRITE, Call, ObjectCalls
from stockade.lab.checkers.linearizability.models import register
from stockade.lab.checkers.linearizability.search import Search
from stockade.lab.checkers.rows import serializable
from stockade.lab.history.history_file import read_history, write_history
from tests.lab.checkers.good_histories import good

VERSIONED = ("exactly-once", "same-answer", "version-chain", "real-time", "stock-conserved", "no-oversell")
TABLES = ("tries", "recorded", "ledger", "accepted", "decided", "intervals")


def timed(work):
    """Seconds of processor time that it took, and what it returned: nothing here waits, and others may be at work."""
    begin = time.process_time()
    found = work()
    return time.process_time() - begin, found


def large(operations):
    """A history of about so many operations on 1,000 rows; two thirds are orders of one or two rows."""
    gc.disable()  # the model keeps everything, and makes no cycles
    history = good(1, requests=int(operations / 1.24), keys={f"stock:{at}": 10**9 for at in range(1000)}, reads=0.2)
    gc.enable()
    return history


def written(path, operations):
    """Write a history, in seconds and megabytes."""
    made = large(operations)
    seconds, _ = timed(lambda: write_history(made, path))
    return {"operations": len(made.operations), "write": seconds, "mb": path.stat().st_size / 1e6}


def versioned(operations, rounds):
    """Write, read, tables, and each checker, in seconds."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "history"
        result = written(path, operations)
        result["read"], history = timed(lambda: read_history(path))
    indexed = IndexedHistory(history)
    result["tables"] = sum(timed(lambda name=name: getattr(indexed, name))[0] for name in TABLES)
    for name, check in CHECKERS.items():
        samples = []
        for _ in range(rounds):
            seconds, found = timed(lambda check=check: list(check(indexed)))
            assert not found, found[:1]
            samples.append(seconds)
        result[name] = statistics.median(samples)
    result["versioned"] = sum(result[name] for name in VERSIONED)
    result["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    return result


def cycles(transactions, rounds):
    """The graph of transactions of two rows each, without a cycle and with one, in seconds."""
    found = {}
    history = good(1, requests=transactions, keys={f"stock:{at}": 10**9 for at in range(1000)}, reads=0, of_each=2)
    indexed = IndexedHistory(history)
    for name in TABLES:
        getattr(indexed, name)
    samples = [timed(lambda: list(serializable.check(indexed))) for _ in range(rounds)]
    assert not any(cycle for _, cycle in samples)
    found["no cycle"] = statistics.median(seconds for seconds, _ in samples)
    graph = serializable.build(indexed)
    graph.after[transactions // 2 + 1].append(transactions // 2)
    graph.after[transactions // 2].append(transactions // 2 + 1)
    seconds, cycle = timed(lambda: serializable.find_cycle(graph))
    return found | {"search for one cycle": seconds, "length": len(cycle)}


def busy(operations, clients, seed=1):
    """Calls of a register by clients that are always busy; every value is read as it was at some moment between."""
    rng = random.Random(seed)
    free, value, calls = [0] * clients, "", []
    for number in range(operations):
        client = min(range(clients), key=free.__getitem__)
        begin = free[client] + 1
        end = begin + rng.randrange(1, 100)
        free[client] = end
        calls.append((begin, (begin + end) // 2, end, client, number))
    found = []
    for begin, _, end, client, number in sorted(calls, key=lambda each: each[1]):
        action = rng.choice((WRITE, READ))
        if action == WRITE:
            value = str(rng.randrange(5))
        argument, result = (value, "") if action == WRITE else ("", value)
        found.append(Call(number, client, action, argument, result, True, True, begin, end))
    return ObjectCalls("x", "", sorted(found, key=lambda each: each.invoke_ns))


def searches(operations):
    """Seconds, steps and verdict by number of clients."""
    found = {}
    for clients in (5, 10, 20):
        calls = busy(operations, clients)
        seconds, end = timed(lambda calls=calls: Search(calls, register).run())
        found[clients] = {"seconds": seconds, "steps": end.steps, "verdict": end.verdict.value}
    return found


def main():
    """Measure what the options name, and print it."""
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--operations", type=int, nargs="*", default=[100_000, 1_000_000])
    options.add_argument("--transactions", type=int, default=100_000)
    options.add_argument("--calls", type=int, default=10_000)
    options.add_argument("--rounds", type=int, default=3)
    chosen = options.parse_args()
    for operations in chosen.operations:
        show(f"versioned, {operations:,}", versioned(operations, chosen.rounds))
    show(f"cycles, {chosen.transactions:,} transactions of two rows", cycles(chosen.transactions, chosen.rounds))
    for clients, found in searches(chosen.calls).items():
        show(f"search, {chosen.calls:,} calls, {clients} clients", found)


def show(what, figures):
    """One line of figures."""
    rounded = {name: round(value, 3) if isinstance(value, float) else value for name, value in figures.items()}
    sys.stdout.write(f"{what}: {json.dumps(rounded)}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
