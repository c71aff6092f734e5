"""Cancelled lines in the database: the audit and the sums of sales agree with a model, and two requests never both win.

`tests/unit/shop` has the rules of the command.
"""

import asyncio
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import create_engine, delete, func, select, union_all, update
from sqlalchemy.util import await_only

from stockade.core import Conflict, Guard
from stockade.service.audit.rule_types import Scope
from stockade.shop import queries
from stockade.shop.audit import audit, orders
from stockade.shop.audit.rules import SCREENS
from stockade.shop.audit.screens.orders import BY_LINE, BY_PAYMENT
from stockade.shop.commands import CancelLines, ClaimPayment, SettlePayment
from stockade.shop.commands.payments.settle_payment import settle_id
from stockade.shop.migrations import SCHEMA
from stockade.shop.model.resources import SHOP_RESOURCES
from stockade.shop.model.tables import cancelled_lines, payment_attempts, refunds
from stockade.shop.model.tables import orders as orders_table
from stockade.shop.sales.changes import COUNTED_EVENTS, changes_of, steps_of
from stockade.shop.sales.hours import HOUR_MS
from stockade.shop.sales.sold import sold
from stockade.store import Database, SqlStore
from stockade.store.schema.tables import ledger, outbox
from tests.shop.conftest import soon
from tests.shop.runner import Runner
from tests.shop.test_store import clean, codes, place, stocked, under_each_guard
from tests.unit.shop.memory import MemoryShop, order_lines

PRICES = {"a": 1000, "b": 300, "gift": 0}
WHOLE_ORDER = ("cancel", "expire")
CONCERNED = {*BY_LINE.rules, *BY_PAYMENT.rules, orders.order_status, orders.illegal_step, orders.cancelled_units}
STEPS = st.lists(
    st.one_of(
        st.lists(
            st.tuples(st.sampled_from(sorted(PRICES)), st.integers(0, 3)),
            min_size=1,
            max_size=3,
            unique_by=lambda line: line[0],
        ),
        st.sampled_from(["pay", *WHOLE_ORDER]),
    ),
    max_size=8,
)


@dataclass
class Left:
    """The model of one order: what is left of it, and what its payment took and gave back."""

    units: dict
    paid: str  # how it is to be paid; "" while it is not
    open: bool = True
    taken: int = 0
    given: int = 0

    def worth(self):
        return sum(PRICES[sku] * units for sku, units in self.units.items())


class OneOrder:
    """One order of a shop in memory, beside its model."""

    def __init__(self, units, pay):
        self.shop, self.pay = MemoryShop(), pay
        for sku, price in PRICES.items():
            self.shop.sku(sku, price=price, stock=50)
        self.shop.charge("u", 100_000)
        self.shop.reserve("u", *((sku, 10) for sku in PRICES))  # what is held or sold elsewhere hides no mistake
        self.id = self.shop.place("u", *units.items(), pay="POINTS" if pay == "POINTS" else "LATER").data["order_id"]
        self.model = Left(dict(units), "")
        if pay == "POINTS":
            self._take("POINTS")

    def step(self, step):
        """Do it to both; the answer is the model's."""
        if step == "pay":
            return self._pay()
        if step == "cancel":
            done = self.shop.cancel(self.id).accepted
        elif step == "expire":
            self.shop.now_ms += 600_000
            done = self.shop.expire(self.id).accepted
            assert done == (self.model.open and not self.model.paid)
        else:
            return self._cancel_lines(step)
        assert step == "expire" or done == self.model.open
        if done:
            self._end()
        return None

    def _pay(self):
        if not self.model.open or self.model.paid:
            return
        late = self.shop.state("order", self.id).reserved_until_ms <= self.shop.now_ms
        if self.pay == "LATER":
            assert self.shop.pay(self.id, "u").accepted != late
        else:
            late = late or not self.model.worth()  # a gateway takes no payment of nothing
            assert self._by_gateway(self.model.worth()) != late
        if not late:
            self._take(self.pay)

    def _by_gateway(self, amount):
        id_, fingerprint, now_ms = self.shop.next_id()
        claim = ClaimPayment(
            id_, fingerprint, now_ms, id_, "order", self.id, "u", "key", amount, "KRW", "toss", now_ms + 1
        )
        claimed = self.shop.execute(claim)
        if not claimed.accepted:
            return False
        refused = self.shop.cancel_lines(self.id, ("a", 1))
        assert refused.code in ("PAYMENT_IN_PROGRESS", "SKU_NOT_FOUND")
        named = ("order", self.id, "u", tuple(claimed.data["sku_ids"]))
        settle = SettlePayment(settle_id(id_), id_, now_ms, id_, True, "gateway's", amount, "KRW", "", *named)
        return self.shop.execute(settle).data["status"] == "APPROVED"

    def _take(self, method):
        self.model.paid, self.model.taken = method, self.model.worth()

    def _cancel_lines(self, lines):
        left = self.model.units
        allowed = self.model.open and all(1 <= max(units, 1) <= left.get(sku, 0) for sku, units in lines)
        answer = self.shop.cancel_lines(self.id, *lines)
        assert answer.accepted == allowed, answer
        if allowed:
            before = self.model.worth()
            left |= {sku: left[sku] - units if units else 0 for sku, units in lines}
            self.model.given += before - self.model.worth() if self.model.paid else 0
            self.model.open = any(left.values())
            assert answer.data["status"] == ("CANCELLED" if not self.model.open else self.status())

    def _end(self):
        self.model.given += self.model.worth() if self.model.paid else 0
        self.model.units, self.model.open = dict.fromkeys(self.model.units, 0), False

    def status(self):
        return self.shop.state("order", self.id).status

    def check(self):
        """Stock, points and the refunds of the gateway are those of the model."""
        paid = bool(self.model.paid)
        for sku in PRICES:
            units = self.model.units.get(sku, 0)
            assert self.shop.stock(sku) == (50 - units * paid, 10 + units * (not paid))
        spent = 0 if self.pay == "PG" else self.model.taken - self.model.given
        assert self.shop.balance("u") == 100_000 - spent


