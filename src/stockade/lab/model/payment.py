"""Payments in the lab: what a variant wants of the gateway, what a process measures, and the figures of a repeat.

Neighbours: the presets `payment-*` make a `PaymentSetup`, `execution/payer.py` measures, `checks/payments.py` judges.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class PaymentSetup:
    """How a variant pays.

    Attributes:
        must_break: by fault ("" without one), the schemes that must be seen to break. Only these faults are possible.
        latency_s: how long the gateway takes, in seconds.
        lost_replies: the gateway charges at the first request of every buyer, and its reply is lost.
        no_connection_held: holding a connection while the gateway is asked is a violation.
    """

    must_break: Mapping[str, tuple[str, ...]]
    latency_s: float = 0.02
    lost_replies: bool = False
    no_connection_held: bool = False


@dataclass(frozen=True, slots=True)
class PaymentConfig:
    """What a process needs to pay.

    Attributes:
        gateway_url: of the test gateway.
        scheme: a name of `schemes`; empty: `shop.payments`.
    """

    gateway_url: str
    scheme: str = ""


@dataclass(slots=True)
class PaymentMeter:
    """What the processes measured.

    Attributes:
        held: most connections at once whose holders were waiting for the gateway.
        waits_s: of every transaction and read, the time until it got a connection, in seconds.
    """

    held: int = 0
    waits_s: list[float] = field(default_factory=list)

    def add(self, other: "PaymentMeter") -> None:
        """Add another process's, which ran at the same time."""
        self.held += other.held
        self.waits_s += other.waits_s


@dataclass(frozen=True, slots=True)
class PaymentFigures:
    """One repeat.

    Attributes:
        payments: orders that were to be paid.
        approvals: by order: how often the gateway charged, by its own count, less what it gave back.
        recorded: by order: payments that the shop has recorded.
        held: see `PaymentMeter`.
        waits_s: see `PaymentMeter`.
        wall_s: from the first request to the last answer, in seconds.
        unpaid: of the orders that are not paid, how many have which state and last attempt.
    """

    payments: int
    approvals: Mapping[str, int]
    recorded: Mapping[str, int]
    held: int
    waits_s: tuple[float, ...]
    wall_s: float
    unpaid: Mapping[str, int] = field(default_factory=dict)

    @property
    def paid(self) -> int:
        """Orders that are recorded as paid, and were charged."""
        return sum(1 for order_id, count in self.recorded.items() if count and self.approvals.get(order_id, 0))

    @property
    def unrecorded(self) -> int:
        """Charges of buyers that no payment of the shop accounts for."""
        return sum(max(0, count - self.recorded.get(order_id, 0)) for order_id, count in self.approvals.items())

    @property
    def uncharged(self) -> int:
        """Payments of the shop that the gateway does not know."""
        return sum(max(0, count - self.approvals.get(order_id, 0)) for order_id, count in self.recorded.items())
