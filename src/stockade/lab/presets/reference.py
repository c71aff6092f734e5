"""The reference test: 20 units in stock, 30 orders of one unit at once, all by one user, price 1000.

The numbers are those of the Kotlin project's report (docs/glossary.md). Right is 20 accepted, 10 OUT_OF_STOCK, 0 left.
"""

from stockade.lab.model.burst import Burst, RepeatNames
from stockade.lab.model.preset import Preset, Variant


def workload(names: RepeatNames) -> Burst:
    """One order of one unit for each buyer."""
    product, stock = names.product(1, price=1000, stock=names.stock)
    user = names.id("user")
    # paid later: no points account is locked, so that the stock is the only row that the orders share
    orders = tuple(names.order(n, user, stock, "LATER") for n in range(names.buyers))
    return Burst((product,), orders, stock, initial=names.stock, change=-1)


PRESET = Preset(
    "reference",
    (
        Variant(
            label="",
            summary="20 in stock, 30 orders of one unit at once: 20 accepted, 10 refused, 0 left",
            workload=workload,
            buyers=30,
            stock=20,
            allowed_rejection="OUT_OF_STOCK",
            published_ms={"pessimistic": 527, "redis-spin": 1129, "redis-pubsub": 584, "kafka": 377},
        ),
    ),
)
