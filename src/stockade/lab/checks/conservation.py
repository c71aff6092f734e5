"""Conservation: what is left equals the initial amount plus the changes of all accepted orders.

A lost update breaks it: two orders were accepted and the row changed once.
"""

from collections import defaultdict
from collections.abc import Iterator

from stockade.core import Key
from stockade.lab.model.repeat_result import RepeatResult, Violation


def check(result: RepeatResult) -> Iterator[Violation]:
    """Compare `left` with the responses, then each row with the sum of its ledger entries."""
    workload, snapshot = result.workload, result.snapshot
    right = workload.initial + workload.change * result.executed
    if result.left != right:
        executed = f"{result.executed} carried out at {workload.change:+d} on {workload.initial}"
        yield Violation("conservation", f"{executed} make {right}, but {result.left} are left")
    sums: dict[Key, list[int]] = defaultdict(lambda: [0, 0])
    for entry in snapshot.ledger:
        sums[entry.key][0] += entry.delta
        sums[entry.key][1] += entry.held
    for key in sorted({*snapshot.rows, *sums}):
        row, (amount, held) = snapshot.rows.get(key), sums[key]
        if row is None:
            yield Violation("conservation", f"{key} has ledger entries but does not exist")
        elif (row.amount, row.held) != (amount, held):
            text = f"{key} is {row.amount} ({row.held} held), its ledger sums to {amount} ({held} held)"
            yield Violation("conservation", text)
