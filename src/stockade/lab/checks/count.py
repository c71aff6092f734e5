"""Every buyer gets exactly one response: accepted + rejected + failed = buyers."""

from collections.abc import Iterator

from stockade.lab.model.repeat_result import RepeatResult, Violation


def check(result: RepeatResult) -> Iterator[Violation]:
    """Compare the number of responses with the number of buyers."""
    responses, buyers = result.accepted + result.rejected + result.failed, len(result.workload.orders)
    if responses != buyers:
        yield Violation("count", f"{buyers} buyers got {responses} answers")
