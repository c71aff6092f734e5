"""What an audit asks of its connection: an end of each statement, and memory enough to sort and to group in.

Given back as it was: the connection may belong to a pool. Neighbours: `run` audits with it; `rules` do without.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection

from stockade.store.local_settings import local_settings

SORT_MB = 64  # of the server's memory, for each sort or hash table of one statement
_STEPS = 100_000  # of SQLite between two looks at the clock


@contextmanager
def bounded(conn: Connection, wait_s: float) -> Iterator[None]:
    """End each statement meanwhile on the server, too, when its time is over.

    Args:
        conn: a connection to read on.
        wait_s: the longest one statement may take, in seconds.
    """
    ms = max(1, int(wait_s * 1000))  # to the servers 0 means that there is no limit
    match conn.dialect.name:
        case "sqlite":
            with _watched(conn.connection.driver_connection, time.monotonic() + wait_s):
                yield
        case "postgresql":
            # one core for a step: other steps, or the orders, have the others
            alone = {"max_parallel_workers_per_gather": "0"}
            end = {"statement_timeout": str(ms), "work_mem": f"{SORT_MB}MB"}
            with local_settings(conn, alone | end):
                yield
        case "mariadb":
            with _session(conn, {"max_statement_time": ms / 1000, "sort_buffer_size": SORT_MB * 2**20}):
                yield
        case _:
            with _session(conn, {"max_execution_time": ms, "sort_buffer_size": SORT_MB * 2**20}):
                yield


@contextmanager
def _watched(driver: Any, end: float) -> Iterator[None]:
    """Interrupt SQLite when the time has come, on the monotonic clock."""
    driver.set_progress_handler(lambda: int(time.monotonic() > end), _STEPS)
    try:
        yield
    finally:
        driver.set_progress_handler(None, 0)


@contextmanager
def _session(conn: Connection, settings: dict[str, float]) -> Iterator[None]:
    """Set something in the session of MariaDB or MySQL meanwhile."""
    read = ", ".join(f"@@SESSION.{name}" for name in settings)
    try:
        before = conn.exec_driver_sql(f"SELECT {read}").one()
        _set(conn, settings)
        yield
        _set(conn, dict(zip(settings, before, strict=True)))
    except BaseException:
        conn.invalidate()  # it would go back to its pool as it is
        raise


def _set(conn: Connection, settings: dict[str, float]) -> None:
    conn.exec_driver_sql("SET " + ", ".join(f"SESSION {name} = {value}" for name, value in settings.items()))
