"""The audit's work grows with the shop, not with its square: counted in steps of SQLite's machine, not in seconds."""

import pytest
from sqlalchemy import create_engine, func, select

from stockade.shop.audit import RULES
from stockade.shop.audit.finding import Scope
from stockade.store.tables import ledger, metadata
from tests.unit.shop.memory import MemoryShop

ORDERS = 200
EVERY = 100  # steps between two counts


def shop_of(orders):
    """An engine with a shop of few SKUs and buyers, so that each row has many orders."""
    shop = MemoryShop()
    for n in range(5):
        shop.sku(f"s{n}", price=1, stock=1_000_000)
    for n in range(10):
        shop.charge(f"u{n}", 1_000_000)
    for n in range(orders):
        shop.buy(f"u{n % 10}", (f"s{n % 5}", 1))
    engine = create_engine("sqlite://")
    with engine.begin() as conn:
        metadata.create_all(conn)
        shop.fill(conn)
    return engine


@pytest.fixture(scope="module")
def engines():
    """A shop, and one with twice as many orders."""
    found = [shop_of(ORDERS), shop_of(2 * ORDERS)]
    yield found
    for engine in found:
        engine.dispose()


def steps(engine, work):
    """How many steps some work takes."""
    counted = 0

    def count():
        nonlocal counted
        counted += EVERY
        return 0

    with engine.connect() as conn:
        driver = conn.connection.driver_connection
        driver.set_progress_handler(count, EVERY)
        work(conn)
        driver.set_progress_handler(None, 0)
    return counted


def growth(engines, work):
    """How much more work the larger shop is."""
    small, large = (steps(engine, work) for engine in engines)
    return large / max(small, EVERY)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_twice_the_orders_are_twice_the_work(engines, rule):
    """No rule compares every record with every other: on a large shop it would never end."""
    assert growth(engines, lambda conn: list(rule(conn, Scope()))) < 2.5


def test_comparing_all_with_all_is_seen(engines):
    """The control: entries of a SKU against each other are four times the work."""
    other = ledger.alias()
    pairs = select(func.count()).join_from(ledger, other, ledger.c.row_id + "" == other.c.row_id + "")
    assert growth(engines, lambda conn: conn.execute(pairs.where(ledger.c.version < other.c.version)).all()) > 3.5
