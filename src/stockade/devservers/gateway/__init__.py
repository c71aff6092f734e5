"""A payment gateway to test against: a server process that speaks as Toss Payments and as Stripe do, where we use them.

It counts what it approved and refunded, and its count is the judge. `ledger` holds the payments, `behaviour` says what
goes wrong and when, `toss_dialect` and `stripe_dialect` read and write, `notifications` sends webhooks, `main` serves.
Neighbours: `devservers` starts it, `client` asks it for its count.
"""

from stockade.devservers.gateway.client import Count, GatewayClient
from stockade.devservers.gateway.spec import KIND, spec

__all__ = ["KIND", "Count", "GatewayClient", "spec"]
