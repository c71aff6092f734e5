"""Nobody is sold what is not there (I2): no more yes than the opening stock or balance bears, and none below zero."""

from collections.abc import Iterator

from stockade.lab.execution.repeat_result import Trial, Violation


def check(trial: Trial) -> Iterator[Violation]:
    """More accepted than there was, or a row whose amount or free part is negative."""
    scene = trial.scene
    if trial.accepted > scene.right_accepted:
        there = f"{scene.opening} at {-scene.step} each" if scene.step < -1 else f"only {scene.opening} there"
        yield Violation("oversell", f"{trial.accepted} accepted, {there}")
    for key, row in trial.evidence.rows.items():
        if row.amount < 0 or row.held < 0 or row.held > row.amount:
            yield Violation("oversell", f"{key} ended at {row.amount} with {row.held} of it spoken for")
