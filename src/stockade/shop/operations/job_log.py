"""What the rounds of the jobs did, for the log: a job that fails again and again says so once, and once when it works.

Neighbours: `jobs` runs the rounds, `bootstrap` hands them here.
"""

from stockade.shop.operations.jobs import Round
from stockade.shop.operations.logs import logger


class JobLog:
    """A round that did something is worth a line; one that failed, when the one before did not fail in this way."""

    def __init__(self) -> None:
        self._failed: dict[str, tuple[str, int]] = {}  # job -> what it failed with, and how often in a row

    def __call__(self, done: Round) -> None:
        """Told of every round."""
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
