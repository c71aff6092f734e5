"""The interface of a payment gateway: approve, look up, refund, and read a notification.

An answer is a value. `Declined` is definite: this request was not and will not be charged. Whatever is not definite is
`Unknown`: no reply, a time-out, an error of the gateway, a reply that cannot be read. An adapter never raises for what
a gateway or the network does. Neighbours: `registry` names the adapters, `http_client` bounds their calls.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Protocol, TypeAlias

from stockade.gateways.money import Money

MAX_NOTIFICATION_BYTES: Final = 256_000


class BadNotification(ValueError):
    """A notification is not from the gateway, too old, or cannot be read; the message says which."""


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a gateway can do: how an unknown outcome can be resolved depends on it.

    Attributes:
        key_valid_s: for how many seconds a repeated request with the same idempotency key gets the first answer; 0:
            the gateway takes no key, so asking again may charge again.
        look_up: a payment can be looked up by our reference, and the answer is definite.
        signed_notifications: a notification proves by a signature that the gateway sent it. Without, it is a hint.
    """

    key_valid_s: float
    look_up: bool
    signed_notifications: bool


@dataclass(frozen=True, slots=True)
class Approval:
    """A request to charge a buyer.

    Attributes:
        reference: our name of this payment attempt, 6 to 64 letters, digits, - and _; the gateway stores it.
        key: the idempotency key; the same over retries, processes and restarts, another one after a definite decline.
        payment_key: what the buyer's page received from the gateway: a payment key or a payment method.
        money: what is to be charged.
        order_name: what the buyer reads on a bill, at most 100 characters.
    """

    reference: str
    key: str
    payment_key: str
    money: Money
    order_name: str = ""


@dataclass(frozen=True, slots=True)
class Refund:
    """A request to give money back.

    Attributes:
        gateway_id: the gateway's name of the payment.
        reference: our name of this refund, as `Approval.reference`.
        key: the idempotency key of this refund.
        money: what is to be given back, at most what is left of the payment.
        reason: for the gateway's records, at most 100 characters.
    """

    gateway_id: str
    reference: str
    key: str
    money: Money
    reason: str


@dataclass(frozen=True, slots=True)
class Approved:
    """The buyer was charged.

    Attributes:
        gateway_id: the gateway's name of the payment, for refunds.
        money: what was charged; the caller compares it with what it asked for.
        refunded: how much of it was given back, in the same unit.
    """

    gateway_id: str
    money: Money
    refunded: int = 0


@dataclass(frozen=True, slots=True)
class Refunded:
    """The money was given back. `gateway_id` is the gateway's name of the refund."""

    gateway_id: str
    money: Money


@dataclass(frozen=True, slots=True)
class Declined:
    """Definite: nothing was charged or refunded by this request, and nothing will be. `code` is the gateway's own."""

    code: str


@dataclass(frozen=True, slots=True)
class RefundFailed:
    """A refund that the gateway had made came to nothing. `gateway_id` is its name of the refund, `code` says why."""

    gateway_id: str
    code: str


@dataclass(frozen=True, slots=True)
class Unknown:
    """It may or may not have happened. `reason` is for the log, without secrets."""

    reason: str


@dataclass(frozen=True, slots=True)
class NotAsked(Unknown):
    """This one request reached no decision of the gateway: no connection was made, or the log-in was refused.

    Of a payment that nobody asked for before, that is definite: nothing was charged. An earlier request under the same
    reference may have charged.

    Attributes:
        key_refused: the gateway refused the merchant's key.
    """

    key_refused: bool = False


@dataclass(frozen=True, slots=True)
class NotFound:
    """The gateway knows no payment of this reference now. A request that is still on its way may yet arrive."""


@dataclass(frozen=True, slots=True)
class Notification:
    """What a gateway reports by itself.

    Attributes:
        event_id: the same for every delivery of one event.
        reference: our reference, of the payment or of the refund that failed; empty where the gateway does not repeat
            it.
        gateway_id: the gateway's name of the payment.
        answer: what it says about the payment, or about a refund of it; None: look the payment up.
    """

    event_id: str
    reference: str
    gateway_id: str
    answer: "Approved | Declined | RefundFailed | None"


ApprovalAnswer: TypeAlias = Approved | Declined | Unknown
LookUpAnswer: TypeAlias = Approved | Declined | NotFound | Unknown
RefundAnswer: TypeAlias = Refunded | Declined | Unknown


class Gateway(Protocol):
    """One gateway. Every call ends within the adapter's own time limit.

    Attributes:
        name: in settings, tables and URLs.
        capabilities: what it can do.
    """

    @property
    def name(self) -> str: ...
    @property
    def capabilities(self) -> Capabilities: ...

    async def approve(self, approval: Approval) -> ApprovalAnswer:
        """Charge the buyer. Call it with no transaction, lock or connection held."""
        ...

    async def look_up(self, reference: str, gateway_id: str = "", payment_key: str = "") -> LookUpAnswer:
        """What became of a payment.

        Args:
            reference: ours.
            gateway_id: the gateway's, if it is known; some gateways find a payment by it only.
            payment_key: with which it was asked for, as `Approval.payment_key`: a buyer's page can make several
                payments under one reference, and at most this one is ours.
        """
        ...

    async def refund(self, refund: Refund) -> RefundAnswer:
        """Give money back."""
        ...

    def read_notification(self, headers: Mapping[str, str], body: bytes) -> Notification:
        """Check and read a notification.

        Args:
            headers: of the request, with names in lower case.
            body: exactly as it was received.

        Raises:
            BadNotification: see there.
        """
        ...

    async def close(self) -> None:
        """Close the connections."""
        ...
