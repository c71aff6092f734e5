"""Proof that a lock is held, as the lock library hands it to a strategy."""

from typing import NamedTuple

from stockade.core.key import Key


class Grant(NamedTuple):
    """One held lock.

    Attributes:
        key: what is locked.
        owner: the holder's unique id.
        token: the fencing token; grows with every grant of this key (equal tokens of two owners are possible
            after a failover, so the owner is compared too).
        valid_until: end of the lease on the monotonic clock, in seconds, counted from before the request was sent.
    """

    key: Key
    owner: str
    token: int
    valid_until: float
