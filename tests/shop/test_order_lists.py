"""Lists of orders: refused ones among the made ones, and what an administrator looks for, on every database."""

import pytest
from sqlalchemy import update

from stockade.service.purge import BEGINNING, purge_requests
from stockade.shop import queries
from stockade.shop.model.tables import order_lines
from stockade.shop.model.tables import refused_orders as refused_table
from stockade.shop.queries import BadQuery, OrderFilter, order_lists
from tests.shop.conftest import soon
from tests.shop.lived_in import lived_in
from tests.unit.shop.memory import MemoryShop

FILTERS = (
    OrderFilter(),
    OrderFilter(user_id="u"),
    OrderFilter(user_id="v", status="PAID"),
    OrderFilter(user_id="v", status="REJECTED"),
    OrderFilter(status="CANCELLED"),
    OrderFilter(status="REJECTED"),
    OrderFilter(product_id="p-a"),
    OrderFilter(product_id="p-b", status="CANCELLED"),
    OrderFilter(product_id="p-b", user_id="u"),
    OrderFilter(product_id="p-b", user_id="u", status="PAID"),
    OrderFilter(since_ms=1_700_000_001_000, until_ms=1_700_000_601_000),
    OrderFilter(product_id="p-a", since_ms=1_700_000_001_000),
    OrderFilter(user_id="nobody"),
)


async def pages(read, query, limit):
    """All orders of a list, page after page."""
    found, cursor = [], None
    for _ in range(40):
        page = await read(lambda c, at=cursor: query(c, limit=limit, cursor=at))
        assert len(page.items) <= limit
        found += page.items
        cursor = page.next_cursor
        if cursor is None:
            return found
    raise AssertionError("a list without end")


def expected(everything, which):
    """The orders of a list, chosen one by one."""
    ends = (which.since_ms or 0, which.until_ms or 2**62)
    return [
        order
        for order, at_ms, products in everything
        if which.user_id in (None, order.user_id)
        and which.status in (None, order.status)
        and (which.product_id is None or which.product_id in products)
        and ends[0] <= at_ms < ends[1]
    ]


async def everything(read, shop, ids):
    """Every order with its time in milliseconds and its products, newest first."""
    times = {each["id"]: each["created_ms"] for each in shop.requests}
    found = [await read(lambda c, id_=id_: queries.order(c, id_, None)) for id_ in ids.values()]
    found.sort(key=lambda order: (times[order.order_id], order.order_id), reverse=True)
    return [(order, times[order.order_id], {line.product_id for line in order.lines}) for order in found]


async def test_every_filter_at_every_size_of_a_page(database, keep, monkeypatch):
    """Each list is what a search by hand finds, newest first; also when a page may read four orders only."""
    shop, ids = lived_in()
    await keep(shop)
    all_ = await everything(database.read, shop, ids)
    assert {order.status for order, *_ in all_} == {"PAID", "RESERVED", "CANCELLED", "EXPIRED", "REJECTED"}
    for examined in (order_lists.MAX_EXAMINED, 4):
        monkeypatch.setattr(order_lists, "MAX_EXAMINED", examined)
        for which in FILTERS:
            for limit in (1, 3, 100):
                found = await pages(database.read, lambda c, w=which, **page: queries.all_orders(c, w, **page), limit)
                assert found == expected(all_, which), (which, limit)


async def test_a_user_sees_refused_orders_among_the_others(database, keep):
    """Newest first, each refused one with its code and what was missing, and nobody else's."""
    shop, ids = lived_in()
    await keep(shop)
    found = await pages(database.read, lambda c, **page: queries.orders(c, "v", **page), 2)
    assert [each.order_id for each in found] == [
        ids[name] for name in ("reserved", *_newest("too_dear", "refused", ids), "paid_later")
    ]
    refused = {each.order_id: each for each in found if each.status == "REJECTED"}
    assert refused[ids["refused"]].reason == "OUT_OF_STOCK"
    assert refused[ids["refused"]].shortages[0].requested == 1000
    assert refused[ids["too_dear"]].reason == "INSUFFICIENT_POINTS"


def _newest(one, other, ids):
    """Two orders of one moment stand in the order of their ids."""
    return sorted((one, other), key=lambda name: ids[name], reverse=True)


async def test_the_purge_takes_refused_orders_out_of_the_lists(database, keep):
    """With its request a refused order leaves the lists; a made order stays."""
    shop, ids = lived_in()
    await keep(shop)
    await database.transaction(
        lambda c: purge_requests(c, 2**61, BEGINNING, 1000, refusals=[refused_table]), deadline=soon()
    )
    found = await pages(database.read, lambda c, **page: queries.all_orders(c, OrderFilter(), **page), 100)
    assert {each.order_id for each in found} == {
        ids[name] for name in ids if name not in ("refused", "too_dear", "not_on_sale")
    }
    assert (
        await pages(database.read, lambda c, **p: queries.all_orders(c, OrderFilter(status="REJECTED"), **p), 5) == []
    )


async def test_an_order_of_two_skus_of_a_product_stands_once(database, keep):
    """Two lines of one product are one order of it."""
    shop = MemoryShop()
    from stockade.shop.commands import CreateProduct, NewSku

    skus = (NewSku(1, 9, "x1"), NewSku(2, 9, "x2"))
    shop.execute(CreateProduct(*shop.next_id(), "Two", "things", skus, "p-x"))
    ids = [shop.reserve("u", ("x1", 1), ("x2", 1)) for _ in range(3)]
    await keep(shop)
    found = await pages(
        database.read, lambda c, **page: queries.all_orders(c, OrderFilter(product_id="p-x"), **page), 2
    )
    assert [each.order_id for each in found] == sorted(ids, reverse=True)


async def test_lines_without_a_time_come_last(database, keep):
    """What a process of the version before wrote beside the new schema is found by product, after all others."""
    shop, ids = lived_in()
    await keep(shop)
    old = update(order_lines).where(order_lines.c.order_id == ids["reserved"]).values(created_ms=0)
    await database.transaction(lambda c: c.execute(old), deadline=soon())
    found = await pages(
        database.read, lambda c, **page: queries.all_orders(c, OrderFilter(product_id="p-b"), **page), 2
    )
    assert found[-1].order_id == ids["reserved"]
    assert len(found) == 4


@pytest.mark.parametrize("which", [OrderFilter(status="LOST"), OrderFilter(status="REJECTED", product_id="p-a")])
def test_filters_that_do_not_fit(which):
    """An unknown state, and refused orders of a product, are refused before anything is read."""
    with pytest.raises(BadQuery):
        queries.all_orders(None, which)


async def test_hidden_products_are_not_listed(database, keep):
    """Neither by id nor by price nor by name; an administrator lists them, and sees one by its id."""
    shop = MemoryShop()
    for sku in ("a", "b", "c"):
        shop.sku(sku)
    shop.edit("b", 1, price=7, status="HIDDEN")
    await keep(shop)
    for sort in ("id", "price"):
        for q in ("", "name"):
            found = await database.read(lambda c, s=sort, q=q: queries.products(c, sort=s, q=q))
            assert [each.id for each in found.items] == ["p-a", "p-c"]
            found = await database.read(lambda c, s=sort, q=q: queries.products(c, sort=s, q=q, status="HIDDEN"))
            assert [(each.id, each.version) for each in found.items] == [("p-b", 2)]
    assert await database.read(lambda c: queries.product(c, "p-b")) is None
    shown = await database.read(lambda c: queries.product(c, "p-b", hidden=True))
    assert (shown.status, shown.skus[0].price) == ("HIDDEN", 7)
