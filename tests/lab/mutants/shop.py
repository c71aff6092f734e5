"""Mutants of the shop's decisions: a small load carried out in memory, then written to SQLite and audited.

No two requests meet here, because these bugs need none that meet. Neighbour: `tests.unit.shop.memory` is the shop.
"""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache

import pytest
from sqlalchemy import Engine, create_engine
from sqlalchemy.exc import IntegrityError

from stockade.shop.audit import audit
from stockade.shop.commands import cancel_order, expire_order, place_order
from stockade.shop.commands.cancel_order import CancelOrder
from stockade.shop.commands.pay_order import PayOrder
from stockade.shop.migrations import SCHEMA
from tests.lab.mutants.mutant import SEEDS, Found
from tests.unit.shop.memory import MemoryShop

SCHEMA_REFUSES = "schema"
RESERVE_MS = 180_000
OPERATIONS = 24  # of one load, after the four that make the shop
DEAR = 2_000_000_000  # a price of which two do not fit into 32 bits


@dataclass(frozen=True)
class ShopMutant:
    """One bug of a decision; attributes as of `Mutant`.

    Attributes:
        afterwards: what the bug does to the rows of the shop when the load has been carried out.
    """

    name: str
    summary: str
    rule: str
    mutate: Callable[[pytest.MonkeyPatch], None] = lambda patch: None
    afterwards: Callable[[MemoryShop], None] = lambda shop: None

    def find(self) -> Found | None:
        """Carry out loads until the rule finds it; None after `SEEDS`."""
        with pytest.MonkeyPatch.context() as patch:
            self.mutate(patch)
            operations = 0
            for seed in range(SEEDS):
                violations, count = audited(seed, self.afterwards)
                operations += count
                if self.rule in violations:
                    return Found(seed, operations, violations[self.rule])
        return None

    def without(self, seeds: int) -> dict[int, Mapping[str, str]]:
        """What the same loads show without the bug: nothing."""
        found = {seed: _sound(seed) for seed in range(seeds)}
        return {seed: violations for seed, violations in found.items() if violations}


def audited(seed: int, afterwards: Callable[[MemoryShop], None] = lambda shop: None) -> tuple[dict[str, str], int]:
    """The rules of the audit that a load breaks, each with its first violation, and how many operations it has."""
    shop = MemoryShop()
    count = carried_out(shop, random.Random(seed))
    afterwards(shop)
    with _empty_shop().connect() as connection:
        try:
            shop.fill(connection)
            found: dict[str, str] = {}
            for violation in audit(connection):
                found.setdefault(violation.rule, violation.detail)
        except IntegrityError as refused:
            found = {SCHEMA_REFUSES: str(refused.orig)}
        finally:
            connection.rollback()
    return found, count


@cache
def _empty_shop() -> Engine:
    engine = create_engine("sqlite://")
    with engine.connect() as connection:
        SCHEMA.create(connection)
        connection.commit()
        # what its checks would refuse, the audit is to find
        connection.exec_driver_sql("PRAGMA ignore_check_constraints = ON")
    return engine


@cache
def _sound(seed: int) -> Mapping[str, str]:
    """What the audit finds after a load without a bug."""
    return audited(seed)[0]


def carried_out(shop: MemoryShop, rng: random.Random) -> int:
    """Carry out a load; how many operations it has. It has requests that a sound shop refuses."""
    shop.sku("a", price=1_000, stock=40)
    shop.sku("dear", price=DEAR, stock=10)
    shop.charge("u", 50_000)
    shop.charge("v", 20_000)
    orders: list[tuple[str, str]] = []
    for _ in range(OPERATIONS):
        shop.now_ms += 60_000
        user, choice = rng.choice("uv"), rng.random()
        if choice < 0.55 or not orders:
            sku, quantity = ("dear", 2) if rng.random() < 0.2 else ("a", rng.choice((1, 2, 3, -1)))
            answer = shop.place(
                user, (sku, quantity), pay=rng.choice(("POINTS", "LATER", "LATER")), reserve_ms=RESERVE_MS
            )
            if answer.accepted:
                orders.append((str(answer.data["order_id"]), user))
            continue
        order, owner = rng.choice(orders[-6:])
        if choice < 0.7:
            shop.cancel(order, owner)
        elif choice < 0.85:
            shop.expire(order)
        else:
            shop.pay(order, owner)
    return OPERATIONS + 4


def no_check_of_the_lines(patch):
    """An order of minus one unit is accepted."""
    patch.setattr(place_order, "lines_problem", lambda lines: None)


def money_in_32_bits(patch):
    """Totals are kept in 32 bits with a sign."""
    take = place_order.take

    def wrapped(*arguments, **settings):
        taken = take(*arguments, **settings)
        if not hasattr(taken, "total"):
            return taken
        return taken._replace(total=(taken.total + 2**31) % 2**32 - 2**31)

    patch.setattr(place_order, "take", wrapped)


def stock_not_taken(patch):
    """What takes the stock has failed, its caller does not see it, and the order goes on."""
    take = place_order.take

    def nothing(*arguments, **settings):
        taken = take(*arguments, **settings)
        return taken._replace(changes={}) if hasattr(taken, "total") else taken

    patch.setattr(place_order, "take", nothing)


def stock_held_for_ever(patch):
    """The end of a reservation gives no stock back."""
    move = expire_order.move

    def nothing(order_id, lines, rows, how):
        changes = move(order_id, lines, rows, how)
        return changes and {key: _unmoved(rows[key], change) for key, change in changes.items()}

    patch.setattr(expire_order, "move", nothing)


def _unmoved(row, change):
    return change._replace(state=row.state, delta=0, held=0)


def refund_lost(patch):
    """The refund of the points fails, and that is only logged."""
    refund = CancelOrder._refund

    def lost(self, order, amount, rows, changes, inserts):
        given_back = refund(self, order, amount, rows, changes, inserts)
        changes.pop(cancel_order.payment_keys(order)[0], None)
        return given_back

    patch.setattr(CancelOrder, "_refund", lost)


def no_check_of_the_state(patch):
    """Paying looks at no state: an order can be paid again."""
    patch.setattr(PayOrder, "_reject_state", lambda self, order: None)


def cancelled_orders_deleted(shop):
    """A cancelled order is deleted with its lines."""
    for key, row in list(shop.rows.items()):
        if key.kind == "order" and row.state.status == "CANCELLED":
            del shop.rows[key]
            shop.lines.pop(key.id, None)


MUTANTS = (
    ShopMutant(
        "negative quantity accepted",
        "an order of minus one unit adds stock and points",
        "below-zero",
        no_check_of_the_lines,
    ),
    ShopMutant("money in 32 bits", "price times quantity can turn negative", "order-total", money_in_32_bits),
    ShopMutant(
        "order without its stock",
        "an order goes on although its stock was not taken",
        "paid-deducted-once",
        stock_not_taken,
    ),
    ShopMutant(
        "reservation that is held for ever",
        "a reservation that has ended gives no stock back",
        "restored-once",
        stock_held_for_ever,
    ),
    ShopMutant(
        "cancelling deletes the order",
        "a cancelled order and its lines are deleted",
        "row-missing",
        afterwards=cancelled_orders_deleted,
    ),
    ShopMutant(
        "refund lost",
        "the refund of a cancelled order fails, and that is only logged",
        "points-of-payment",
        refund_lost,
    ),
    ShopMutant(
        "payment without a look at the state",
        "an order that is paid can be paid again",
        "illegal-step",
        no_check_of_the_state,
    ),
)
