"""The verdict: did a strategy behave as its `Guarantees` promise? Pure functions.

- "as promised": it did.
- "broken": a rule was violated, whether that was promised or not.
- "not as promised": no rule was violated, but a negative control did not fail, requests failed that could have
  succeeded, or there were deadlocks where there must be none.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from stockade.core import Guarantees
from stockade.lab.reporting.checked_repeat import CheckedRepeat

AS_PROMISED, BROKEN, NOT_AS_PROMISED = "as promised", "broken", "not as promised"


@dataclass(frozen=True, slots=True)
class RunCounts:
    """The counts of a run, over all its repeats.

    Attributes:
        processes: processes that executed orders.
        repeats: how many there were.
        broken: repeats with a violation.
        short: repeats in which fewer commands were accepted than possible.
        deadlocks: in total.
        must_fail_unprotected: a strategy without protection must violate a rule in this run.
        wanted_deadlocks: "any", "none" or "some"; where some are wanted, requests may fail because of them.
        fault: name of the fault; empty without.
        unpaid: where buyers pay, what became of how many orders that are not paid.
    """

    processes: int
    repeats: int
    broken: int
    short: int
    deadlocks: int
    must_fail_unprotected: bool
    wanted_deadlocks: str
    fault: str = ""
    unpaid: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        checked: Sequence[CheckedRepeat],
        *,
        processes: int,
        deadlocks: int,
        must_fail_unprotected: bool,
        wanted_deadlocks: str = "any",
        fault: str = "",
    ) -> "RunCounts":
        """Count the repeats; the rest as the attributes say."""
        return cls(
            processes=processes,
            repeats=len(checked),
            broken=sum(1 for repeat in checked if repeat.violations),
            short=sum(1 for repeat in checked if repeat.accepted < repeat.expected_accepted),
            deadlocks=deadlocks,
            must_fail_unprotected=must_fail_unprotected,
            wanted_deadlocks=wanted_deadlocks,
            fault=fault,
            unpaid=sum((Counter(each.payments.unpaid) for each in checked if each.payments), Counter()),
        )


@dataclass(frozen=True, slots=True)
class Judgement:
    """The verdict, whether the guarantees were kept, and the reason (empty if there is nothing to explain)."""

    verdict: str
    kept: bool
    reason: str = ""


def judge(guarantees: Guarantees, counts: RunCounts) -> Judgement:
    """Compare a run with its strategy's guarantees."""
    unsafe = not holds(guarantees, counts.fault, counts.processes)
    if counts.broken:
        times = f"in {counts.broken} of {counts.repeats} repeats"
        return Judgement(BROKEN, unsafe, f"{times}, as it must be" if unsafe else times)
    if unsafe and counts.must_fail_unprotected:
        return Judgement(NOT_AS_PROMISED, False, f"must be seen to fail, and did not in {counts.repeats} repeats")
    if counts.short and not (unsafe or counts.wanted_deadlocks == "some"):
        times = f"in {counts.short} of {counts.repeats} repeats"
        which = ", ".join(f"{count} {what}" for what, count in counts.unpaid.items())
        behind = f"; not paid: {which}" if which else ""
        return Judgement(NOT_AS_PROMISED, False, f"gave up requests that could have succeeded {times}{behind}")
    if counts.wanted_deadlocks == "none" and counts.deadlocks:
        return Judgement(NOT_AS_PROMISED, False, f"{counts.deadlocks} deadlocks where there must be none")
    if counts.wanted_deadlocks == "some" and not counts.deadlocks:
        return Judgement(NOT_AS_PROMISED, False, "no deadlock where there must be some")
    return Judgement(AS_PROMISED, True)


def holds(guarantees: Guarantees, fault: str, processes: int = 2) -> bool:
    """Whether a strategy promises to be right in so many processes and under this fault (empty: none)."""
    too_many = processes > 1 and guarantees.processes == "one"
    return not guarantees.may_oversell and not too_many and (not fault or fault in guarantees.faults)
