"""Small commands for tests of the store: each shows one thing a command can do."""

import hashlib
from dataclasses import dataclass, field
from typing import ClassVar

from stockade.core import Accepted, Change, Decision, Event, Insert, Key, Rejected
from stockade.shop.model.states import PointsState, StockState


def rid(*parts):
    """A request id from anything."""
    return hashlib.blake2b(repr(parts).encode(), digest_size=16).hexdigest()


@dataclass(frozen=True, slots=True)
class Base:
    """Fields every test command has."""

    request_id: str
    fingerprint: str = "f"
    now_ms: int = 1000
    name: ClassVar[str] = "test"
    strategy_group: ClassVar[str] = "stock"


@dataclass(frozen=True, slots=True)
class Stock(Base):
    """Make a SKU with `n` units at 1000 won."""

    sku: str = "s"
    n: int = 20

    @property
    def keys(self):
        return (Key("stock", self.sku),)

    def decide(self, rows):
        if rows[self.keys[0]].state is not None:
            return Decision(Rejected("EXISTS"))
        change = Change(StockState("p", 1000, self.n, 0), self.n, note="stocked")
        return Decision(Accepted({}), {self.keys[0]: change})


@dataclass(frozen=True, slots=True)
class Product(Base):
    """Make the product that the SKUs of `Stock` belong to."""

    @property
    def keys(self):
        return ()

    def decide(self, rows):
        values = {"id": "p", "name": "p", "category": "c", "status": "ACTIVE", "created_ms": 0}
        return Decision(Accepted({}), inserts=[Insert("products", values)])


@dataclass(frozen=True, slots=True)
class Take(Base):
    """Take one unit of each SKU, in the order given, or none."""

    skus: tuple[str, ...] = ("s",)

    @property
    def keys(self):
        return tuple(Key("stock", sku) for sku in self.skus)

    def decide(self, rows):
        changes = {}
        for key in self.keys:
            state = rows[key].state
            if state is None or state.on_hand - state.reserved < 1:
                return Decision(Rejected("OUT_OF_STOCK", {"sku_id": key.id}))
            changes[key] = Change(state._replace(on_hand=state.on_hand - 1), -1, note="taken", ref=self.request_id)
        event = Event("taken", min(self.keys), {"by": self.request_id})
        return Decision(Accepted({"by": self.request_id}), changes, events=[event])


@dataclass(frozen=True, slots=True)
class Charge(Base):
    """Add points; the account opens with the first charge."""

    user: str = "u"
    amount: int = 100
    strategy_group: ClassVar[str] = "points"

    @property
    def keys(self):
        return (Key("points", self.user),)

    def decide(self, rows):
        state = rows[self.keys[0]].state or PointsState(0, 0)
        balance = state.balance + self.amount
        if balance < 0:
            return Decision(Rejected("INSUFFICIENT_POINTS", {"available": state.balance}))
        change = Change(PointsState(balance, state.held), self.amount, note="charge", ref=self.request_id)
        return Decision(Accepted({"balance": balance}), {self.keys[0]: change})


@dataclass(frozen=True, slots=True)
class Blind(Base):
    """Write a state that the schema's CHECK refuses."""

    sku: str = "s"

    @property
    def keys(self):
        return (Key("stock", self.sku),)

    def decide(self, rows):
        return Decision(Accepted({}), {self.keys[0]: Change(rows[self.keys[0]].state._replace(on_hand=-1), -1)})


@dataclass(frozen=True, slots=True)
class Broken(Base):
    """A command whose `decide` breaks its contract."""

    @property
    def keys(self):
        return ()

    def decide(self, rows):
        raise ZeroDivisionError("decide must be total")


@dataclass(frozen=True, slots=True)
class Discover(Base):
    """Asks for one more row at a time until it has `wanted`."""

    wanted: tuple[str, ...] = ()
    first: str = "s"
    asked: list = field(default_factory=list)

    @property
    def keys(self):
        return (Key("stock", self.first),)

    def decide(self, rows):
        for sku in self.wanted:
            if Key("stock", sku) not in rows:
                self.asked.append(sku)
                return Decision(need_keys=[Key("stock", sku)])
        return Decision(Accepted({"rows": len(rows)}))


@dataclass(frozen=True, slots=True)
class Buy(Base):
    """Take one unit of `s` for 10 points of a user, who must have as many left."""

    user: str = "u"

    @property
    def keys(self):
        return (Key("stock", "s"), Key("points", self.user))

    def decide(self, rows):
        stock, points = (rows[key].state for key in self.keys)
        if stock.on_hand < 1 or points is None or points.balance < 10:
            return Decision(Rejected("NOT_BOUGHT"))
        taken = Change(stock._replace(on_hand=stock.on_hand - 1), -1, note="taken", ref=self.request_id)
        used = Change(points._replace(balance=points.balance - 10), -10, note="use", ref=self.request_id)
        return Decision(Accepted({}), dict(zip(self.keys, (taken, used), strict=True)))
