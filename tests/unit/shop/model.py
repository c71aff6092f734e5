"""The shop as a child would write it: a few dictionaries, no keys, no versions, no ledger.

The state machines compare the real one with it after every step. Used in memory and over a real store.
"""

from collections import Counter
from dataclasses import dataclass, field


@dataclass
class ModelOrder:
    """An order of the model: the units that are left of each SKU, and their prices."""

    user: str
    left: dict
    prices: dict
    status: str
    until_ms: int

    @property
    def total(self):
        """What these units cost."""
        return sum(self.prices[sku] * units for sku, units in self.left.items())


@dataclass
class Model:
    """What a shop must look like. Every method returns ACCEPTED or the code of the refusal."""

    prices: dict
    supplied: Counter = field(default_factory=Counter)
    charged: Counter = field(default_factory=Counter)
    orders: dict = field(default_factory=dict)
    cart: set = field(default_factory=set)
    hidden: set = field(default_factory=set)
    versions: Counter = field(default_factory=Counter)

    def reserved(self, sku):
        """Units that unpaid orders speak for."""
        return self._units(sku, "RESERVED")

    def on_hand(self, sku):
        """Units in the warehouse."""
        return self.supplied[sku] - self._units(sku, "PAID")

    def balance(self, user):
        """What a user has left."""
        spent = sum(order.total for order in self.orders.values() if order.user == user and order.status == "PAID")
        return self.charged[user] - spent

    def place(self, order_id, user, lines, later_until_ms, expected_total=None):
        """Place an order; `later_until_ms` is None to pay with points."""
        if any(sku not in self.prices for sku, _ in lines):
            return "SKU_NOT_FOUND"
        if any(sku in self.hidden for sku, _ in lines):
            return "NOT_ON_SALE"
        if any(quantity > self.on_hand(sku) - self.reserved(sku) for sku, quantity in lines):
            return "OUT_OF_STOCK"
        total = sum(self.prices[sku] * quantity for sku, quantity in lines)
        if expected_total not in (None, total):
            return "PRICE_CHANGED"
        later = later_until_ms is not None
        if not later and total > self.balance(user):
            return "INSUFFICIENT_POINTS"
        status = "RESERVED" if later else "PAID"
        self.orders[order_id] = ModelOrder(user, dict(lines), dict(self.prices), status, later_until_ms)
        self.cart -= {(user, sku) for sku, _ in lines}
        return "ACCEPTED"

    def pay(self, order_id, user, now_ms):
        """Pay an order."""
        order = self.orders[order_id]
        if order.user != user:
            return "ORDER_NOT_FOUND"
        if order.status == "PAID":
            return "ALREADY_PAID"
        if order.status == "EXPIRED" or (order.status == "RESERVED" and now_ms >= order.until_ms):
            return "RESERVATION_EXPIRED"
        if order.status != "RESERVED":
            return "STATE_CONFLICT"
        if order.total > self.balance(user):
            return "INSUFFICIENT_POINTS"
        order.status = "PAID"
        return "ACCEPTED"

    def cancel(self, order_id, user):
        """Cancel an order; `user` None is an administrator."""
        order = self.orders[order_id]
        if user not in (None, order.user):
            return "ORDER_NOT_FOUND"
        if order.status not in ("RESERVED", "PAID"):
            return "STATE_CONFLICT"
        order.status = "CANCELLED"
        return "ACCEPTED"

    def cancel_lines(self, order_id, user, lines):
        """Cancel units of lines, 0 for all that are left; the order ends with its last unit."""
        order = self.orders[order_id]
        if user not in (None, order.user):
            return "ORDER_NOT_FOUND"
        if order.status not in ("RESERVED", "PAID"):
            return "STATE_CONFLICT"
        if any(sku not in order.left for sku, _ in lines):
            return "SKU_NOT_FOUND"
        if any(max(units, 1) > order.left[sku] for sku, units in lines):
            return "STATE_CONFLICT"
        order.left |= {sku: order.left[sku] - units if units else 0 for sku, units in lines}
        if not any(order.left.values()):
            order.status = "CANCELLED"
        return "ACCEPTED"

    def expire(self, order_id, now_ms):
        """End a reservation."""
        order = self.orders[order_id]
        if order.status != "RESERVED" or now_ms < order.until_ms:
            return "STATE_CONFLICT"
        order.status = "EXPIRED"
        return "ACCEPTED"

    def charge(self, user, amount):
        """Charge points."""
        self.charged[user] += amount
        return "ACCEPTED"

    def adjust(self, sku, delta):
        """Correct stock."""
        if self.on_hand(sku) - self.reserved(sku) + delta < 0:
            return "OUT_OF_STOCK"
        self.supplied[sku] += delta
        return "ACCEPTED"

    def edit(self, sku, version, price, hidden):
        """Set a price, and hide or show; `version` counts the edits that were seen, from 1."""
        if version != self.versions[sku] + 1:
            return "VERSION_CONFLICT"
        self.versions[sku] += 1
        self.prices[sku] = price
        (self.hidden.add if hidden else self.hidden.discard)(sku)
        return "ACCEPTED"

    def _units(self, sku, status):
        orders = (order for order in self.orders.values() if order.status == status)
        return sum(order.left.get(sku, 0) for order in orders)
