"""Settings of the connection during an audit: a time limit, and memory to sort and group in.

The settings are restored, because the connection may belong to a pool. Neighbour: `long_audit`.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection

from stockade.store.postgres.local_settings import local_settings

SORT_MB = 64  # of the server's memory, for each sort or hash table of one statement


@contextmanager
def bounded(conn: Connection, wait_s: float) -> Iterator[None]:
    """Set the memory of the statements, on PostgreSQL also a time limit; elsewhere `Database.read` limits them.

    Args:
        conn: a connection to read on.
        wait_s: the longest that one statement may take, in seconds.
    """
    match conn.dialect.name:
        case "sqlite":
            yield
        case "postgresql":
            # one core for each step: other steps, or the orders, need the others
            alone = {"max_parallel_workers_per_gather": "0"}
            ms = max(1, int(wait_s * 1000))  # for the server 0 means no limit
            with local_settings(conn, alone | {"statement_timeout": str(ms), "work_mem": f"{SORT_MB}MB"}):
                yield
        case _:
            with _session(conn, {"sort_buffer_size": SORT_MB * 2**20}):
                yield


@contextmanager
def _session(conn: Connection, settings: dict[str, int]) -> Iterator[None]:
    """Set variables of a session of MariaDB or MySQL, and restore them at the end."""
    read = ", ".join(f"@@SESSION.{name}" for name in settings)
    try:
        before = conn.exec_driver_sql(f"SELECT {read}").one()
        _set(conn, settings)
        yield
        _set(conn, dict(zip(settings, before, strict=True)))
    except BaseException:
        conn.invalidate()  # else it would return to its pool with these settings
        raise


def _set(conn: Connection, settings: dict[str, int]) -> None:
    conn.exec_driver_sql("SET " + ", ".join(f"SESSION {name} = {value}" for name, value in settings.items()))
