"""The permission to write, for a process that may write only while it is registered.

Neighbours: `store.registration` implements it, `transact` and the executors check it.
"""

from typing import Protocol

from sqlalchemy import Connection

from stockade.store.engine.dialect import Dialect


class WritePermit(Protocol):
    """The permission of this process to write.

    Each method raises Busy (code NOT_READY or DEPENDENCY_DOWN) if it cannot be confirmed; nothing may be written then.
    """

    async def confirm(self, deadline: float) -> None:
        """Before the first attempt: renew the permission if it may be over.

        Args:
            deadline: on the monotonic clock, in seconds.
        """
        ...

    def lock_row(self, connection: Connection, dialect: Dialect) -> None:
        """In a transaction that is about to write: keep the permission until the transaction ends, where necessary."""
        ...

    def check_lease(self) -> None:
        """Right before the commit: check the permission by the clock, without a message to the database."""
        ...
