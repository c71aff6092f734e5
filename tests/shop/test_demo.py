"""Demo data: made by commands, easy to type, and never twice."""

import asyncio

import pytest

from stockade.core import Busy
from stockade.shop import queries
from stockade.shop.audit import audit, summary
from stockade.shop.demo import DemoRefused, create_demo
from stockade.shop.model.limits import MAX_AMOUNT
from tests.shop.runner import Runner
from tests.unit.shop.memory import NOW_MS, MemoryShop


async def test_a_demo_is_there_after_one_run_and_the_same_after_two(database):
    """Users, products, stock and points as requested; the second run finds everything; the audit finds no violation."""
    runner = Runner(database)
    first = await create_demo(runner.execute, 3, 4, 50, 9000, now_ms=NOW_MS)
    again = await create_demo(runner.execute, 3, 4, 50, 9000, now_ms=NOW_MS + 5)
    assert (first.made, first.there, again.made, again.there) == (7, 0, 0, 7)
    found = await database.read(summary)
    assert (found.skus, found.left, found.accounts, found.balance) == (4, 200, 3, 27_000)
    product = await database.read(lambda c: queries.product(c, "product-1"))
    assert [(sku.id, sku.price, sku.available) for sku in product.skus] == [("sku-1", 1000, 50)]
    assert (await database.read(lambda c: queries.points(c, "user-3"))).balance == 9000
    assert await database.read(audit) == []


def memory():
    """A shop in memory and an execute over it."""
    shop = MemoryShop()

    async def execute(command):
        await asyncio.sleep(0)
        return shop.execute(command)

    return shop, execute


async def test_progress_counts_to_the_total():
    """Progress is reported for each command, in order, up to the total; without points there are no accounts."""
    _, execute = memory()
    told = []
    await create_demo(execute, 5, 3, 1, 0, now_ms=NOW_MS, progress=lambda done, total: told.append((done, total)))
    assert told == [(1, 3), (2, 3), (3, 3)]


async def test_a_second_run_goes_on_where_the_first_was_cut_off():
    """The database became unavailable in the middle: the error is raised, and the next run makes the rest."""
    shop, execute = memory()
    left = 4

    async def breaking(command):
        nonlocal left
        left -= 1
        if left < 0:
            raise Busy("the database is away", "DEPENDENCY_DOWN")
        return await execute(command)

    with pytest.raises(Busy):
        await create_demo(breaking, 5, 5, 10, 100, now_ms=NOW_MS, at_once=2)
    result = await create_demo(execute, 5, 5, 10, 100, now_ms=NOW_MS)
    assert result.made + result.there == 10
    assert result.there == 4
    assert sum(shop.balance(f"user-{n}") for n in range(1, 6)) == 500


async def test_commands_under_way_are_bounded():
    """Never more than allowed, also with thousands to make."""
    _, execute = memory()
    running = most = 0

    async def counting(command):
        nonlocal running, most
        running += 1
        most = max(most, running)
        answer = await execute(command)
        running -= 1
        return answer

    result = await create_demo(counting, 300, 300, 1, 1, now_ms=NOW_MS, at_once=8)
    assert (most, result.made) == (8, 600)


async def test_a_demo_beyond_the_rules_is_refused():
    """A refusal of the shop ends the demo with its code and is not skipped."""
    _, execute = memory()
    with pytest.raises(DemoRefused, match="INVALID_REQUEST"):
        await create_demo(execute, 1, 0, 1, MAX_AMOUNT + 1, now_ms=NOW_MS)
    with pytest.raises(ValueError, match="negative"):
        await create_demo(execute, -1, 0, 1, 1, now_ms=NOW_MS)


async def test_a_demo_over_a_shop_with_such_products_leaves_them():
    """Products that are there under other requests count as there; their stock stays."""
    shop, execute = memory()
    shop.sku("sku-1", stock=7)
    result = await create_demo(execute, 0, 2, 100, 0, now_ms=NOW_MS)
    assert (result.made, result.there) == (1, 1)
    assert shop.stock("sku-1") == (7, 0)
