"""A shop in memory: the store's own fold over dictionaries, so that commands are tested without a database.

`fill` copies everything into a real one, for tests of queries and of the audit.
"""

from collections import defaultdict
from typing import NamedTuple

import msgspec

from stockade.core import Key, Row
from stockade.service.ids import derived_id
from stockade.shop.commands import (
    AdjustStock,
    CancelLines,
    CancelOrder,
    ChargePoints,
    CreateProduct,
    ExpireOrder,
    NewSku,
    OrderLine,
    PayOrder,
    PlaceOrder,
    SkuPrice,
    UpdateProduct,
)
from stockade.shop.migrations import SCHEMA
from stockade.shop.model.resources import SHOP_RESOURCES
from stockade.shop.model.states import SkuOfProduct
from stockade.store.schema.known_tables import KnownTables
from stockade.store.transaction.decide import BatchDecider
from stockade.store.transaction.write_set import MissingKeys

RESOURCES = {resource.kind: resource for resource in SHOP_RESOURCES}
MADE_BY_INSERT = {
    "orders": "order",
    "payments": "payment",
    "products": "product",
    "point_charges": "charge",
    "payment_attempts": "attempt",
    "refunds": "refund",
}
NOW_MS = 1_700_000_000_000


class Told(NamedTuple):
    """An event of the outbox, its body read."""

    id: str
    kind: str
    key: str
    body: dict


