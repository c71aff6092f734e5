"""Sixty orders are paid at once, at a gateway that takes 50 ms. Right is that no connection waits with them.

Under faults the process dies when the gateway has approved the first of them, and the rest are on their way.
"""

from stockade.lab.model.burst import Burst, RepeatNames
from stockade.lab.model.payment import PaymentSetup
from stockade.lab.model.preset import Preset, Variant
from stockade.lab.model.taps import Checkout


def workload(names: RepeatNames) -> Burst:
    """One tap for each order."""
    checkout = Checkout.of(names, names.buyers)
    return checkout.workload(tuple(checkout.tap(order, "only") for order in checkout.orders))


PRESET = Preset(
    "payment-slow-gateway",
    (
        Variant(
            label="",
            summary="60 orders paid at once, the gateway takes 50 ms: all paid, no connection held meanwhile",
            workload=workload,
            buyers=60,
            stock=0,
            repeats=3,
            payment=PaymentSetup(
                must_break={"": ("lock-over-call",), "crash": ("version-no-key", "lock-over-call")},
                latency_s=0.05,
                no_connection_held=True,
            ),
        ),
    ),
)
