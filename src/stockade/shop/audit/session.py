"""What an audit asks of its connection: an end of each statement, and memory enough to sort and to group in.

Given back as it was: the connection may belong to a pool. Neighbours: `run` audits with it; `rules` do without.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection

from stockade.store.postgres.local_settings import local_settings

SORT_MB = 64  # of the server's memory, for each sort or hash table of one statement


@contextmanager
def bounded(conn: Connection, wait_s: float) -> Iterator[None]:
    """Give the statements memory meanwhile; on PostgreSQL also an end, which elsewhere `Database.read` gives them.

    Args:
        conn: a connection to read on.
        wait_s: the longest one statement may take, in seconds.
    """
    match conn.dialect.name:
        case "sqlite":
            yield
        case "postgresql":
            # one core for a step: other steps, or the orders, have the others
            alone = {"max_parallel_workers_per_gather": "0"}
            ms = max(1, int(wait_s * 1000))  # to the server 0 means that there is no limit
            with local_settings(conn, alone | {"statement_timeout": str(ms), "work_mem": f"{SORT_MB}MB"}):
                yield
        case _:
            with _session(conn, {"sort_buffer_size": SORT_MB * 2**20}):
                yield


@contextmanager
def _session(conn: Connection, settings: dict[str, int]) -> Iterator[None]:
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


def _set(conn: Connection, settings: dict[str, int]) -> None:
    conn.exec_driver_sql("SET " + ", ".join(f"SESSION {name} = {value}" for name, value in settings.items()))
