"""Rounds in which eight buyers want the only unit of a SKU: one gets it.

The SKU of a round is put on sale some rounds before, by a request of the stream itself.
"""

import itertools
import random
from collections.abc import Iterator, Sequence

from stockade.core import Command, Key
from stockade.lab.model.burst import RepeatNames
from stockade.lab.workloads.shop_rows import PRICE, place, users
from stockade.lab.workloads.workload import Load, Request
from stockade.shop.commands import CreateProduct, NewSku, OrderLine
from stockade.shop.model import constants

BUYERS = 8
AHEAD = 10  # rounds whose SKUs exist already


class OneOfN:
    """See the module."""

    name = "one-of-n"
    summary = "rounds of 8 buyers for the only unit of a SKU: one gets it, seven are refused"
    load = Load()
    must_break = True

    def setup(self, names: RepeatNames) -> Sequence[Command]:
        """The SKUs of the first rounds."""
        return [_product(names, number) for number in range(AHEAD)]

    def rows(self, names: RepeatNames) -> Sequence[Key]:
        """The SKUs of the first rounds."""
        return tuple(Key("stock", _sku(names, number)) for number in range(AHEAD))

    def requests(self, names: RepeatNames, seed: int) -> Iterator[Request]:
        """Rounds, without end."""
        rng = random.Random(seed)
        buyers = users(names, 4 * BUYERS)
        for number in itertools.count():
            ahead = number + AHEAD
            yield Request(_product(names, ahead), {f"stock:{_sku(names, ahead)}": 1})
            for n, user in enumerate(rng.sample(buyers, BUYERS)):
                line = OrderLine(_sku(names, number), 1)
                yield place(names, number * BUYERS + n, user, [line], constants.LATER)


def _sku(names: RepeatNames, number: int) -> str:
    return names.id("only", number)


def _product(names: RepeatNames, number: int) -> CreateProduct:
    skus = (NewSku(PRICE, 1, _sku(names, number)),)
    request = names.request("round", number)
    return CreateProduct(*request, "lab", "lab", skus, product_id=names.id("round", number))


WORKLOAD = OneOfN()
