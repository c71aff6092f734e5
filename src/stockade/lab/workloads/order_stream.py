"""Orders of one unit, half of them for the same SKU, paid with points; a delivery comes before the stock is gone.

The hot SKU sells out again and again, so that both the last unit and the refusal are contended.
"""

import itertools
import random
from collections.abc import Iterator, Sequence

from stockade.core import Command, Key
from stockade.lab.model.burst import RepeatNames
from stockade.lab.workloads.shop_rows import BALANCE, accounts, catalogue, deliver, place, stock_keys, users
from stockade.lab.workloads.workload import Load, Request
from stockade.shop.commands import OrderLine
from stockade.shop.model import constants

SKUS = 50
USERS = 20
HOT_STOCK = 40
HOT_SHARE = 0.5
DELIVERY_EVERY = 100  # requests
DELIVERY = 40  # units: a little less than what is ordered in between


class OrderStream:
    """See the module."""

    name = "order-stream"
    summary = "orders of one unit, half of one SKU that sells out and gets deliveries: every unit sold once"
    load = Load()
    must_break = True

    def setup(self, names: RepeatNames) -> Sequence[Command]:
        """The SKUs and the users' points."""
        return [*catalogue(names, [HOT_STOCK] + [1_000_000] * (SKUS - 1)), *accounts(names, [BALANCE] * USERS)]

    def rows(self, names: RepeatNames) -> Sequence[Key]:
        """The first SKUs; the hot one is the first."""
        return stock_keys(names, 4)

    def requests(self, names: RepeatNames, seed: int) -> Iterator[Request]:
        """Orders and deliveries, without end."""
        rng = random.Random(seed)
        skus, buyers = stock_keys(names, SKUS), users(names, USERS)
        for number in itertools.count(1):
            if number % DELIVERY_EVERY == 0:
                yield deliver(names, number, skus[0], DELIVERY)
                continue
            sku = skus[0] if rng.random() < HOT_SHARE else rng.choice(skus[1:])
            yield place(names, number, rng.choice(buyers), [OrderLine(sku.id, 1)], constants.POINTS)


WORKLOAD = OrderStream()
