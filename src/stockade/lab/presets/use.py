"""Using points: a balance of 1000, then three orders of 100 at once. Right is 700; a lost update leaves 900.

The numbers are those of the Java project's report (docs/glossary.md).
"""

from stockade.core import Key
from stockade.lab.model.burst import Burst, RepeatNames
from stockade.lab.model.preset import Preset, Variant

PRICE = 100
MAX_SKUS = 100  # of one product


def workload(names: RepeatNames) -> Burst:
    """Orders that one account pays at once."""
    if names.buyers > MAX_SKUS:
        raise ValueError(f"use takes at most {MAX_SKUS} buyers, not {names.buyers}")
    # a SKU for each order, so that the account is the only row that the orders share
    product, stock = names.product(names.buyers, PRICE, stock=1)
    user = names.id("user")
    opened = (names.charge("open", user, names.stock),) if names.stock else ()
    orders = tuple(names.order(n, user, stock[n : n + 1], "POINTS") for n in range(names.buyers))
    return Burst((product, *opened), orders, (Key("points", user),), names.stock, change=-PRICE, other_rows=stock)


PRESET = Preset(
    "use",
    (
        Variant(
            label="",
            summary="1000 points, 3 orders of 100 at once: 3 accepted, 700 left",
            workload=workload,
            buyers=3,
            stock=1000,
            allowed_rejection="INSUFFICIENT_POINTS",
        ),
    ),
)
