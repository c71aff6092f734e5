"""A buyer is refused for the one reason that the preset allows, and fails only in the documented ways."""

from collections.abc import Iterator

from stockade.lab.execution.load import REJECTED
from stockade.lab.execution.repeat_result import Trial, Violation


def check(trial: Trial) -> Iterator[Violation]:
    """The first refusal with another code, and the first error that no strategy documents."""
    for shot in trial.shots:
        if shot.answer == REJECTED and shot.code != trial.refusal:
            yield Violation("unexpected", f"refused with {shot.code}, allowed is {trial.refusal or 'no refusal'}")
            break
    for shot in trial.shots:
        if shot.unexpected:
            yield Violation("unexpected", f"failed with {shot.unexpected}")
            break
