"""What one recording showed: counts of its operations, its violations, and whether the strategy claimed that.

Neighbours: `checkers/` find the violations, `cli/lab/record.py` prints a summary.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from stockade.lab.checkers import ABOUT_TIME, judge
from stockade.lab.checkers.exposure import not_exposed
from stockade.lab.checkers.violation import Violation
from stockade.lab.history.history import History
from stockade.lab.history.operation import TYPES
from stockade.lab.recording.fault import claims
from stockade.lab.recording.plan import RecordingPlan

AS_CLAIMED, BROKEN, NOT_AS_CLAIMED, NOT_EXPOSED = "as claimed", "broken", "not as claimed", "not exposed"
LATE = "late"  # only rules about time were broken, which a busy machine does too


@dataclass(frozen=True, slots=True)
class RecordingSummary:
    """One line of the report.

    Attributes:
        operations: how many.
        types: how many of each type; tries of one request each count.
        rate: decided operations per second of load.
        violations: by checker.
        first: the first violation; None without any.
        verdict: `as claimed`, `broken`, `late`, `not as claimed`, or `not exposed`: a fault did not act.
        kept: whether the strategy did what it claims; a negative control that breaks does. Not so unless exposed.
        reason: of the verdict; empty if there is nothing to explain.
    """

    operations: int
    types: dict[str, int]
    rate: float
    violations: dict[str, int]
    first: Violation | None
    verdict: str
    kept: bool
    reason: str = ""


def summarise(plan: RecordingPlan, history: History) -> RecordingSummary:
    """Judge a history and compare it with what the strategy claims.

    Args:
        plan: that was recorded.
        history: its result.
    """
    found = judge(history)
    types = Counter(operation.type for operation in history.operations)
    verdict, kept, reason = _verdict(plan, found)
    if verdict != BROKEN and (missed := not_exposed(history)):
        verdict, kept, reason = NOT_EXPOSED, False, "; ".join(missed)
    return RecordingSummary(
        operations=len(history.operations),
        types={type_: types[type_] for type_ in TYPES},
        rate=_rate(history),
        violations=dict(Counter(each.rule for each in found)),
        first=found[0] if found else None,
        verdict=verdict,
        kept=kept,
        reason=reason,
    )


def _verdict(plan: RecordingPlan, found: Sequence[Violation]) -> tuple[str, bool, str]:
    guarantees = plan.contender.guarantees
    if claims(plan.contender, plan.faults, plan.processes):
        if found and all(each.rule in ABOUT_TIME for each in found):
            return LATE, False, "only rules about time were broken: record it again when the machine is idle"
        return (BROKEN, False, "") if found else (AS_CLAIMED, True, "")
    if any(each.rule not in ABOUT_TIME for each in found):
        return BROKEN, True, "as it must be" if guarantees.may_oversell else "it does not claim otherwise"
    if plan.workload.must_break and plan.contender.guarantees.may_oversell:
        return NOT_AS_CLAIMED, False, "it protects nothing, so it must be seen to break a rule"
    return AS_CLAIMED, True, "it claims nothing here, and another seed may show why"


def _rate(history: History) -> float:
    phases = history.phases
    decided = sum(
        operation.type in TYPES[:2] and phases.warm_ns <= operation.return_ns <= phases.final_ns
        for operation in history.operations
    )
    return decided / max(1e-9, (phases.final_ns - phases.warm_ns) / 1e9)
