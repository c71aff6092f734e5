"""`advisory`: wait for an advisory lock of the database."""

from typing import ClassVar

from stockade.core import Guarantees, Guard
from stockade.strategies.base import Retrying


class Advisory(Retrying):
    """A database advisory lock for each key, on the order's own connection, around a version check.

    PostgreSQL pg_advisory_xact_lock, MariaDB and MySQL GET_LOCK, taken in key order, so they cannot deadlock. The lock
    only queues the writers; the version check protects the row.
    """

    name: ClassVar[str] = "advisory"
    guarantees: ClassVar[Guarantees] = Guarantees(databases=("postgres", "mariadb", "mysql"), order="database")

    @property
    def guard(self) -> Guard:
        return Guard.ADVISORY
