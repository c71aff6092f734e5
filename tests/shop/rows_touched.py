"""How many rows the statements of some work touch, counted by the database itself: not seconds.

PostgreSQL runs each statement under EXPLAIN ANALYZE first, which names the rows of each step of the plan, and what its
filters and joins looked at and threw away. MariaDB counts its reads in the session, without join buffers: these would
hide comparisons. SQLite counts the steps of its machine.
"""

import json
from contextlib import contextmanager

from sqlalchemy import Engine, event

EVERY = 100  # steps of SQLite between two counts
LOOKED_AT = ("Actual Rows", "Rows Removed by Filter", "Rows Removed by Join Filter", "Rows Removed by Index Recheck")
HANDLER = "SHOW SESSION STATUS LIKE 'Handler_read%'"


class RowsTouched:
    """Counts while it is open, over all engines of this process. `count` is the result."""

    def __init__(self):
        self.count = 0

    def before(self, conn, cursor, statement, parameters, context, many):
        """Listens to `before_cursor_execute`."""
        match conn.dialect.name:
            case "postgresql":
                if not many and statement.lstrip()[:6].upper() in ("SELECT", "WITH F", "DELETE"):
                    self.count += sum(rows_of(plan) for plan in self._plans(conn, statement, parameters))
            case "sqlite":
                conn.connection.driver_connection.set_progress_handler(self._step, EVERY)
            case _:
                self._ask(conn, "SET SESSION join_cache_level = 0")
                self.count -= self._reads(conn)

    def after(self, conn, cursor, statement, parameters, context, many):
        """Listens to `after_cursor_execute`."""
        match conn.dialect.name:
            case "postgresql":
                return
            case "sqlite":
                return  # its rows are still to be fetched: the handler stays until the end
            case _:
                self.count += self._reads(conn)

    def _step(self):
        self.count += EVERY
        return 0

    def _plans(self, conn, statement, parameters):
        cursor = conn.connection.cursor()
        writes = statement.lstrip()[:6].upper() == "DELETE"
        if writes:
            cursor.execute("SAVEPOINT looked_at")
        cursor.execute("SET max_parallel_workers_per_gather = 0")  # from some size on, each worker sums up for itself
        cursor.execute(f"EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) {statement}", parameters)
        found = cursor.fetchone()[0]
        if writes:
            cursor.execute("ROLLBACK TO SAVEPOINT looked_at")
        cursor.close()
        return [each["Plan"] for each in (json.loads(found) if isinstance(found, str) else found)]

    def _reads(self, conn):
        return sum(int(value) for _, value in self._ask(conn, HANDLER))

    @staticmethod
    def _ask(conn, statement):
        cursor = conn.connection.cursor()
        cursor.execute(statement)
        rows = cursor.fetchall() if cursor.description else []
        cursor.close()
        return rows


def rows_of(plan):
    """Rows that a step of a plan and the steps below it looked at, in all their loops."""
    own = plan["Actual Loops"] * sum(plan.get(name, 0) for name in LOOKED_AT)
    return own + sum(rows_of(below) for below in plan.get("Plans", ()))


@contextmanager
def rows_touched():
    """Count the rows that statements touch meanwhile."""
    counter = RowsTouched()
    event.listen(Engine, "before_cursor_execute", counter.before)
    event.listen(Engine, "after_cursor_execute", counter.after)
    try:
        yield counter
    finally:
        event.remove(Engine, "before_cursor_execute", counter.before)
        event.remove(Engine, "after_cursor_execute", counter.after)
