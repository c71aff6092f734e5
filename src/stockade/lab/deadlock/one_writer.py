"""Why SQLite has no deadlock of rows: the file has one write lock, so nobody holds one row and waits for another.

What takes its place is the refusal (SQLITE_BUSY) of a second writer. Neighbour: `experiments.py`.
"""

import sqlite3
from contextlib import closing
from pathlib import Path

from stockade.lab.deadlock.finding import Finding

_BUSY = (sqlite3.SQLITE_BUSY,)


def two_writers(file: Path) -> list[Finding]:
    """Two transactions, two rows, opposite order, on this file; its table is dropped at the end."""
    with closing(_open(file)) as a, closing(_open(file)) as b:
        a.execute("CREATE TABLE lab_rows (id INTEGER PRIMARY KEY, n INTEGER NOT NULL)")
        a.execute("INSERT INTO lab_rows VALUES (1, 0), (2, 0)")
        try:
            return [_immediate(a, b), _deferred(a, b)]
        finally:
            a.execute("DROP TABLE lab_rows")


def _open(file: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(file, timeout=0, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")  # as the store: readers do not hold a commit up
    return connection


def _immediate(a: sqlite3.Connection, b: sqlite3.Connection) -> Finding:
    """The second writer does not even begin, so it holds nothing while it waits."""
    a.execute("BEGIN IMMEDIATE")
    a.execute("UPDATE lab_rows SET n = n + 1 WHERE id = 1")
    refused = _refused(b, "BEGIN IMMEDIATE")
    a.execute("UPDATE lab_rows SET n = n + 1 WHERE id = 2")
    a.execute("COMMIT")
    began = not _refused(b, "BEGIN IMMEDIATE")
    b.execute("ROLLBACK")
    return Finding(
        "one writer",
        "BEGIN IMMEDIATE, as the store does",
        "hold and wait",
        "the second begins when the first has ended",
        f"the second was {'refused' if refused else 'let in'}, and afterwards {'let in' if began else 'refused'}",
        refused and began,
    )


def _deferred(a: sqlite3.Connection, b: sqlite3.Connection) -> Finding:
    """Both read first; the second that wants to write is refused, and must begin again."""
    for each in (a, b):
        each.execute("BEGIN")
        each.execute("SELECT n FROM lab_rows").fetchall()
    a.execute("UPDATE lab_rows SET n = n + 1 WHERE id = 1")
    refused = _refused(b, "UPDATE lab_rows SET n = n + 1 WHERE id = 2")
    a.execute("UPDATE lab_rows SET n = n + 1 WHERE id = 2")
    a.execute("COMMIT")
    stale = _refused(b, "UPDATE lab_rows SET n = n + 1 WHERE id = 2")
    b.execute("ROLLBACK")
    said = (
        f"the second was {'refused' if refused else 'let in'}; after the commit {'still' if stale else 'not'} refused"
    )
    return Finding("one writer", "BEGIN, read, then write", "", "the second is refused", said, refused and stale)


def _refused(connection: sqlite3.Connection, sql: str) -> bool:
    try:
        connection.execute(sql)
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode & 0xFF not in _BUSY:
            raise
        return True
    return False
