"""Payments through a gateway: claim, commit, ask, commit (docs/adr/0022).

`flow` carries out one payment and `refund_flow` one refund, `calls` has what both need. `reconciler` finishes what was
left open, `next_step` says how it can be resolved, `notifications` reads what gateways report by themselves. No call to
a gateway is made while a transaction, a lock or a connection of the pool is held. Neighbours: `commands` decides,
`open_payments` finds.
"""

from stockade.shop.payments.flow import Payments
from stockade.shop.payments.notification_purge import NotificationPurge
from stockade.shop.payments.notifications import Notifications
from stockade.shop.payments.reconciler import Reconciler

__all__ = ["NotificationPurge", "Notifications", "Payments", "Reconciler"]
