"""The last unit: stock 1, three buyers at once who pay with points (the Java project's report, docs/glossary.md).

Right is one order and two OUT_OF_STOCK; the two refused buyers pay nothing. Code without protection sells three units.
"""

from stockade.core import Key
from stockade.lab.model.burst import Burst, RepeatNames
from stockade.lab.model.preset import Preset, Variant

PRICE = 1000


def workload(names: RepeatNames) -> Burst:
    """Each buyer charges the price of one unit beforehand, then all order one unit at once."""
    product, stock = names.product(1, PRICE, names.stock)
    users = [names.id("user", n) for n in range(names.buyers)]
    charges = tuple(names.charge(f"open-{n}", user, PRICE) for n, user in enumerate(users))
    orders = tuple(names.order(n, user, stock, "POINTS") for n, user in enumerate(users))
    accounts = tuple(Key("points", user) for user in users)
    return Burst((product, *charges), orders, stock, names.stock, change=-1, other_rows=accounts)


PRESET = Preset(
    "last-unit",
    (
        Variant(
            label="",
            summary="1 in stock, 3 buyers at once: 1 accepted, 2 refused and not charged",
            workload=workload,
            buyers=3,
            stock=1,
            allowed_rejection="OUT_OF_STOCK",
        ),
    ),
)
