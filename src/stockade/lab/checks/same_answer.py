"""The same request id is always told the same (I6)."""

from collections import defaultdict
from collections.abc import Iterator

from stockade.lab.execution.load import FAILED
from stockade.lab.execution.repeat_result import Trial, Violation


def check(trial: Trial) -> Iterator[Violation]:
    """Request ids with two different decisions. A failure is no decision: the buyer may ask again."""
    told: dict[str, set[str]] = defaultdict(set)
    for shot in trial.shots:
        if shot.answer != FAILED:
            told[shot.request_id].add(shot.content)
    for request_id, contents in told.items():
        if len(contents) > 1:
            yield Violation("same-answer", f"request {request_id} was told {len(contents)} different things")
