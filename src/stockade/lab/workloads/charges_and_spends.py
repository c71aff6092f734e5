"""Points: few accounts that are charged and spent from at the same time, now and then for more than there is.

The accounts do not exist beforehand, so the first charges compete for a row that is not there yet.
"""

import itertools
import random
from collections.abc import Iterator, Sequence

from stockade.core import Command, Key
from stockade.lab.model.burst import RepeatNames
from stockade.lab.workloads.shop_rows import PRICE, catalogue, place, stock_keys, users
from stockade.lab.workloads.workload import Load, Request
from stockade.shop.commands import ChargePoints, OrderLine
from stockade.shop.model import constants

USERS = 5
SKUS = 100  # enough that the accounts are what the requests share
STOCK = 1_000_000
CHARGE_SHARE = 0.5
CHARGES = (PRICE // 2, PRICE, 2 * PRICE)  # on average as much as the spends: an account runs empty now and then
MOST_UNITS = 3


class ChargesAndSpends:
    """See the module."""

    name = "charges-and-spends"
    summary = "5 accounts charged and spent from at once, often for more than there is: no point lost or made"
    load = Load()
    must_break = True

    def setup(self, names: RepeatNames) -> Sequence[Command]:
        """Only the SKUs."""
        return catalogue(names, [STOCK] * SKUS)

    def rows(self, names: RepeatNames) -> Sequence[Key]:
        """The accounts."""
        return tuple(Key("points", user) for user in users(names, USERS))

    def requests(self, names: RepeatNames, seed: int) -> Iterator[Request]:
        """Charges and orders, without end."""
        rng = random.Random(seed)
        skus, owners = stock_keys(names, SKUS), users(names, USERS)
        for number in itertools.count(1):
            user = rng.choice(owners)
            if rng.random() < CHARGE_SHARE:
                amount = rng.choice(CHARGES)
                command = ChargePoints(*names.request("charge", number), user, amount)
                yield Request(command, {f"points:{user}": amount})
            else:
                line = OrderLine(rng.choice(skus).id, rng.randint(1, MOST_UNITS))
                yield place(names, number, user, [line], constants.POINTS)


WORKLOAD = ChargesAndSpends()
