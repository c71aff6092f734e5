"""Random histories of a register, a lock or a versioned row: some are right, and only a checker knows which."""

import random
from dataclasses import replace

from stockade.lab.history.final_state import FinalRow
from stockade.lab.history.operation import OK, REFUSED, UNKNOWN
from tests.lab.checkers.small_histories import FINAL, KEY, call, calls, line, operation, recorded, small


def spans(rng, count, length=6):
    """Random intervals, of which some overlap and some meet."""
    starts = sorted(rng.randrange(count * 3) for _ in range(count))
    return [(begin, begin + rng.randrange(1, length)) for begin in starts]


def random_register(seed):
    """Few values, so that many reads can be explained."""
    rng = random.Random(seed)
    found = []
    for client, (begin, end) in enumerate(spans(rng, 8)):
        kind = rng.choice(("write", "read", "compare_and_set"))
        argument = {"write": rng.choice("ab"), "compare_and_set": f"{rng.choice('ab')}>{rng.choice('ab')}"}.get(
            kind, ""
        )
        result = rng.choice(("a", "b", "")) if kind == "read" else ""
        types = {"write": (OK, OK, UNKNOWN), "read": (OK,), "compare_and_set": (OK, REFUSED, UNKNOWN)}[kind]
        found.append(call(kind, client, begin, end, argument, result, rng.choice(types)))
    return calls(call("write", 99, 0, 0, "a"), *found)


def random_lock(seed):
    """Few owners, who take and give back."""
    rng = random.Random(seed)
    found = [
        call(
            rng.choice(("acquire", "release")),
            at,
            begin,
            end,
            rng.choice("xyz"),
            "",
            rng.choice((OK, OK, REFUSED, UNKNOWN)),
        )
        for at, (begin, end) in enumerate(spans(rng, 6))
    ]
    return calls(call("acquire", 99, 0, 0, "x"), *found)


def shuffled_versions(seed):
    """Orders of one row, whose versions are in another order than their times, by a little."""
    rng = random.Random(seed)
    times = spans(rng, 7, length=9)
    order = sorted(range(len(times)), key=lambda at: times[at][0] + rng.uniform(0, 8))
    operations, ledger = [], []
    for place, at in enumerate(order):
        begin, end = times[at]
        versions = {KEY: place + 2}
        if rng.random() < 0.3:
            look = operation("", begin, end, command="read", versions={KEY: rng.randint(1, len(times) + 1)}, deltas={})
            operations.append(look._replace(number=100 + at))
        operations.append(operation(f"request-{at}", begin, end, versions=versions)._replace(number=at))
        ledger.append(line(f"request-{at}", place + 2, 100 - place - 1))
    history = small(operations, initial={KEY: 100}, rows=(FinalRow(KEY, 100 - len(times), 0, len(times) + 1),))
    requests = tuple(recorded(f"request-{at}") for at in order)
    final = replace(FINAL, initial={KEY: 100}, rows=history.final.rows, ledger=tuple(ledger), requests=requests)
    return replace(history, final=replace(final, orders=(), outbox=(), deliveries=()))
