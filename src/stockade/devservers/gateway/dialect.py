"""What a dialect of the test gateway reads and writes. Neighbours: `toss_dialect`, `stripe_dialect`; `main` routes."""

from dataclasses import dataclass
from typing import ClassVar, Protocol

from stockade.devservers.gateway.ledger import Payment
from stockade.devservers.gateway.reply import Reply


@dataclass(frozen=True, slots=True)
class Order:
    """A request to charge, as either dialect reads it.

    Attributes:
        reference: the caller's.
        payment_key: of the buyer's page: of Toss the id of the payment too.
        amount: in the smallest unit.
        currency: three capital letters.
    """

    reference: str
    payment_key: str
    amount: int
    currency: str


@dataclass(frozen=True, slots=True)
class Message:
    """A notification: its body and its headers."""

    body: bytes
    headers: dict[str, str]


class BadRequest(ValueError):
    """The request cannot be read; the message says why."""


class Dialect(Protocol):
    """One gateway's way to speak. `key_covers_body`: the same key with another body is refused."""

    key_covers_body: ClassVar[bool]

    def read_order(self, body: bytes) -> Order:
        """Read a request to charge, or raise `BadRequest`."""
        ...

    def payment_id(self, order: Order, new_id: str) -> str:
        """The id of the payment that this order makes."""
        ...

    def read_refund(self, body: bytes, payment_id: str) -> tuple[str, int, str]:
        """Read a request to refund: the payment, the amount and what the caller says, or raise `BadRequest`."""
        ...

    def paid(self, payment: Payment) -> Reply:
        """The reply about a payment."""
        ...

    def refunded(self, payment: Payment) -> Reply:
        """The reply about the last refund of a payment."""
        ...

    def refused(self, status: int, code: str) -> Reply:
        """An error: `declined` of the buyer's bank, `not-found`, `already`, `key-busy`, `key-reused`, `refund`, …"""
        ...

    def notification(self, payment: Payment, event_id: str, at_s: int, secret: str) -> Message:
        """What the gateway reports by itself about a payment."""
        ...
