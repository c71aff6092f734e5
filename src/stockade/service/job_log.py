"""Logs the rounds of the jobs: a job that fails repeatedly is one line, and one line more when it works again.

Neighbours: `jobs` runs the rounds, `background` passes them here unless the application has a report of its own.
"""

import logging
from typing import Any, Protocol

from stockade.service.jobs import Round

_log = logging.getLogger("stockade.service")


class Logger(Protocol):
    """Logs an event and its fields, as structlog does."""

    def info(self, event: str, **fields: Any) -> Any: ...
    def warning(self, event: str, **fields: Any) -> Any: ...


class StandardLogger:
    """Writes to the logger `stockade.service` of the standard library: `event name=value …`."""

    def info(self, event: str, **fields: Any) -> None:
        """Log something that went as planned."""
        _log.info("%s", _line(event, fields))

    def warning(self, event: str, **fields: Any) -> None:
        """Log something that an operator should know."""
        _log.warning("%s", _line(event, fields))


class JobLog:
    """Logs a round that did something, and a failed round if the round before did not fail in the same way.

    Args:
        logger: where to; by default the standard library's logging.
    """

    def __init__(self, logger: Logger | None = None) -> None:
        self._logger: Logger = logger or StandardLogger()
        self._failed: dict[str, tuple[str, int]] = {}  # job -> what it failed with, and how often in a row

    def __call__(self, done: Round) -> None:
        """Log one round."""
        before, times = self._failed.get(done.job, ("", 0))
        if done.error is not None:
            why = repr(done.error)
            self._failed[done.job] = (why, times + 1)
            if why != before:
                self._logger.warning("job failed", job=done.job, error=why)
            return
        if times:
            del self._failed[done.job]
            self._logger.warning("job works again", job=done.job, failed_rounds=times)
        if any(done.counts.values()):
            self._logger.info("job", job=done.job, **done.counts)


def _line(event: str, fields: dict[str, Any]) -> str:
    return " ".join([event, *(f"{name}={value}" for name, value in fields.items())])
