"""Every buyer gets exactly one answer: accepted + rejected + failed = buyers."""

from collections.abc import Iterator

from stockade.lab.execution.repeat_result import Trial, Violation


def check(trial: Trial) -> Iterator[Violation]:
    """The number of answers against the number of buyers."""
    answers, buyers = trial.accepted + trial.rejected + trial.failed, len(trial.scene.orders)
    if answers != buyers:
        yield Violation("count", f"{buyers} buyers got {answers} answers")
