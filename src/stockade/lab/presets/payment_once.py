"""One order, ten devices that pay it at the same moment, each taps twice and once more later. Right is one approval.

Every device has an Idempotency-Key of its own and a page of the gateway of its own, so neither tells the gateway that
it is the same order. The Java project's report describes the race (docs/glossary.md).
"""

from stockade.lab.model.burst import Burst, RepeatNames
from stockade.lab.model.payment import PaymentSetup
from stockade.lab.model.preset import Preset, Variant
from stockade.lab.model.taps import Checkout


def workload(names: RepeatNames) -> Burst:
    """Two taps of every device at once, and one more of each afterwards."""
    checkout = Checkout.of(names, 1)
    taps = tuple(checkout.tap(checkout.orders[0], device) for device in range(names.buyers))
    return checkout.workload(tuple(tap for tap in taps for _ in range(2)), again=taps)


PRESET = Preset(
    "payment-once",
    (
        Variant(
            label="",
            summary="10 devices pay one order at once, twice each, and once more later: 1 approval of the gateway",
            workload=workload,
            buyers=10,
            stock=0,
            repeats=5,
            payment=PaymentSetup(
                must_break={
                    "": ("version-no-key",),
                    "crash": ("version-no-key", "lock-over-call"),
                    "pause": ("version-no-key",),
                },
            ),
        ),
    ),
)
