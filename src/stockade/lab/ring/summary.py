"""What one recording showed: counts of its operations, its violations, and whether the strategy claimed that.

Neighbours: `checkers/` find the violations, `expectation.py` has the verdicts, `cli/lab/record.py` prints a summary,
`player.py` does the like for a cell, which it may play again.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from stockade.lab.checkers import judge
from stockade.lab.checkers.exposure import not_exposed
from stockade.lab.checkers.violation import Violation
from stockade.lab.history.history import History
from stockade.lab.history.operation import TYPES
from stockade.lab.recording.load import OFFERED
from stockade.lab.recording.plan import RecordingPlan
from stockade.lab.ring.expectation import (
    AS_CLAIMED,
    BROKEN_AS_CLAIMED,
    HELD,
    KEPT,
    LATE,
    MAY_BREAK,
    MUST_BREAK,
    NOT_CAUGHT,
    NOT_EXPOSED,
    expected,
    is_control,
    verdict,
)

REASONS: Final = {  # by what was claimed, and the verdict
    (HELD, LATE): "only rules about time were broken: record it again when the machine is idle",
    (MUST_BREAK, BROKEN_AS_CLAIMED): "as it must be",
    (MUST_BREAK, NOT_CAUGHT): "it is a control here, so it must be seen to break a rule about data",
    (MAY_BREAK, BROKEN_AS_CLAIMED): "it does not claim otherwise",
    (MAY_BREAK, AS_CLAIMED): "it claims nothing here, and another seed may show why",
}


@dataclass(frozen=True, slots=True)
class RecordingSummary:
    """One line of the report.

    Attributes:
        operations: how many.
        types: how many of each type; tries of one request each count.
        rate: decisions per second of load, about commands and reads.
        violations: by checker.
        first: the first violation; None without any.
        verdict: one of the verdicts of `expectation.py`.
        kept: whether the strategy did what it claims; a negative control that is caught does. Not so unless exposed.
        reason: of the verdict; empty if there is nothing to explain.
        offered: by an open loop: how many requests were `offered`, of these `not_sent` because every client was busy,
            and `late`; empty: the loop was closed.
    """

    operations: int
    types: dict[str, int]
    rate: float
    violations: dict[str, int]
    first: Violation | None
    verdict: str
    kept: bool
    reason: str = ""
    offered: Mapping[str, int] = field(default_factory=dict)


def summarise(plan: RecordingPlan, history: History) -> RecordingSummary:
    """Judge a history and compare it with what the strategy claims.

    Args:
        plan: that was recorded.
        history: its result.
    """
    violations, missed = judge(history), not_exposed(history)
    control = is_control(
        plan.contender,
        plan.faults,
        plan.database,
        shares_rows=plan.workload.must_break,
        processes=plan.processes,
    )
    claimed = expected(plan.contender, plan.faults, control=control, processes=plan.processes)
    found = verdict(claimed, violations, exposed=not missed)
    said = "; ".join(missed)
    if missed and found != NOT_EXPOSED:  # then this is not the reason of the verdict
        said = f"not exposed: {said}"
    types = Counter(operation.type for operation in history.operations)
    return RecordingSummary(
        operations=len(history.operations),
        types={type_: types[type_] for type_ in TYPES},
        rate=_rate(history),
        violations=dict(Counter(each.rule for each in violations)),
        first=violations[0] if violations else None,
        verdict=found,
        kept=found in KEPT,
        reason="; ".join(each for each in (REASONS.get((claimed, found), ""), said) if each),
        offered=_offered(history),
    )


def _offered(history: History) -> Mapping[str, int]:
    found = history.final.extra.get(OFFERED)
    return {name: int(str(count)) for name, count in found.items()} if isinstance(found, Mapping) else {}


def _rate(history: History) -> float:
    phases = history.phases
    decided = sum(
        operation.type in TYPES[:2] and phases.warm_ns <= operation.return_ns <= phases.final_ns
        for operation in history.operations
    )
    return decided / max(1e-9, (phases.final_ns - phases.warm_ns) / 1e9)
