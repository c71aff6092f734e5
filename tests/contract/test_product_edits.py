"""Prices that change and products that are hidden while orders run: every order is before or after each edit."""

import asyncio
import sqlite3
import time
from contextlib import closing

import pytest
from sqlalchemy import select

from stockade.core import Accepted, Conflict, Guard
from stockade.service.ids import derived_id
from stockade.shop.audit import audit
from stockade.shop.commands import OrderLine, PlaceOrder, SkuPrice, UpdateProduct
from stockade.shop.migrations import SCHEMA
from stockade.shop.model.tables import skus
from stockade.store import Database
from stockade.store.engine import expressions
from stockade.store.transaction import save
from stockade.strategies.options import Options
from tests.contract.conftest import NOW_MS, Bench
from tests.contract.test_strategies import _all, _protects
from tests.databases import CREATED

PRODUCT = derived_id("product", "s", "t")
EDITS = ((1100, "ACTIVE"), (1200, "HIDDEN"), (1300, "ACTIVE"), (1400, "ACTIVE"), (1500, "HIDDEN"), (1600, "ACTIVE"))


def edit(number, version, price, status="ACTIVE"):
    """An edit of the product with the SKUs `s` and `t`, the second one won dearer."""
    prices = (SkuPrice("s", price), SkuPrice("t", price + 1))
    return UpdateProduct(derived_id("edit", number), "f", NOW_MS, PRODUCT, version, "Lamp", "light", status, prices)


def order(number):
    """One unit of both SKUs."""
    lines = (OrderLine("s", 1), OrderLine("t", 1))
    return PlaceOrder(derived_id("order", number), "f", NOW_MS, f"u{number}", lines, "LATER")


async def edits_in_turn(bench, gate):
    """All edits, one after the other, each after some orders; the outcomes."""
    outcomes = []
    for version, (price, status) in enumerate(EDITS, 1):
        await gate.acquire()
        outcomes += await _all(bench, [edit(version, version, price, status)])
    return outcomes


async def orders_beside(bench, gate, count=36):
    """Orders, six of which begin at the same time; each six let one edit begin."""
    outcomes = []
    for at in range(0, count, 6):
        gate.release()
        outcomes += await _all(bench, [order(n) for n in range(at, at + 6)])
    return outcomes


def wrong(edits, orders):
    """Orders whose price or state is not the one of the last edit before them, by the versions of the SKU's row."""
    found = []
    states = {1: (1000, "ACTIVE")}
    for outcome, (price, status) in zip(edits, EDITS, strict=True):
        if isinstance(outcome, Accepted):
            states[outcome.versions["stock:s"]] = price, status
    for outcome in orders:
        if not isinstance(outcome, Accepted):
            continue
        version = outcome.versions["stock:s"]
        price, status = states[max(at for at in states if at < version)]
        paid = [line["price"] for line in outcome.data["lines"]]
        if status == "HIDDEN" or paid != [price, price + (price != 1000)] or outcome.data["total"] != sum(paid):
            found.append((version, paid, price, status))
    return found


async def test_every_order_has_a_price_of_its_moment(bench):
    """Each total is of prices in force, nothing hidden is sold, no edit is lost; of five editors one is served."""
    await bench.product("s", "t", stock=1000)
    gate = asyncio.Semaphore(0)
    edits, orders = await asyncio.gather(edits_in_turn(bench, gate), orders_beside(bench, gate))
    there = await bench.database.read(lambda c: c.execute(select(skus.c.price).where(skus.c.id == "s")).scalar_one())
    violations = await bench.database.read(audit)
    if not _protects(bench):
        assert wrong(edits, orders) or violations or there != 1600, "unprotected must lose something: the control"
        return
    assert [isinstance(each, Accepted) for each in edits] == [True] * len(EDITS), edits
    assert {each.code for each in orders if not isinstance(each, Accepted)} <= {"NOT_ON_SALE"}, orders
    assert wrong(edits, orders) == []
    assert there == 1600
    assert violations == []
    await one_of_five_editors(bench)


async def one_of_five_editors(bench):
    """Five editors who saw the same version: one edit is made, the others are refused with the version there is."""
    seen = len(EDITS) + 1
    outcomes = await _all(bench, [edit(("racing", n), seen, 2000 + n) for n in range(5)])
    assert sum(isinstance(each, Accepted) for each in outcomes) == 1, outcomes
    refused = [each for each in outcomes if not isinstance(each, Accepted)]
    assert {(each.code, each.data["version"]) for each in refused} == {("VERSION_CONFLICT", seen + 1)}
    again = await _all(bench, [edit(("racing", n), seen, 2000 + n) for n in range(5)])
    assert [(each.replayed, each.data) for each in again] == [(True, each.data) for each in outcomes]
    assert await bench.database.read(audit) == []


@pytest.mark.parametrize("compared", [True, False], ids=["compared", "control"])
async def test_a_price_that_changes_between_read_and_update(tmp_path, monkeypatch, compared):
    """A conditional UPDATE of the stock meets the new price and fails; without the comparison (control) it does not."""
    if not compared:
        for module in (expressions, save):
            monkeypatch.setattr(module, "steady_fields", lambda resource: [])
    file = tmp_path / "shop.sqlite"
    await CREATED.migrate(f"sqlite:///{file}", SCHEMA)
    database = await Database.open(f"sqlite:///{file}")
    bench = Bench("conditional", database, Options())
    await bench.product("s", "t")

    def change_the_price(point):
        if point == "loaded":
            bench.store._steps.checkpoint = None
            with closing(sqlite3.connect(file)) as editor, editor:
                editor.execute("UPDATE skus SET price = 2000, version = version + 1 WHERE id = 's'")

    bench.store._steps.checkpoint = change_the_price
    (outcome,) = await bench.store.transact([order(1)], Guard.DELTA, deadline=time.monotonic() + 10)
    if compared:
        assert isinstance(outcome, Conflict)
        (outcome,) = await bench.store.transact([order(1)], Guard.DELTA, deadline=time.monotonic() + 10)
    assert outcome.data["total"] == (3000 if compared else 2000)
    await database.close()