@pytest.fixture(scope="module")
def engine():
    """SQLite in memory with the tables; only one, so that the audit's statements are compiled once."""
    engine = create_engine("sqlite://")
    with engine.begin() as conn:
        SCHEMA.create(conn)
    yield engine
    engine.dispose()


@contextmanager
def filled(engine, shop):
    """A connection to a database with the shop in it, and nothing else; it is taken out at the end."""
    with engine.connect() as conn:
        shop.fill(conn)
        yield conn
        conn.rollback()


@settings(max_examples=25, deadline=None)
@given(
    units=st.dictionaries(st.sampled_from(sorted(PRICES)), st.integers(1, 4), min_size=1),
    pay=st.sampled_from(["POINTS", "LATER", "PG"]),
    steps=STEPS,
)
def test_any_sequence_of_cancellations_leaves_a_sound_shop(engine, units, pay, steps):
    """Stock, points, refunds and sales are exact after every step, and no rule of the audit finds anything."""
    order = OneOrder(units, pay)
    for step in steps:
        order.step(step)
        order.check()
    with filled(engine, order.shop) as conn:
        assert [each for rule in CONCERNED for each in rule(conn, Scope())] == audit(conn) == []
        suspects = set().union(*(screen.look(conn) for screen in SCREENS))
        assert suspects <= ({orders.order_status, orders.illegal_step} if pay == "PG" else set())
        assert sales_by_events(conn) == sales_by_orders(conn)
        owed = conn.execute(select(func.coalesce(func.sum(refunds.c.amount), 0))).scalar_one()
        assert owed == (order.model.given if pay == "PG" else 0)
        for charged, given_back in conn.execute(select(payment_attempts.c.charged, payment_attempts.c.refunds)):
            assert given_back == owed <= charged
        shown = queries.order(conn, order.id, None)
        left = {line.sku_id: line.quantity - line.cancelled for line in shown.lines}
        assert left == order.model.units or not order.model.open
        assert (shown.refunded or 0) == order.model.given
        assert shown.total - (shown.cancelled or 0) == order.model.worth() or not order.model.open


def damaged():
    """One damage each to what was cancelled of an order, and the rule that must name it."""
    row = cancelled_lines.c
    yield "cancelled-lines", update(cancelled_lines).values(quantity=row.quantity + 9, amount=(row.quantity + 9) * 1000)
    yield "cancelled-lines", update(cancelled_lines).values(amount=row.amount + 1)
    yield "cancelled-lines", update(cancelled_lines).values(sku_id="b")
    yield "cancelled-lines", update(cancelled_lines).values(product_id="p-b")
    yield "cancelled-lines", update(cancelled_lines).values(payment_id="0" * 32)
    yield "cancelled-lines", update(cancelled_lines).values(line=7)
    yield "paid-deducted-once", delete(cancelled_lines).where(row.payment_id != "")
    yield "paid-deducted-once", delete(cancelled_lines).where(row.payment_id == "")
    yield "points-of-payment", delete(cancelled_lines).where(row.payment_id != "")
    yield "payment-of-order", delete(cancelled_lines).where(row.payment_id == "")
    yield "event-once", delete(outbox).where(outbox.c.kind == "order.lines_cancelled")
    yield "order-status", update(orders_table).where(orders_table.c.total == 5600).values(status="RESERVED")
    yield "paid-deducted-once", update(ledger).where(ledger.c.note == "restore").values(note="release")


