"""Logs the rounds of the jobs: a job that fails repeatedly is one line, and one line more when it works again.

Neighbours: `jobs` runs the rounds, `bootstrap` passes them here.
"""

from stockade.shop.operations.jobs import Round
from stockade.shop.operations.logs import logger


class JobLog:
    """Logs a round that did something, and a failed round if the round before did not fail in the same way."""

    def __init__(self) -> None:
        self._failed: dict[str, tuple[str, int]] = {}  # job -> what it failed with, and how often in a row

    def __call__(self, done: Round) -> None:
        """Log one round."""
        before, times = self._failed.get(done.job, ("", 0))
        if done.error is not None:
            why = repr(done.error)
            self._failed[done.job] = (why, times + 1)
            if why != before:
                logger().warning("job failed", job=done.job, error=why)
            return
        if times:
            del self._failed[done.job]
            logger().warning("job works again", job=done.job, failed_rounds=times)
        if any(done.counts.values()):
            logger().info("job", job=done.job, **done.counts)
