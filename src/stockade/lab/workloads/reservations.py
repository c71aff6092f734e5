"""Reservations that are paid later, or expire; some are paid by two requests at about the same time.

Of two payments one is carried out. A payment that meets the expiry is paid or expired, never both.
"""

import random
from collections.abc import Iterator, Sequence

from stockade.core import Command, Key
from stockade.lab.model.burst import RepeatNames
from stockade.lab.workloads.order_lives import order_lives
from stockade.lab.workloads.shop_rows import BALANCE, accounts, catalogue, place, stock_keys, users
from stockade.lab.workloads.workload import Load, Request
from stockade.shop.commands import ExpireOrder, OrderLine, PayOrder
from stockade.shop.model import constants

SKUS = 5
STOCK = 60
USERS = 20
RESERVE_MS = 600_000
PAID, PAID_TWICE, EXPIRED = 0.4, 0.3, 0.2  # shares; the rest is paid and expired at the same time


class Reservations:
    """See the module."""

    name = "reservations"
    summary = "orders paid later, twice, or expired, or both at once: one payment each, reserved stock back once"
    load = Load()
    must_break = True

    def setup(self, names: RepeatNames) -> Sequence[Command]:
        """The SKUs and the users' points."""
        return [*catalogue(names, [STOCK] * SKUS), *accounts(names, [BALANCE] * USERS)]

    def rows(self, names: RepeatNames) -> Sequence[Key]:
        """All SKUs."""
        return stock_keys(names, SKUS)

    def requests(self, names: RepeatNames, seed: int) -> Iterator[Request]:
        """Orders and what becomes of them, without end."""
        skus = stock_keys(names, SKUS)

        def follow(rng: random.Random, number: int, user: str) -> tuple[Request, Sequence[Request]]:
            order = place(
                names, number, user, [OrderLine(rng.choice(skus).id, 1)], constants.LATER, reserve_ms=RESERVE_MS
            )
            order_id = order.command.request_id
            pays = [PayOrder(*names.request("pay", number, n), order_id, user) for n in range(2)]
            until_ms = names.now_ms + RESERVE_MS
            expire = ExpireOrder.due(order_id, until_ms, until_ms)
            choice = rng.random()
            if choice < PAID:
                later: list[Command] = [pays[0]]
            elif choice < PAID + PAID_TWICE:
                later = [*pays]
            elif choice < PAID + PAID_TWICE + EXPIRED:
                later = [expire]
            else:
                later = [pays[0], expire]
            return order, [Request(each) for each in later]

        return order_lives(names, seed, users(names, USERS), SKUS, follow)


WORKLOAD = Reservations()
