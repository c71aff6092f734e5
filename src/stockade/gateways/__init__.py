"""Payment gateways: one narrow interface, an adapter in a file for each gateway, and their registry.

Provisional: may change in a minor version.

Neighbours: `shop.payments` asks through `Gateway` and never sees HTTP; `devservers.gateway` is the server to test with.
"""

from stockade.gateways.gateway import (
    Approval,
    Approved,
    BadNotification,
    Capabilities,
    Declined,
    Gateway,
    NotAsked,
    NotFound,
    Notification,
    Refund,
    Refunded,
    RefundFailed,
    Unknown,
)
from stockade.gateways.money import Money

__all__ = [
    "Approval",
    "Approved",
    "BadNotification",
    "Capabilities",
    "Declined",
    "Gateway",
    "Money",
    "NotAsked",
    "NotFound",
    "Notification",
    "Refund",
    "RefundFailed",
    "Refunded",
    "Unknown",
]
