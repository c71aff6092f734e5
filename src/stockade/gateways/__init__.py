"""Payment gateways: one narrow interface, an adapter in a file for each gateway, and their registry.

Provisional: the shop does not use them yet.

Neighbours: the layers above ask through `Gateway` and never see HTTP; `devservers.gateway` is the server to test with.
"""

from stockade.gateways.gateway import (
    Approval,
    Approved,
    BadNotification,
    Capabilities,
    Declined,
    Gateway,
    NotFound,
    Notification,
    Refund,
    Refunded,
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
    "NotFound",
    "Notification",
    "Refund",
    "Refunded",
    "Unknown",
]
