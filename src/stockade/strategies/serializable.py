"""`serializable`: let the database find the conflict."""

from typing import ClassVar

from stockade.core import Guarantees, Guard
from stockade.strategies.base import Retrying


class Serializable(Retrying):
    """Isolation level SERIALIZABLE, and a retry when the database refuses (SQLSTATE 40001, MySQL 1213).

    PostgreSQL finds dangerous structures afterwards (Ports and Grittner 2012); MariaDB and MySQL lock what they read,
    so readers that want to write deadlock and one of them is retried.
    """

    name: ClassVar[str] = "serializable"
    guarantees: ClassVar[Guarantees] = Guarantees()

    @property
    def guard(self) -> Guard:
        return Guard.SERIALIZABLE
