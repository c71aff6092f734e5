"""Same answer: every response to the same request id carries the same decision."""

from collections import defaultdict
from collections.abc import Iterator

from stockade.lab.model.repeat_result import FAILED, RepeatResult, Violation


def check(result: RepeatResult) -> Iterator[Violation]:
    """Report request ids with two different decisions. A failure is no decision: the buyer may repeat the request."""
    decisions: dict[str, set[str]] = defaultdict(set)
    for response in result.responses:
        if response.status != FAILED:
            decisions[response.request_id].add(response.content_hash)
    for request_id, hashes in decisions.items():
        if len(hashes) > 1:
            yield Violation("same-answer", f"request {request_id} got {len(hashes)} different answers")
