"""What the test gateway has approved, declined and refunded. It lives in memory and is the judge of every test.

Neighbours: both dialects change it, `main` shows it.
"""

import itertools
from dataclasses import dataclass, field
from typing import NamedTuple

from stockade.devservers.gateway.reply import Reply


@dataclass(slots=True)
class GivenBack:
    """One refund: its id, its amount in the smallest unit, and what the caller said about it."""

    id: str
    amount: int
    about: str


@dataclass(slots=True)
class Payment:
    """One request to charge that was carried out: approved, or declined.

    Attributes:
        id: ours; of Toss the payment key.
        reference: the caller's.
        amount: in the smallest unit.
        currency: three capital letters.
        declined: the code with which it was declined; empty: it was approved.
        refunds: in their order.
    """

    id: str
    reference: str
    amount: int
    currency: str
    declined: str = ""
    refunds: list[GivenBack] = field(default_factory=list)

    @property
    def left(self) -> int:
        """What can still be refunded."""
        return self.amount - sum(each.amount for each in self.refunds)


class Kept(NamedTuple):
    """The answer to an idempotency key: when it was made (monotonic, seconds), to which request, and the reply."""

    at_s: float
    request: bytes
    reply: Reply


class Ledger:
    """All payments, by id; a reference may have several when the gateway was made to charge twice."""

    def __init__(self) -> None:
        self.payments: dict[str, Payment] = {}
        self.answers: dict[str, Kept] = {}  # by path and idempotency key
        self.busy_keys: set[str] = set()
        self.requests = 0
        self._numbers = itertools.count(1)

    def new_id(self, prefix: str) -> str:
        """An id that no other payment, refund or event has."""
        return f"{prefix}_{next(self._numbers):08}"

    def add(self, payment: Payment) -> None:
        """Record an approval or a decline. Approving the same id again is another charge, under an id of its own."""
        id_ = payment.id
        if id_ in self.payments and not self.payments[id_].declined:
            id_ = self.new_id(f"{id_}-again")
        self.payments.pop(id_, None)  # the last one made stands last
        self.payments[id_] = payment

    def of_reference(self, reference: str) -> list[Payment]:
        """The payments of a reference, the newest first: a page can make several, of which one is confirmed."""
        return [each for each in reversed(self.payments.values()) if each.reference == reference]
