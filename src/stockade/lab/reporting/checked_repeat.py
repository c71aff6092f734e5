"""What is kept of a repeat once it is checked. Neighbours: `verdict.py` judges these, `summary.py` sums them up."""

from collections.abc import Sequence
from dataclasses import dataclass

from stockade.lab.model.payment import PaymentFigures
from stockade.lab.model.repeat_result import RepeatResult, Violation


@dataclass(frozen=True, slots=True)
class CheckedRepeat:
    """The numbers of one repeat. `timed` is False for a warm-up, which is checked nevertheless.

    Where buyers pay through a gateway, `payments` has what it counted, and `accepted` are the orders that are paid.
    """

    accepted: int
    rejected: int
    failed: int
    left: int
    expected_accepted: int
    violations: tuple[Violation, ...]
    wall_ms: float
    latencies_ms: tuple[float, ...]
    timed: bool
    payments: PaymentFigures | None = None

    @classmethod
    def of(cls, result: RepeatResult, violations: Sequence[Violation], timed: bool) -> "CheckedRepeat":
        """Keep the numbers, so that the snapshot can be freed."""
        return cls(
            result.accepted,
            result.rejected,
            result.failed,
            result.left,
            result.workload.expected_accepted,
            tuple(violations),
            result.wall_ms,
            tuple(result.latencies_ms),
            timed,
        )
