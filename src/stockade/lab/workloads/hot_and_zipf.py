"""Reservations: a third for one hot SKU, the others over a catalogue of 1,000 whose popularity falls as in Zipf's law.

The stock of every SKU is finite, so popular ones sell out while the recording runs. Source of the exponent: usual in
benchmarks of key-value stores (Cooper et al., "Benchmarking Cloud Serving Systems with YCSB", 2010).
"""

import bisect
import itertools
import random
from collections.abc import Iterator, Sequence

from stockade.core import Command, Key
from stockade.lab.model.burst import RepeatNames
from stockade.lab.workloads.shop_rows import catalogue, deliver, place, stock_keys, users
from stockade.lab.workloads.workload import Load, Request
from stockade.shop.commands import OrderLine
from stockade.shop.model import constants

CATALOGUE = 1_000
EXPONENT = 1.1
HOT_SHARE = 0.3
HOT_STOCK = 40
USERS = 100
DELIVERY_EVERY = 100  # requests
DELIVERY = 25  # units: a little less than what is ordered of the hot SKU in between


class HotAndZipf:
    """See the module."""

    name = "hot-and-zipf"
    summary = "reservations of one hot SKU, and of 1,000 others by Zipf's law: no unit reserved twice"
    load = Load()
    must_break = True

    def setup(self, names: RepeatNames) -> Sequence[Command]:
        """The hot SKU, and the catalogue."""
        return catalogue(names, [HOT_STOCK] + [500] * CATALOGUE)

    def rows(self, names: RepeatNames) -> Sequence[Key]:
        """The hot SKU and the most popular others."""
        return stock_keys(names, 5)

    def requests(self, names: RepeatNames, seed: int) -> Iterator[Request]:
        """Reservations and deliveries, without end."""
        rng = random.Random(seed)
        hot, *others = stock_keys(names, 1 + CATALOGUE)
        sums = list(itertools.accumulate(rank**-EXPONENT for rank in range(1, CATALOGUE + 1)))
        buyers = users(names, USERS)
        for number in itertools.count(1):
            if number % DELIVERY_EVERY == 0:
                yield deliver(names, number, hot, DELIVERY)
                continue
            sku = hot
            if rng.random() >= HOT_SHARE:
                sku = others[bisect.bisect_left(sums, rng.random() * sums[-1])]
            yield place(names, number, rng.choice(buyers), [OrderLine(sku.id, 1)], constants.LATER)


WORKLOAD = HotAndZipf()
