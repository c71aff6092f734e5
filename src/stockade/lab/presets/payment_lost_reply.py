"""The gateway charges, and its reply is lost. Right is one approval of each order, and every order paid in the end.

`again`: the buyers come again when they see the error, half of them with the same Idempotency-Key, half with a new one.
`gone`: they do not. Without a record made before the gateway was asked, nobody knows that it charged them.
"""

from stockade.lab.model.burst import Burst, RepeatNames
from stockade.lab.model.payment import PaymentSetup
from stockade.lab.model.preset import Preset, Variant
from stockade.lab.model.taps import Checkout


def again(names: RepeatNames) -> Burst:
    """Every buyer taps once more."""
    checkout = Checkout.of(names, names.buyers)
    taps = tuple(checkout.tap(order, "first") for order in checkout.orders)
    new = tuple(checkout.tap(order, "second") for order in checkout.orders)
    return checkout.workload(taps, again=(*taps[::2], *new[1::2]))


def gone(names: RepeatNames) -> Burst:
    """No buyer comes back."""
    checkout = Checkout.of(names, names.buyers)
    return checkout.workload(tuple(checkout.tap(order, "first") for order in checkout.orders))


PRESET = Preset(
    "payment-lost-reply",
    (
        Variant(
            label="again",
            summary="10 orders, charged, every reply lost, the buyers tap again: 1 approval each, all paid",
            workload=again,
            buyers=10,
            stock=0,
            repeats=5,
            payment=PaymentSetup(must_break={"": ("version-no-key", "lock-over-call")}, lost_replies=True),
        ),
        Variant(
            label="gone",
            summary="10 orders, charged, every reply lost, no buyer comes back: 1 approval each, all paid",
            workload=gone,
            buyers=10,
            stock=0,
            repeats=5,
            payment=PaymentSetup(
                must_break={"": ("version-with-key", "version-no-key", "lock-over-call")}, lost_replies=True
            ),
        ),
    ),
)