class MemoryShop:
    """Carries out commands one after the other. `now_ms` is moved by the test."""

    def __init__(self):
        self.now_ms = NOW_MS
        self.rows = {}
        self.lines = defaultdict(list)
        self.cancelled_lines = []
        self.cart = {}
        self.refused = []
        self.known = {}
        self.requests = []
        self.ledger = []
        self.outbox = []
        self._decider = BatchDecider(RESOURCES, KnownTables(SCHEMA.metadata, RESOURCES.values()))
        self._count = 0

    def execute(self, command):
        """Execute one command, with as many passes as it needs."""
        extra = ()
        for _ in range(4):
            loaded = {key: self.row(key) for key in (*command.keys, *extra)}
            batch = self._decider.decide([command], loaded, self.known)
            (answer,) = batch.answers
            if not isinstance(answer, MissingKeys):
                break
            extra = (*extra, *answer.keys)
        if isinstance(answer, Exception | MissingKeys):
            raise AssertionError(f"{command} was answered with {answer!r}")
        self._apply(batch)
        return answer

    def row(self, key):
        """A row as `decide` sees it."""
        if key.kind == "lines":
            lines = self.lines.get(key.id)
            return Row(key, tuple(lines), 1) if lines else Row(key, None, 0)
        if key.kind == "order_cancelled":
            state = RESOURCES[key.kind].state
            found = [each for each in self.cancelled_lines if each["order_id"] == key.id]
            states = tuple(state(*(each[name] for name in state._fields)) for each in found)
            return Row(key, states, 1) if states else Row(key, None, 0)
        if key.kind == "skus":
            found = sorted(k.id for k, row in self.rows.items() if k.kind == "stock" and row.state.product_id == key.id)
            return Row(key, tuple(SkuOfProduct(id_) for id_ in found), 1) if found else Row(key, None, 0)
        return self.rows.get(key, Row(key, None, 0))

    def state(self, kind, id_):
        """The state of a row, None when there is no such row."""
        return self.row(Key(kind, id_)).state

    def _apply(self, batch):
        for key, update in batch.updates.items():
            self.rows[key] = update.after
        for table, records in batch.inserts.items():
            for values in records:
                self._insert(table, values)
        for table, values, replaces in batch.overwrites:
            assert table == "cart_items"
            place = values["user_id"], values["sku_id"]
            if replaces:
                self.cart[place] = values["quantity"]
            else:
                self.cart.pop(place, None)
        for record in batch.requests:
            assert record["id"] not in self.known
            self.known[record["id"]] = record["fingerprint"], record["outcome"]
        self.requests += batch.requests
        self.ledger += batch.ledger
        self.outbox += batch.outbox

    def _insert(self, table, values):
        if table == "order_lines":
            state = RESOURCES["lines"].state
            self.lines[values["order_id"]].append(state(*(values[name] for name in state._fields)))
        elif table == "cancelled_lines":
            self.cancelled_lines.append(values)
        elif table == "refused_orders":
            self.refused.append(values)
        else:
            kind = MADE_BY_INSERT[table]
            state = RESOURCES[kind].state
            key = Key(kind, values["id"])
            assert key not in self.rows, "an id is given once"
            fields = {name: values[name] for name in state._fields if name in values}
            self.rows[key] = Row(key, state(**fields), values["version"], values["stamp"])

    def fill(self, connection):
        """Copy everything into an empty database."""
        records = defaultdict(list)
        for key, row in self.rows.items():
            values = {"id": key.id, **row.state._asdict(), "version": row.version, "stamp": row.stamp}
            records[RESOURCES[key.kind].table.name].append(values)
        for order_id, lines in self.lines.items():
            for number, line in enumerate(lines, 1):
                at_ms = self.state("order", order_id).created_ms
                record = {"order_id": order_id, "line": number, **line._asdict(), "created_ms": at_ms}
                records["order_lines"].append(record)
        for (user_id, sku_id), quantity in self.cart.items():
            records["cart_items"].append({"user_id": user_id, "sku_id": sku_id, "quantity": quantity})
        records |= {"requests": self.requests, "ledger": self.ledger, "outbox": self.outbox}
        records |= {"refused_orders": self.refused, "cancelled_lines": self.cancelled_lines}
        for table in SCHEMA.tables:
            if records[table.name]:
                connection.execute(table.insert(), records[table.name])

    # -- shorthands ------------------------------------------------------------------------------------------

    def next_id(self):
        """A fresh request id and fingerprint, and the time."""
        self._count += 1
        id_ = derived_id("test", self._count)
        return id_, id_, self.now_ms

    def sku(self, sku_id, price=1000, stock=10):
        """A product `p-SKU` with one SKU."""
        skus = (NewSku(price, stock, sku_id),)
        return self.execute(CreateProduct(*self.next_id(), f"Name of {sku_id}", "things", skus, f"p-{sku_id}"))

    def edit(self, sku_id, version, price=1000, status="ACTIVE", name=None):
        """Edit the product `p-SKU`."""
        skus = (SkuPrice(sku_id, price),)
        name = name or f"Name of {sku_id}"
        return self.execute(UpdateProduct(*self.next_id(), f"p-{sku_id}", version, name, "things", status, skus))

    def charge(self, user_id, amount):
        """Points for a user."""
        return self.execute(ChargePoints(*self.next_id(), user_id, amount))

    def place(self, user_id, *lines, pay="POINTS", reserve_ms=600_000):
        """An order of (SKU, quantity) pairs."""
        return self.execute(PlaceOrder(*self.next_id(), user_id, order_lines(*lines), pay, reserve_ms))

    def reserve(self, user_id, *lines):
        """The id of an order that is to be paid later."""
        answer = self.place(user_id, *lines, pay="LATER")
        assert answer.accepted, answer
        return answer.data["order_id"]

    def buy(self, user_id, *lines):
        """The id of an order paid with points."""
        answer = self.place(user_id, *lines)
        assert answer.accepted, answer
        return answer.data["order_id"]

    def pay(self, order_id, user_id):
        """Pay a reserved order."""
        return self.execute(PayOrder(*self.next_id(), order_id, user_id))

    def cancel(self, order_id, user_id=None, reason="changed my mind"):
        """Cancel an order, as its owner or as an administrator."""
        return self.execute(CancelOrder(*self.next_id(), order_id, user_id, reason))

    def cancel_lines(self, order_id, *lines, user_id=None, reason="too many"):
        """Cancel units of lines: (SKU, quantity) pairs, 0 for what is left of one."""
        return self.execute(CancelLines(*self.next_id(), order_id, user_id, order_lines(*lines), reason))

    def expire(self, order_id):
        """End a reservation under a fresh request id."""
        return self.execute(ExpireOrder(*self.next_id(), order_id))

    def adjust(self, sku_id, delta, reason="count"):
        """Correct stock."""
        return self.execute(AdjustStock(*self.next_id(), sku_id, delta, reason))

    def stock(self, sku_id):
        """(on hand, reserved) of a SKU."""
        state = self.state("stock", sku_id)
        return state.on_hand, state.reserved

    def balance(self, user_id):
        """A user's balance, None without an account."""
        state = self.state("points", user_id)
        return None if state is None else state.balance

    def events(self, since=0):
        """The events, from so many on."""
        return read(self.outbox[since:])

    def written(self):
        """How much there is of everything a refusal must not write."""
        rows = {key: row for key, row in self.rows.items() if row.version}
        done = sum(event["kind"] != "order.rejected" for event in self.outbox)
        return rows, dict(self.cart), len(self.ledger), done, sum(map(len, self.lines.values()))


def read(outbox):
    """Records of the outbox as events."""
    return [
        Told(f"{each['request_id']}:{each['seq']}", each["kind"], each["key"], msgspec.json.decode(each["body"]))
        for each in outbox
    ]


def order_lines(*lines):
    """(SKU, quantity) pairs as an order has them."""
    return tuple(OrderLine(*line) for line in lines)