@pytest.mark.parametrize(("rule", "statement"), [*damaged()], ids=lambda each: each if isinstance(each, str) else "")
def test_damage_to_what_was_cancelled_is_found(engine, rule, statement):
    """By its rule, and by the screen that has to send it there."""
    shop = MemoryShop()
    for sku, price in PRICES.items():
        shop.sku(sku, price=price, stock=50)
    shop.charge("u", 100_000)
    order_id = shop.reserve("u", ("a", 5), ("b", 2))
    shop.cancel_lines(order_id, ("a", 2))
    shop.pay(order_id, "u")
    shop.cancel_lines(order_id, ("a", 1))
    with filled(engine, shop) as conn:
        assert audit(conn) == []
        assert conn.execute(statement).rowcount > 0
        assert rule in {each.rule for each in audit(conn)}


def sales_by_events(conn):
    """Units and won of each product, as the job counts them."""
    steps, unreadable = steps_of(conn.execute(COUNTED_EVENTS.order_by(outbox.c.id)))
    assert not unreadable
    found = changes_of(conn, steps, from_ms=0)
    assert all(key.hour_ms % HOUR_MS == 0 for key in found)
    return {key.product_id: tuple(sales) for key, sales in found.items() if any(sales)}


def sales_by_orders(conn):
    """The same, as PAID orders hold them."""
    lines = union_all(*sold()).subquery()
    sums = select(lines.c.product_id, func.sum(lines.c.quantity), func.sum(lines.c.revenue)).group_by(
        lines.c.product_id
    )
    return {row[0]: (row[1], row[2]) for row in conn.execute(sums) if row[1]}


async def test_a_line_is_cancelled_once_under_each_guard(database):
    """Eight requests at once for the same line: one is accepted, and its money comes back once."""
    async for shop in under_each_guard(database):
        made = await shop.execute(place(shop, ("a", 3), ("b", 1)))
        order_id = made.data["order_id"]
        wanted = [cancel(shop, order_id, ("a", 0)) for _ in range(8)]
        assert codes(await shop.all(wanted)) == {"ACCEPTED": 1, "STATE_CONFLICT": 7}
        replayed = [each.replayed for each in await shop.all(wanted)]
        assert all(replayed)
        found = await clean(shop)
        assert (found.sold, found.left, found.balance) == (1, 39, 999_000)


def cancel(shop, order_id, *lines):
    return CancelLines(*shop.head(), order_id, "u", order_lines(*lines), "")


class Unguarded(CancelLines):
    """The control: it leaves the row of the order as it was."""

    def decide(self, rows):
        decision = super().decide(rows)
        if decision.outcome is None or not decision.outcome.accepted:
            return decision
        changes = {key: each for key, each in decision.changes.items() if key.kind != "order"}
        return type(decision)(decision.outcome, changes, decision.inserts, decision.deletes, decision.events)


async def both_have_read(database, kind):
    """Two cancellations of the same line, which both read before one of them writes; their answers."""
    runner = Runner(database, Guard.DELTA)
    await stocked(runner)
    made = await runner.execute(place(runner, ("a", 3), ("b", 1)))
    barrier = asyncio.Barrier(2)

    async def one():
        reads = []

        def meet(point):
            reads.append(point)
            if reads.count("loaded") == 2 and point == "loaded":  # first without, then with the rows of the lines
                await_only(barrier.wait())

        store = SqlStore(database, SHOP_RESOURCES, meet)
        command = kind(*runner.head(), made.data["order_id"], "u", order_lines(("a", 0)), "")
        while True:
            (answer,) = await store.transact([command], Guard.DELTA, deadline=soon(20))
            if not isinstance(answer, Conflict):
                return answer

    return await asyncio.wait_for(asyncio.gather(one(), one()), 30)


@asynccontextmanager
async def opened(url):
    """A migrated database."""
    database = await Database.open(url)
    try:
        await SCHEMA.migrate(database)
        yield database
    finally:
        await database.close()


async def test_two_that_have_read_the_same_line(postgres_database):
    """The order is the guard: the later one finds another version of it, and decides again."""
    async with opened(postgres_database) as database:
        answers = await both_have_read(database, CancelLines)
        assert codes(answers) == {"ACCEPTED": 1, "STATE_CONFLICT": 1}
        assert await database.read(audit) == []


async def test_control_without_a_change_of_the_order(postgres_database):
    """Without it both are accepted, and the audit says so."""
    async with opened(postgres_database) as database:
        answers = await both_have_read(database, Unguarded)
        assert codes(answers) == {"ACCEPTED": 2}
        assert "cancelled-lines" in {each.rule for each in await database.read(audit)}
