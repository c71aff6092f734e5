"""`serializable`: the database detects the conflict."""

from typing import ClassVar

from stockade.core import Guarantees, Guard
from stockade.strategies.base import Retrying


class Serializable(Retrying):
    """Isolation level SERIALIZABLE, and a retry after a serialization failure (SQLSTATE 40001, MySQL 1213).

    PostgreSQL detects dangerous structures at the commit (Ports and Grittner 2012). MariaDB and MySQL lock what they
    read, so two transactions that read a row and then write it deadlock, and one of them is retried.
    """

    name: ClassVar[str] = "serializable"
    guarantees: ClassVar[Guarantees] = Guarantees()

    @property
    def guard(self) -> Guard:
        return Guard.SERIALIZABLE
