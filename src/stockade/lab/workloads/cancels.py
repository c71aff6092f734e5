"""Orders that are cancelled: before and after they are paid, by two requests at once, and while they are being paid.

What a cancelled order had taken comes back exactly once.
"""

import random
from collections.abc import Iterator, Sequence

from stockade.core import Command, Key
from stockade.lab.model.burst import RepeatNames
from stockade.lab.workloads.order_lives import order_lives
from stockade.lab.workloads.shop_rows import BALANCE, accounts, catalogue, place, stock_keys, users
from stockade.lab.workloads.workload import Load, Request
from stockade.shop.commands import CancelOrder, OrderLine, PayOrder
from stockade.shop.model import constants

SKUS = 5
STOCK = 60
USERS = 20
MOST_UNITS = 3
POINTS_SHARE = 0.5  # paid at once; the others are reserved
TWICE_SHARE = 0.4


class Cancels:
    """See the module."""

    name = "cancels"
    summary = "orders cancelled, twice at once, or while they are paid: stock and points come back exactly once"
    load = Load()
    must_break = True

    def setup(self, names: RepeatNames) -> Sequence[Command]:
        """The SKUs and the users' points."""
        return [*catalogue(names, [STOCK] * SKUS), *accounts(names, [BALANCE] * USERS)]

    def rows(self, names: RepeatNames) -> Sequence[Key]:
        """All SKUs."""
        return stock_keys(names, SKUS)

    def requests(self, names: RepeatNames, seed: int) -> Iterator[Request]:
        """Orders and their cancellations, without end."""
        skus = stock_keys(names, SKUS)

        def follow(rng: random.Random, number: int, user: str) -> tuple[Request, Sequence[Request]]:
            lines = [OrderLine(sku.id, rng.randint(1, MOST_UNITS)) for sku in rng.sample(skus, rng.randint(1, 2))]
            at_once = rng.random() < POINTS_SHARE
            pay = constants.POINTS if at_once else constants.LATER
            # without differences: what comes back depends on whether it was paid in between
            order = place(names, number, user, lines, pay)._replace(deltas={})
            order_id = order.command.request_id
            later: list[Command] = [CancelOrder(*names.request("cancel", number), order_id, user, "")]
            if rng.random() < TWICE_SHARE:
                later.append(CancelOrder(*names.request("cancel again", number), order_id, None, "by hand"))
            elif not at_once:
                later.append(PayOrder(*names.request("pay", number), order_id, user))
            return order, [Request(each) for each in later]

        return order_lives(names, seed, users(names, USERS), SKUS, follow)


WORKLOAD = Cancels()
