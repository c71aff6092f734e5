"""Baskets of 2 to 4 SKUs out of 20, in the random order in which their buyers put them in, paid with points.

Two baskets that name the same SKUs in opposite orders deadlock where rows are locked in the order of the request.
"""

import itertools
import random
from collections.abc import Iterator, Sequence

from stockade.core import Command, Key
from stockade.lab.model.burst import RepeatNames
from stockade.lab.workloads.shop_rows import BALANCE, accounts, catalogue, place, stock_keys, users
from stockade.lab.workloads.workload import Load, Request
from stockade.shop.commands import OrderLine
from stockade.shop.model import constants

SKUS = 20
STOCK = 1_000_000
USERS = 50
MOST = 4  # SKUs of a basket
MOST_UNITS = 3  # of each


class Baskets:
    """See the module."""

    name = "baskets"
    summary = "2 to 4 of 20 SKUs in random order, paid with points: all lines or none"
    load = Load()
    must_break = True

    def setup(self, names: RepeatNames) -> Sequence[Command]:
        """The SKUs and the users' points."""
        return [*catalogue(names, [STOCK] * SKUS), *accounts(names, [BALANCE] * USERS)]

    def rows(self, names: RepeatNames) -> Sequence[Key]:
        """All SKUs."""
        return stock_keys(names, SKUS)

    def requests(self, names: RepeatNames, seed: int) -> Iterator[Request]:
        """Orders, without end."""
        rng = random.Random(seed)
        skus, buyers = stock_keys(names, SKUS), users(names, USERS)
        for number in itertools.count(1):
            chosen = rng.sample(skus, rng.randint(2, MOST))
            lines = [OrderLine(sku.id, rng.randint(1, MOST_UNITS)) for sku in chosen]
            yield place(names, number, rng.choice(buyers), lines, constants.POINTS)


WORKLOAD = Baskets()
