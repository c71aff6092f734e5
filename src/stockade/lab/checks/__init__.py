"""The checks, in the order in which their findings are shown: what a shopkeeper would notice first comes first.

A check is one file with one function over a `Trial`. It yields at most one violation for each broken rule and row, so
that a report stays readable. Invariants I1 to I6 of the reliability page; a new check is one file and one line here.
"""

from collections.abc import Callable, Iterator

from stockade.lab.checks import conservation, count, exactly_once, ledger_chain, oversell, same_answer, unexpected
from stockade.lab.execution.repeat_result import Trial, Violation

CHECKS: tuple[Callable[[Trial], Iterator[Violation]], ...] = (
    oversell.check,
    conservation.check,
    exactly_once.check,
    same_answer.check,
    ledger_chain.check,
    count.check,
    unexpected.check,
)


def violations(trial: Trial) -> list[Violation]:
    """Everything that is wrong with a repeat."""
    return [violation for check in CHECKS for violation in check(trial)]
