"""The operations of a run: orders of one or two SKUs that sell out, charges, deliveries, payments and cancellations.

Few rows and few units, so that four clients with a few operations each meet at the last unit. All are real commands of
the shop. Neighbour: `clients.py` sends them.
"""

import random
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from stockade.core import Command
from stockade.shop.commands import AdjustStock, CancelOrder, ChargePoints, OrderLine, PayOrder, PlaceOrder
from stockade.shop.model import constants

SKUS: Final = ("s1", "s2")
USERS: Final = ("u1", "u2")
PRICE: Final = 10
NOW_MS: Final = 1_700_000_000_000


class Request(NamedTuple):
    """A command, and what it adds to the first counter of its rows if it is accepted and that is known beforehand."""

    command: Command
    deltas: Mapping[str, int] = {}


class Mix:
    """Draws one request after the other.

    Args:
        seed: decides every choice; also makes the request ids.
        stock: units of each SKU at the beginning.
        balance: points of each user at the beginning.
        later_steps: share of payments and cancellations of earlier orders.
    """

    def __init__(self, seed: int, *, stock: int, balance: int, later_steps: float) -> None:
        self.stock, self.balance = stock, balance
        self._later_steps = later_steps
        self._rng = random.Random(f"requests {seed}")
        self._seed = seed
        self._number = 0
        self.placed: list[tuple[str, str]] = []  # order and user; the clients add accepted ones

    def initial(self) -> Mapping[str, tuple[str, dict[str, Any]]]:
        """The rows before the first operation: by their keys, table and record."""
        rows: dict[str, tuple[str, dict[str, Any]]] = {}
        for sku in SKUS:
            state = {"product_id": "p", "price": PRICE, "on_hand": self.stock, "reserved": 0}
            rows[f"stock:{sku}"] = ("skus", {"id": sku, **state, "version": 1, "stamp": 1})
        for user in USERS:
            rows[f"points:{user}"] = (
                "point_accounts",
                {"id": user, "balance": self.balance, "held": 0, "version": 1, "stamp": 1},
            )
        return rows

    def next(self) -> Request:
        """The next request."""
        rng = self._rng
        self._number += 1
        head = (f"{self._seed & 0xFFFF_FFFF:016x}{self._number:016x}", "f", NOW_MS + self._number // 4)
        user = USERS[rng.random() < 0.3]
        choice = rng.random()
        if choice < 0.14:
            return Request(ChargePoints(*head, user, 20), {f"points:{user}": 20})
        if choice < 0.2:
            return Request(AdjustStock(*head, SKUS[0], 1, "delivery"), {f"stock:{SKUS[0]}": 1})
        if choice < 0.2 + self._later_steps and self.placed:
            order, owner = rng.choice(self.placed)
            if rng.random() < 0.5:
                return Request(CancelOrder(*head, order, owner, "changed my mind"))
            return Request(PayOrder(*head, order, owner))
        both = rng.random() < 0.35
        skus = rng.sample(SKUS, 2) if both else [SKUS[rng.random() < 0.2]]
        lines = tuple([OrderLine(sku, 1) for sku in skus])
        later = rng.random() < 0.2
        command = PlaceOrder(*head, user, lines, constants.LATER if later else constants.POINTS)
        deltas = {f"stock:{sku}": 0 if later else -1 for sku in skus}
        return Request(command, deltas if later else {**deltas, f"points:{user}": -PRICE * len(lines)})
