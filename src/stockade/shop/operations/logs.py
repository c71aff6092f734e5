"""Structured logs: one JSON object per line on standard error, each with the id of the run.

Modules call `logger()` and pass ids (`request_id`, `order_id`) as fields. The level is the setting `log_level`.
"""

import json
import logging
import os
import secrets
import select
import sys
from collections.abc import Mapping, MutableMapping
from functools import partial
from typing import Any

import structlog

from stockade.shop.config.settings import Settings

_WAIT_MS = 50  # for a reader that is slow for a moment; 0 after a line was lost


def configure(settings: Settings, number: int = 0) -> None:
    """Set up logging for this process.

    Args:
        settings: the level and the run's id.
        number: of this serving process, written into every line as `worker` when it is not 0.
    """
    level = getattr(logging, settings.log_level.upper())
    ids: dict[str, Any] = {"run_id": settings.run_id or new_run_id()}
    if number:
        ids["worker"] = number
    structlog.configure(
        processors=[
            partial(_with_ids, ids),  # of the process, not of a context: threads of libraries and of keys log too
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(sort_keys=False),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(_StandardError(ids)),  # type: ignore[arg-type]  # writes, no more
        cache_logger_on_first_use=True,
    )
    _forward_standard_logging(level)


def new_run_id() -> str:
    """A random name for one start of the program."""
    return secrets.token_hex(4)


def logger() -> Any:
    """The logger: `.info("event", order_id=…)`, `.warning`, `.error`, `.exception`."""
    return structlog.get_logger("stockade")


def _with_ids(ids: Mapping[str, Any], _logger: Any, _method: str, line: MutableMapping[str, Any]) -> Mapping[str, Any]:
    line.update(ids)
    return line


class _StandardError:
    """Standard error at the time when a line is written, not when logging was set up.

    An order must never wait for the log: where a line cannot be written (a pipe or a disk that is full, a pipe that is
    closed), it is dropped and counted. The count is written when there is room again.
    """

    def __init__(self, ids: Mapping[str, Any]) -> None:
        self._ids = ids
        self._lost = 0

    def write(self, text: str) -> int:
        """Write one line, or drop it."""
        try:
            fd = sys.stderr.fileno()
        except (AttributeError, OSError, ValueError):  # replaced by an object without a file, or closed
            if sys.stderr is not None and not sys.stderr.closed:
                sys.stderr.write(text)
            return len(text)
        if self._lost:
            told = json.dumps({"event": "log lines lost", "level": "warning", "lost": self._lost, **self._ids})
            if self._put(fd, f"{told}\n"):
                self._lost = 0
        if not self._put(fd, text):
            self._lost += 1
        return len(text)

    def flush(self) -> None:
        """Nothing is buffered."""

    def _put(self, fd: int, text: str) -> bool:
        """Write in parts that a pipe takes atomically; False when there is no room."""
        raw, room = text.encode(errors="backslashreplace"), select.poll()
        room.register(fd, select.POLLOUT)
        try:
            for begin in range(0, len(raw), select.PIPE_BUF):
                if not room.poll(0 if self._lost else _WAIT_MS):
                    return False
                os.write(fd, raw[begin : begin + select.PIPE_BUF])
        except OSError:  # closed, or full
            return False
        return True


class _Forward(logging.Handler):
    """Writes records of libraries that use the standard logging (uvicorn, SQLAlchemy) to the same output."""

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
