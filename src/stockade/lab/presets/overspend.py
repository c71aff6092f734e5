"""More spends than points: 10,000 points, five orders of 3,000 at once. Right is three orders, 1,000 left.

The Kotlin project's own test of this case (docs/glossary.md) expects one success and four failures: there, a spend that
meets another one at the same moment fails although there are points enough. Here it waits, or is tried again.
"""

from stockade.core import Key
from stockade.lab.model.burst import Burst, RepeatNames
from stockade.lab.model.preset import Preset, Variant

PRICE = 3_000
MAX_SKUS = 100  # of one product


def workload(names: RepeatNames) -> Burst:
    """Orders that one account pays at once, each of a SKU of its own."""
    if names.buyers > MAX_SKUS:
        raise ValueError(f"overspend takes at most {MAX_SKUS} buyers, not {names.buyers}")
    product, stock = names.product(names.buyers, PRICE, stock=1)
    user = names.id("user")
    opened = (names.charge("open", user, names.stock),) if names.stock else ()
    orders = tuple(names.order(n, user, stock[n : n + 1], "POINTS") for n in range(names.buyers))
    return Burst((product, *opened), orders, (Key("points", user),), names.stock, change=-PRICE, other_rows=stock)


PRESET = Preset(
    "overspend",
    (
        Variant(
            label="",
            summary="10000 points, 5 orders of 3000 at once: 3 accepted, 2 refused, 1000 left",
            workload=workload,
            buyers=5,
            stock=10_000,
            allowed_rejection="INSUFFICIENT_POINTS",
        ),
    ),
)
