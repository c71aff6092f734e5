"""Structured logs: one JSON object a line on standard error, with the run's id in each.

Modules ask `logger()` and pass ids (`request_id`, `order_id`) as fields. Neighbours: `settings` gives the level;
every room of the shop logs through here.
"""

import logging
import secrets
import sys
from typing import Any

import structlog

from stockade.shop.settings import Settings


def configure(settings: Settings, worker: int = 0) -> None:
    """Set up logging for this process.

    Args:
        settings: the level and the run's id.
        worker: number of this worker process, written into every line when it is not 0.
    """
    level = getattr(logging, settings.log_level.upper())
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(sort_keys=False),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(_StandardError()),  # type: ignore[arg-type]  # writes, no more
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(run_id=settings.run_id or new_run_id())
    if worker:
        structlog.contextvars.bind_contextvars(worker=worker)
    _forward_standard_logging(level)


def new_run_id() -> str:
    """A random name for one start of the program."""
    return secrets.token_hex(4)


def logger() -> Any:
    """The logger: `.info("event", order_id=…)`, `.warning`, `.error`, `.exception`."""
    return structlog.get_logger("stockade")


class _StandardError:
    """Standard error as it is when a line is written, not as it was when logging was set up."""

    def write(self, text: str) -> int:
        return sys.stderr.write(text)

    def flush(self) -> None:
        sys.stderr.flush()


class _Forward(logging.Handler):
    """Hands records of libraries that use the standard logging (uvicorn, SQLAlchemy) to the same output."""

    def emit(self, record: logging.LogRecord) -> None:
        fields: dict[str, Any] = {"logger": record.name}
        if record.exc_info:
            fields["exc_info"] = record.exc_info
        logger().log(record.levelno, record.getMessage(), **fields)


def _forward_standard_logging(level: int) -> None:
    root = logging.getLogger()
    root.handlers[:] = [_Forward()]
    root.setLevel(max(level, logging.WARNING))
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logging.getLogger(name).handlers.clear()
        logging.getLogger(name).propagate = True
