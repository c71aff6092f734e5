"""The commands of one repeat, with names that no other repeat uses.

Each repeat has products and users of its own. So nothing has to be deleted between repeats, and a database that other
programs use is not disturbed: each id begins with `lab-`. Neighbours: the files of `presets/` make bursts,
`workloads/` has what recordings send.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from stockade.core import Command, Key
from stockade.service.ids import derived_id
from stockade.shop.commands import ChargePoints, CreateProduct, NewSku, OrderLine, PlaceOrder

PREFIX = "lab-"


@dataclass(frozen=True, slots=True)
class Burst:
    """The commands of one repeat, and what they change.

    Attributes:
        setup: commands that create the rows; they are executed before anything is timed.
        orders: one command for each buyer, all sent at once.
        counted_rows: the rows whose free stock, or balance, is summed to the figure `left`.
        initial: that sum before the orders.
        change: what one accepted order adds to that sum; negative if it takes.
        again: commands that buyers send when all of `orders` have their answers: only of payments.
        other_rows: further rows that the orders touch; they are checked too.
    """

    setup: tuple[Command, ...]
    orders: tuple[Command, ...]
    counted_rows: tuple[Key, ...]
    initial: int
    change: int
    other_rows: tuple[Key, ...] = ()
    again: tuple[Command, ...] = ()

    @property
    def expected_accepted(self) -> int:
        """How many commands must be accepted: all, or as many as the stock or the balance is enough for."""
        buyers = len(self.orders)
        return buyers if self.change > 0 else min(buyers, self.initial // -self.change)


@dataclass(frozen=True, slots=True)
class RepeatNames:
    """Makes the ids and the commands of one repeat.

    Attributes:
        run: unique among all runs that ever used the database.
        repeat: number of the repeat in the run.
        buyers: how many commands the workload needs.
        stock: units in stock, or points in the account, before the orders.
        now_ms: wall clock in milliseconds; every command of the repeat carries it.
    """

    run: str
    repeat: int
    buyers: int
    stock: int
    now_ms: int

    def id(self, *parts: object) -> str:
        """A public id that only this repeat uses."""
        return "-".join((f"{PREFIX}{self.run}", str(self.repeat), *map(str, parts)))

    def request(self, *parts: object) -> tuple[str, str, int]:
        """Request id, fingerprint and time; equal parts give the same request."""
        request_id = derived_id("lab", self.run, str(self.repeat), *map(str, parts))
        return request_id, derived_id("content", request_id), self.now_ms

    def product(self, skus: int, price: int, stock: int) -> tuple[CreateProduct, tuple[Key, ...]]:
        """A command that creates a product, and the keys of its stock rows.

        Args:
            skus: how many SKUs the product has.
            price: of one unit.
            stock: units of each SKU.
        """
        ids = [self.id("sku", n) for n in range(skus)]
        new = tuple(NewSku(price, stock, id_) for id_ in ids)
        request_id, fingerprint, now_ms = self.request("product")
        command = CreateProduct(request_id, fingerprint, now_ms, "lab", "lab", new, product_id=self.id("product"))
        return command, tuple(Key("stock", id_) for id_ in ids)

    def order(self, buyer: int, user: str, stock: tuple[Key, ...], pay: str) -> PlaceOrder:
        """An order of one unit of each of these; `pay` is POINTS (at once) or LATER (a reservation)."""
        lines = tuple(OrderLine(key.id, 1) for key in stock)
        return PlaceOrder(*self.request("order", buyer), user, lines, pay)

    def charge(self, what: object, user: str, amount: int) -> ChargePoints:
        """Points for a user; the same `what` is the same request."""
        return ChargePoints(*self.request("charge", what), user, amount)

    def charges(self, keys: Iterable[object], amount: int) -> Burst:
        """A workload of charges on one account, whose balance is `stock` beforehand.

        Args:
            keys: one for each charge; equal keys are the same request.
            amount: points of each charge.
        """
        user = self.id("user")
        opened = (self.charge("open", user, self.stock),) if self.stock else ()
        charges = tuple(self.charge(key, user, amount) for key in keys)
        return Burst(opened, charges, (Key("points", user),), initial=self.stock, change=amount)
