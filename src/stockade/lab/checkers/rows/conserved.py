"""Conservation: what there was, and every change of an accepted request, make what is left; of each row and in total.

A lost update breaks it: two requests were accepted, and the row changed once. The ledger may say nothing of it, so the
changes are those that the operations asked for. `stock_conserved`, `points_conserved` and `counters_conserved` share
this.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator

from stockade.lab.checkers.indexed_history import IndexedHistory
from stockade.lab.checkers.violation import Violation


def conserved(history: IndexedHistory, rule: str, concerns: Callable[[str], bool]) -> Iterator[Violation]:
    """Compare each row with its ledger and with the operations, then the totals.

    Args:
        history: what is judged.
        rule: name of the violations.
        concerns: whether the rule is about the row of this key.
    """
    final = history.final
    in_ledger: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for line in final.ledger:
        sums = in_ledger[line.key]
        sums[0] += line.delta
        sums[1] += line.held
    asked, undeclared = history.asked
    total = expected_total = 0
    complete = True
    for row in final.rows:
        if not concerns(row.key) or (row.key not in final.initial and row.key not in in_ledger):
            continue
        initial = final.initial.get(row.key, 0)
        delta, held = in_ledger[row.key]
        if (row.amount, row.held) != (initial + delta, held):
            right = f"{initial} and its ledger make {initial + delta} ({held} held)"
            text = f"{row.key} has {row.amount} ({row.held} held): {right}"
            yield Violation(rule, text, key=row.key, version=row.version)
        if row.key in undeclared or row.key not in final.initial:
            complete = False
            continue
        expected = initial + asked.get(row.key, 0)
        total, expected_total = total + row.amount, expected_total + expected
        if row.amount != expected:
            text = f"{row.key} has {row.amount}: {initial} and the changes of all accepted requests make {expected}"
            yield Violation(rule, text, key=row.key, version=row.version)
    if complete and total != expected_total:
        yield Violation(rule, f"{total} in all rows together, and must be {expected_total}")
