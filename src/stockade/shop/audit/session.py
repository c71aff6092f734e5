"""What an audit asks of its connection: an end of each statement, and memory enough to sort in.

Given back as it was: the connection may belong to a pool. Neighbours: `run` audits with it; `rules` do without.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection

SORT_MB = 64  # of the server's memory, for each sort of one statement
_STEPS = 100_000  # of SQLite between two looks at the clock


@contextmanager
def bounded(conn: Connection, wait_s: float, *, alone: bool) -> Iterator[None]:
    """End each statement meanwhile on the server, too, when its time is over.

    Args:
        conn: a connection to read on.
        wait_s: the longest one statement may take, in seconds.
        alone: one core is enough: PostgreSQL uses no parallel workers.
    """
    if conn.dialect.name == "sqlite":
        driver: Any = conn.connection.driver_connection
        end = time.monotonic() + wait_s
        driver.set_progress_handler(lambda: int(time.monotonic() > end), _STEPS)
        try:
            yield
        finally:
            driver.set_progress_handler(None, 0)
        return
    try:
        for statement, _ in _settings(conn, wait_s, alone):
            conn.exec_driver_sql(statement)
        yield
        for _, statement in _settings(conn, wait_s, alone):
            conn.exec_driver_sql(statement)
    except BaseException:
        conn.invalidate()  # it would go back to its pool as it is
        raise


def _settings(conn: Connection, wait_s: float, alone: bool) -> list[tuple[str, str]]:
    """Statements that set something, each with the one that sets it back."""
    if conn.dialect.name == "postgresql":
        names = {"statement_timeout": int(wait_s * 1000), "work_mem": f"'{SORT_MB}MB'"}
        if alone:
            names["max_parallel_workers_per_gather"] = 0
        return [(f"SET {name} = {value}", f"RESET {name}") for name, value in names.items()]
    limit = "max_statement_time" if conn.dialect.name == "mariadb" else "max_execution_time"
    value = wait_s if conn.dialect.name == "mariadb" else int(wait_s * 1000)
    names = {limit: value, "sort_buffer_size": SORT_MB * 2**20}
    return [(f"SET SESSION {name} = {value}", f"SET SESSION {name} = DEFAULT") for name, value in names.items()]
