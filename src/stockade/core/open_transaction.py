"""Whether this task is inside a transaction of the store: locks refuse to be taken there."""

from contextvars import ContextVar

from stockade.core.errors import LockInTransaction

in_transaction: ContextVar[bool] = ContextVar("stockade_in_transaction", default=False)
"""True while this task is inside a transaction of the store, which sets and resets it."""


def refuse_in_transaction(what: str) -> None:
    """Raise LockInTransaction when the caller has an open transaction of the store.

    Args:
        what: the lock, for the message.
    """
    if in_transaction.get():
        raise LockInTransaction(
            f"{what} was requested inside an open transaction. Take the lock first, then run the transaction, "
            "and release after the commit; otherwise the lock protects an old snapshot and ends before the commit."
        )
