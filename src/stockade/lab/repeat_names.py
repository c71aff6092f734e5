"""Fresh names for one repeat, and the few commands that presets are made of.

Every repeat gets products and users of its own, so that nothing has to be emptied between repeats and a database that
others use too is never disturbed: each id begins with `lab-`. Neighbours: `presets/` write scenes with it.
"""

from dataclasses import dataclass

from stockade.core import Key
from stockade.shop.commands import ChargePoints, CreateProduct, NewSku, OrderLine, PlaceOrder
from stockade.shop.model.ids import derived_id

PREFIX = "lab-"


@dataclass(frozen=True, slots=True)
class Stage:
    """The names of one repeat.

    Attributes:
        run: unique among all runs that ever used the database.
        repeat: which repeat of that run.
        buyers: how many commands the scene needs.
        stock: units in stock, or points in the account, before they come.
        now_ms: wall clock in milliseconds, the time that every command of the repeat carries.
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
        """A product with some SKUs, and the keys of their stock.

        Args:
            skus: how many.
            price: of one unit.
            stock: units of each SKU.
        """
        ids = [self.id("sku", n) for n in range(skus)]
        new = tuple(NewSku(price, stock, id_) for id_ in ids)
        request_id, fingerprint, now_ms = self.request("product")
        command = CreateProduct(request_id, fingerprint, now_ms, "lab", "lab", new, product_id=self.id("product"))
        return command, tuple(Key("stock", id_) for id_ in ids)

    def order(self, buyer: int, user: str, stock: tuple[Key, ...], pay: str) -> PlaceOrder:
        """One unit of each of these, for a user; `pay` is POINTS (at once) or LATER (a reservation)."""
        lines = tuple(OrderLine(key.id, 1) for key in stock)
        return PlaceOrder(*self.request("order", buyer), user, lines, "POINTS" if pay == "POINTS" else "LATER")

    def charge(self, what: object, user: str, amount: int) -> ChargePoints:
        """Points for a user; the same `what` is the same request."""
        return ChargePoints(*self.request("charge", what), user, amount)
