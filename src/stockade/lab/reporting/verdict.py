"""The verdict: did a strategy behave as its Guarantees says? Pure; figures in, judgement out.

"broken": an invariant was violated, promised or not. "not as promised": the Guarantees was missed without a violation
(a control that must fail did not; fewer were served than could have been; deadlocks where there must be none).
"""

from dataclasses import dataclass

from stockade.core import Guarantees

AS_PROMISED, BROKEN, NOT_AS_PROMISED = "as promised", "broken", "not as promised"


@dataclass(frozen=True, slots=True)
class Observed:
    """What a run showed, over all its repeats.

    Attributes:
        processes: how many took orders.
        repeats: how many there were.
        broken: repeats with a violation.
        short: repeats in which fewer were accepted than could have been.
        deadlocks: in total.
        bites: the arm shows a missing protection for certain.
        wanted_deadlocks: "any", "none" or "some"; who provokes deadlocks may give up requests for them.
        fault: name of the fault it ran under; empty without.
    """

    processes: int
    repeats: int
    broken: int
    short: int
    deadlocks: int
    bites: bool
    wanted_deadlocks: str
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Judgement:
    """The verdict, whether it is the one that the Guarantees says, and why (empty when there is nothing to say)."""

    verdict: str
    kept: bool
    reason: str = ""


def judge(promise: Guarantees, seen: Observed) -> Judgement:
    """Hold a run to its strategy's Guarantees."""
    unsafe = not holds(promise, seen.fault, seen.processes)
    if seen.broken:
        times = f"in {seen.broken} of {seen.repeats} repeats"
        return Judgement(BROKEN, unsafe, f"{times}, as it must be" if unsafe else times)
    if unsafe and seen.bites:
        return Judgement(NOT_AS_PROMISED, False, f"must be seen to fail, and did not in {seen.repeats} repeats")
    if seen.short and not (unsafe or promise.may_undersell or seen.wanted_deadlocks == "some"):
        times = f"in {seen.short} of {seen.repeats} repeats"
        return Judgement(NOT_AS_PROMISED, False, f"gave up requests that could have succeeded {times}")
    if seen.wanted_deadlocks == "none" and seen.deadlocks:
        return Judgement(NOT_AS_PROMISED, False, f"{seen.deadlocks} deadlocks where there must be none")
    if seen.wanted_deadlocks == "some" and not seen.deadlocks:
        return Judgement(NOT_AS_PROMISED, False, "no deadlock where there must be some")
    return Judgement(AS_PROMISED, True)


def holds(promise: Guarantees, fault: str, processes: int = 2) -> bool:
    """Whether a strategy claims to be right in so many processes and under this fault (empty: none)."""
    alone = processes > 1 and promise.processes == "one"
    return not promise.may_oversell and not alone and (not fault or fault in promise.faults)
