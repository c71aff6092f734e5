"""No oversell: no more orders are accepted than the initial amount is enough for, and no amount is below zero."""

from collections.abc import Iterator

from stockade.lab.model.repeat_result import RepeatResult, Violation


def check(result: RepeatResult) -> Iterator[Violation]:
    """Compare the accepted orders with the initial amount, then check each row for a negative amount or free part."""
    workload = result.workload
    if result.accepted > workload.expected_accepted:
        each = -workload.change
        there = f"{workload.initial} at {each} each" if each > 1 else f"only {workload.initial} there"
        yield Violation("oversell", f"{result.accepted} accepted, {there}")
    for key, row in result.snapshot.rows.items():
        if row.amount < 0 or row.held < 0 or row.held > row.amount:
            yield Violation("oversell", f"{key} ended at {row.amount} with {row.held} of it held")
