"""The checks, most visible damage first: the report shows the first violation.

A check is one file with one function over a `RepeatResult`. It yields at most one violation for each rule and row, so
that a report stays readable. A new check is one file and one line here.
"""

from collections.abc import Callable, Iterator

from stockade.lab.checks import conservation, count, exactly_once, ledger_chain, oversell, same_answer, unexpected
from stockade.lab.model.repeat_result import RepeatResult, Violation

CHECKS: tuple[Callable[[RepeatResult], Iterator[Violation]], ...] = (
    oversell.check,
    conservation.check,
    exactly_once.check,
    same_answer.check,
    ledger_chain.check,
    count.check,
    unexpected.check,
)


def violations(result: RepeatResult) -> list[Violation]:
    """Everything that is wrong with a repeat."""
    return [violation for check in CHECKS for violation in check(result)]
