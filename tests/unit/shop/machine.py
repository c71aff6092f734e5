"""A hypothesis state machine over the shop's commands: every step is done to the shop and to the model.

Subclasses say how a command is carried out and how rows are read.
"""

from collections import defaultdict

import msgspec
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, multiple, rule

from stockade.service.ids import derived_id
from stockade.shop.commands import (
    AdjustStock,
    CancelLines,
    CancelOrder,
    ChargePoints,
    CreateProduct,
    ExpireOrder,
    NewSku,
    PayOrder,
    PlaceOrder,
    SetCartItem,
    SkuPrice,
    UpdateProduct,
)
from tests.unit.shop.memory import NOW_MS, order_lines
from tests.unit.shop.model import Model

PRICES = {"a": 1000, "b": 300, "gift": 0}
SKUS = st.sampled_from(sorted(PRICES))
USERS = st.sampled_from(["u", "v"])
LINES = st.lists(
    st.tuples(st.sampled_from([*PRICES, *PRICES, "ghost"]), st.integers(1, 6)),
    min_size=1,
    max_size=3,
    unique_by=lambda line: line[0],
).map(tuple)
SOME_LINES = st.lists(st.tuples(SKUS, st.integers(0, 3)), min_size=1, max_size=2, unique_by=lambda line: line[0]).map(
    tuple
)
RESERVE_MS = 60_000
LEGAL = {
    None: {"RESERVED", "PAID"},
    "RESERVED": {"PAID", "CANCELLED", "EXPIRED"},
    "PAID": {"CANCELLED"},
}


class ShopMachine(RuleBasedStateMachine):
    """Steps and invariants; `execute`, `stock`, `balance`, `cart` and `status` are left to the subclass."""

    orders = Bundle("orders")

    def __init__(self):
        super().__init__()
        self.model = Model(dict(PRICES))
        self.now_ms = NOW_MS
        self.done = []
        self.seen = defaultdict(lambda: None)
        self.count = 0

    @initialize()
    def open(self):
        """Three SKUs on sale."""
        for sku, price in PRICES.items():
            made = CreateProduct(*self.head(), sku, "things", (NewSku(price, 10, sku),), f"p-{sku}")
            self.carry_out(made, "ACCEPTED")
            self.model.supplied[sku] = 10

    def head(self):
        """A fresh request."""
        self.count += 1
        id_ = derived_id("machine", self.count)
        return id_, id_, self.now_ms

    def carry_out(self, command, expected):
        """Do it to the shop: the answer must be the model's."""
        answer = self.execute(command)
        code = "ACCEPTED" if answer.accepted else answer.code
        assert code == expected, (command, answer)
        assert not answer.replayed
        self.done.append((command, answer))
        return answer

    @rule(target=orders, user=USERS, lines=LINES, later=st.booleans(), total=st.none() | st.just(1000))
    def place(self, user, lines, later, total):
        """An order; only those that are made can be used by later steps."""
        pay = "LATER" if later else "POINTS"
        told = () if total is None else (total,)
        command = PlaceOrder(*self.head(), user, order_lines(*lines), pay, RESERVE_MS, *told)
        until_ms = self.now_ms + RESERVE_MS if later else None
        expected = self.model.place(command.request_id, user, lines, until_ms, total)
        self.carry_out(command, expected)
        return command.request_id if expected == "ACCEPTED" else multiple()

    @rule(order_id=orders, user=USERS)
    def pay(self, order_id, user):
        """By its owner or by someone else."""
        self.carry_out(PayOrder(*self.head(), order_id, user), self.model.pay(order_id, user, self.now_ms))

    @rule(order_id=orders, user=st.none() | USERS)
    def cancel(self, order_id, user):
        """By its owner, someone else or an administrator."""
        self.carry_out(CancelOrder(*self.head(), order_id, user, "because"), self.model.cancel(order_id, user))

    @rule(order_id=orders, user=st.none() | USERS, lines=SOME_LINES)
    def cancel_lines(self, order_id, user, lines):
        """Some units, whole lines, or lines that are not there."""
        command = CancelLines(*self.head(), order_id, user, order_lines(*lines), "because")
        self.carry_out(command, self.model.cancel_lines(order_id, user, lines))

    @rule(order_id=orders)
    def expire(self, order_id):
        """In time or too early."""
        self.carry_out(ExpireOrder(*self.head(), order_id), self.model.expire(order_id, self.now_ms))

    @rule(user=USERS, amount=st.integers(1, 9000))
    def charge(self, user, amount):
        """Points."""
        self.carry_out(ChargePoints(*self.head(), user, amount), self.model.charge(user, amount))

    @rule(sku=SKUS, delta=st.integers(-8, 8).filter(bool))
    def adjust(self, sku, delta):
        """A delivery or a loss."""
        self.carry_out(AdjustStock(*self.head(), sku, delta, "count"), self.model.adjust(sku, delta))

    @rule(user=USERS, sku=SKUS)
    def put_into_cart(self, user, sku):
        """A wish."""
        hidden = sku in self.model.hidden
        self.carry_out(SetCartItem(*self.head(), user, sku, 1), "NOT_ON_SALE" if hidden else "ACCEPTED")
        if not hidden:
            self.model.cart.add((user, sku))

    @rule(sku=SKUS, price=st.sampled_from([0, 300, 1000]), hidden=st.booleans(), late=st.sampled_from([0, 0, 0, 1]))
    def edit(self, sku, price, hidden, late):
        """A price, hidden or not; sometimes by an editor who has not seen the newest version."""
        version = self.model.versions[sku] + 1 - late
        status = "HIDDEN" if hidden else "ACTIVE"
        command = UpdateProduct(*self.head(), f"p-{sku}", version, sku, "things", status, (SkuPrice(sku, price),))
        self.carry_out(command, self.model.edit(sku, version, price, hidden))

    @rule(ms=st.sampled_from([1, RESERVE_MS // 2, RESERVE_MS]))
    def wait(self, ms):
        """Time passes."""
        self.now_ms += ms

    @rule(data=st.data())
    def repeat(self, data):
        """Any earlier request again: the same answer, and nothing happens."""
        command, answer = data.draw(st.sampled_from(self.done))
        again = self.execute(command)
        assert again.replayed
        assert (again.accepted, dict(again.data)) == (answer.accepted, plain(answer.data))

    @invariant()
    def stock_is_conserved(self):
        """What came is on hand, or in a paid order; what is reserved is in a reserved one."""
        for sku in self.model.supplied:
            on_hand, reserved = self.stock(sku)
            assert (on_hand, reserved) == (self.model.on_hand(sku), self.model.reserved(sku))
            assert 0 <= reserved <= on_hand

    @invariant()
    def points_are_conserved(self):
        """What was charged is in the account or in a paid order."""
        for user in ("u", "v"):
            assert (self.balance(user) or 0) == self.model.balance(user) >= 0

    @invariant()
    def orders_step_legally(self):
        """Each order is in the model's state, and came there by a legal step."""
        for order_id, order in self.model.orders.items():
            assert self.status(order_id) == order.status
            before = self.seen[order_id]
            assert order.status == before or order.status in LEGAL[before]
            self.seen[order_id] = order.status

    @invariant()
    def carts_hold_what_was_not_ordered(self):
        """Only ordered SKUs have left."""
        assert self.cart() == self.model.cart


def plain(value):
    """A value after a round trip through JSON."""
    return msgspec.json.decode(msgspec.json.encode(value))
