"""No unexpected response: a rejection has the one code that the variant allows, a failure is a documented error."""

from collections.abc import Iterator

from stockade.lab.model.repeat_result import REJECTED, RepeatResult, Violation


def check(result: RepeatResult) -> Iterator[Violation]:
    """Report the first rejection with another code, and the first error that no strategy documents."""
    allowed = result.allowed_rejection
    for response in result.responses:
        if response.status == REJECTED and response.code != allowed:
            yield Violation("unexpected", f"refused with {response.code}, allowed is {allowed or 'no refusal'}")
            break
    for response in result.responses:
        if response.unexpected_error:
            yield Violation("unexpected", f"failed with {response.unexpected_error}")
            break
