"""The queries, on every database."""

import msgspec
import pytest

from stockade.core import Key
from stockade.shop import queries
from stockade.shop.commands import CreateProduct, NewSku
from stockade.shop.model.tables import point_accounts
from tests.shop.conftest import soon
from tests.shop.lived_in import lived_in
from tests.unit.shop.memory import MemoryShop


@pytest.fixture
async def lived(database, keep):
    """The database with the lived-in shop; returns (read, order ids, shop)."""
    shop, ids = lived_in()
    await keep(shop)
    return database.read, ids, shop


def plain(struct):
    """A struct as the API sends it."""
    return msgspec.to_builtins(struct)


async def test_one_product_and_its_stock(lived):
    """Price and what is available; None for what is not there."""
    read, _, shop = lived
    product = await read(lambda c: queries.product(c, "p-a"))
    available = shop.state("stock", "a").available
    assert plain(product) == {
        "id": "p-a",
        "name": "Name of a",
        "category": "things",
        "status": "ACTIVE",
        "version": 3,
        "skus": [{"id": "a", "price": 1000, "available": available}],
    }
    assert plain(await read(lambda c: queries.stock(c, "b"))) == {
        "sku_id": "b",
        "on_hand": 48,
        "reserved": 4,
        "available": 44,
    }
    names = await read(lambda c: queries.sku_names(c, ["a", "ghost"]))
    assert names == {"a": queries.SkuName("p-a", "Name of a", "things")}
    listed = await read(lambda c: queries.stock_list(c, limit=1))
    assert listed.items == [queries.SkuStock("a", names["a"], 1000, available, 0, available, False)]
    assert await read(lambda c: queries.product(c, "ghost")) is None
    assert await read(lambda c: queries.stock(c, "ghost")) is None


async def test_points_and_their_entries(lived):
    """The account, and its entries newest first, each with the balance of its own moment."""
    read, ids, _ = lived
    points = await read(lambda c: queries.points(c, "u"))
    assert plain(points) == {"balance": 53_400, "held": 0, "available": 53_400}
    page = await read(lambda c: queries.point_entries(c, "u"))
    assert [(e.kind, e.amount, e.balance_after, e.ref) for e in page.items][:3] == [
        ("REFUND", 3000, 53_400, ids["cancelled"]),
        ("USE", -3000, 50_400, ids["cancelled"]),
        ("USE", -1600, 53_400, ids["paid"]),
    ]
    assert [(e.id, e.kind, e.amount) for e in page.items][3:] == [("2", "CHARGE", 5000), ("1", "CHARGE", 50_000)]
    assert page.items[-1].at == "2023-11-14T22:13:20.000Z"


async def test_an_account_that_was_never_charged_is_not_there(lived, database):
    """Neither is one whose row the store opened for a charge that was never committed."""
    read, _, _ = lived
    opened = {"id": "z", "balance": 0, "held": 0, "version": 0, "stamp": 0}
    await database.transaction(lambda c: c.execute(point_accounts.insert(), opened), deadline=soon())
    for user in ("w", "z"):
        assert await read(lambda c, u=user: queries.points(c, u)) is None
        assert await read(lambda c, u=user: queries.point_entries(c, u)) is None


async def test_a_cart_has_todays_prices(lived):
    """What was ordered has left; the rest shows price and stock."""
    read, _, _ = lived
    page = await read(lambda c: queries.cart(c, "v"))
    assert plain(page) == {
        "items": [{"sku_id": "gift", "quantity": 1, "price": 0, "available": 4, "on_sale": True}],
        "next_cursor": None,
    }
    assert (await read(lambda c: queries.cart(c, "u"))).items == []


async def test_an_order_that_was_paid_later(lived):
    """Lines with the copied price, payment, and the history from reserved to paid."""
    read, ids, shop = lived
    order = await read(lambda c: queries.order(c, ids["paid_later"], "v"))
    at = "2023-11-14T22:13:21.000Z"
    assert plain(order) == {
        "order_id": ids["paid_later"],
        "user_id": "v",
        "status": "PAID",
        "lines": [{"sku_id": "a", "quantity": 2, "product_id": "p-a", "price": 1000}],
        "history": [{"status": "RESERVED", "at": at}, {"status": "PAID", "at": at}],
        "created_at": at,
        "total": 2000,
        "pay": "LATER",
        "payment_id": shop.state("order", ids["paid_later"]).payment_id,
    }


async def test_how_orders_ended(lived):
    """Reasons, ends of reservations and histories of every fate."""
    read, ids, _ = lived
    found = {name: await read(lambda c, id_=id_: queries.order(c, id_, None)) for name, id_ in ids.items()}
    histories = {name: [step.status for step in order.history] for name, order in found.items()}
    assert histories == {
        "paid": ["PAID"],
        "paid_later": ["RESERVED", "PAID"],
        "cancelled": ["PAID", "CANCELLED"],
        "cancelled_unpaid": ["RESERVED", "CANCELLED"],
        "expired": ["RESERVED", "EXPIRED"],
        "refused": ["REJECTED"],
        "too_dear": ["REJECTED"],
        "not_on_sale": ["REJECTED"],
        "free": ["PAID"],
        "reserved": ["RESERVED"],
    }
    assert found["cancelled_unpaid"].reason == "sold by mistake"
    assert found["expired"].reason == "RESERVATION_EXPIRED"
    assert found["reserved"].reserved_until == "2023-11-14T22:33:21.000Z"
    assert found["expired"].reserved_until is None
    assert found["expired"].history[1].at == "2023-11-14T22:23:21.000Z"


async def test_a_refused_order_is_shown_to_its_owner_only(lived):
    """It is shown from its request row, with lines and reason, to its owner only."""
    read, ids, _ = lived
    order = await read(lambda c: queries.order(c, ids["refused"], "v"))
    assert (order.status, order.reason, order.user_id) == ("REJECTED", "OUT_OF_STOCK", "v")
    available = 95 - 1 - 2 - 1
    assert plain(order)["shortages"] == [{"sku_id": "a", "requested": 1000, "available": available}]
    assert plain(order)["lines"] == [{"sku_id": "a", "quantity": 1000}]
    dear = await read(lambda c: queries.order(c, ids["too_dear"], "v"))
    assert (dear.reason, dear.shortages) == ("INSUFFICIENT_POINTS", None)
    for other in ("u", "", "nobody"):
        assert await read(lambda c, o=other: queries.order(c, ids["refused"], o)) is None


async def test_ids_of_other_requests_are_no_orders(lived):
    """A charge, an accepted cancel or a refused payment is not an order, for any caller."""
    read, ids, shop = lived
    orders = set(ids.values())
    for record in shop.requests:
        if record["id"] not in orders:
            assert await read(lambda c, id_=record["id"]: queries.order(c, id_, None)) is None


async def test_a_refused_payment_of_an_order_is_not_an_order(database, keep):
    """Its data names the order too, but under another id."""
    shop = MemoryShop()
    shop.sku("a")
    order_id = shop.reserve("poor", ("a", 1))
    assert not shop.pay(order_id, "poor").accepted
    assert not shop.cancel(order_id, "stranger").accepted
    await keep(shop)
    for record in shop.requests[-2:]:
        assert await database.read(lambda c, id_=record["id"]: queries.order(c, id_, None)) is None
    assert (await database.read(lambda c: queries.order(c, order_id, "poor"))).status == "RESERVED"


async def test_orders_and_payments_of_others_are_not_there(lived):
    """Owner and administrator see them, others see nothing."""
    read, ids, _ = lived
    for query in (queries.order, queries.payment):
        assert await read(lambda c, q=query: q(c, ids["paid"], "u")) is not None
        assert await read(lambda c, q=query: q(c, ids["paid"], None)) is not None
        assert await read(lambda c, q=query: q(c, ids["paid"], "v")) is None
        assert await read(lambda c, q=query: q(c, "0" * 32, None)) is None


async def test_a_payment(lived):
    """Amount, order, and the history up to its refund."""
    read, ids, _ = lived
    payment = plain(await read(lambda c: queries.payment(c, ids["cancelled"], "u")))
    at = "2023-11-14T22:13:21.000Z"
    assert payment == {
        "payment_id": ids["cancelled"],
        "order_id": ids["cancelled"],
        "status": "CANCELLED",
        "method": "POINTS",
        "amount": 3000,
        "approvals": 1,
        "history": [{"status": "APPROVED", "at": at}, {"status": "CANCELLED", "at": at}],
    }


async def test_popular_products(database, keep):
    """PAID orders of the window count, by units or by revenue; cancelled, unpaid and old ones do not."""
    shop = MemoryShop()
    for sku, price in (("dear", 9000), ("cheap", 10), ("gone", 10), ("old", 10), ("also", 10)):
        shop.sku(sku, price=price, stock=100)
    shop.charge("u", 1_000_000)
    shop.buy("u", ("old", 50))
    shop.now_ms += 3 * 24 * 3_600_000
    shop.buy("u", ("dear", 1), ("cheap", 6))
    shop.buy("u", ("cheap", 1), ("also", 7))
    shop.cancel(shop.buy("u", ("gone", 60)), "u")
    shop.reserve("u", ("gone", 10))
    await keep(shop)
    by_units = await database.read(lambda c: queries.popular(c, now_ms=shop.now_ms))
    assert [(p.product_id, p.quantity, p.revenue) for p in by_units.items] == [
        ("p-also", 7, 70),
        ("p-cheap", 7, 70),
        ("p-dear", 1, 9000),
    ]
    assert plain(by_units.window) == {
        "days": 3,
        "from": "2023-11-14T23:00:00.000Z",
        "to": "2023-11-17T22:13:20.000Z",
        "window_hours": 72,
    }
    best = await database.read(lambda c: queries.popular(c, now_ms=shop.now_ms, limit=1, by="revenue"))
    assert [(p.product_id, p.name) for p in best.items] == [("p-dear", "Name of dear")]
    longer = await database.read(lambda c: queries.popular(c, now_ms=shop.now_ms, days=4))
    assert longer.items[0].product_id == "p-old"


@pytest.mark.parametrize("bad", [{"days": 0}, {"days": 31}, {"limit": 0}, {"limit": 101}, {"by": "luck"}])
def test_popular_refuses_what_is_not_allowed(bad):
    """Each parameter has its bounds, checked before anything is read."""
    with pytest.raises(queries.BadQuery):
        queries.popular(None, now_ms=0, **bad)


async def test_products_by_price_stand_once_each(database, keep):
    """A product of several SKUs has the price of its cheapest one."""
    shop = MemoryShop()
    shop.sku("m", price=500)
    skus = (NewSku(900, 1, "x1"), NewSku(100, 1, "x2"), NewSku(100, 1, "x3"))
    shop.execute(CreateProduct(*shop.next_id(), "Many", "things", skus, "p-x"))
    await keep(shop)
    found = await database.read(lambda c: queries.products(c, sort="price"))
    assert [p.id for p in found.items] == ["p-x", "p-m"]
    assert [sku.id for sku in found.items[0].skus] == ["x1", "x2", "x3"]
    found = await database.read(lambda c: queries.products(c, sort="price", descending=True))
    assert [p.id for p in found.items] == ["p-m", "p-x"]


async def test_products_are_found_by_name(database, keep):
    """A part of the name in any case; the wildcards of SQL are letters like others."""
    shop = MemoryShop()
    for name in ("Red 100%", "red_shoe", "Blue"):
        shop.sku(name)
        shop.edit(name, 1, name=name)
    await keep(shop)

    async def names(q):
        return sorted(p.name for p in (await database.read(lambda c: queries.products(c, q=q))).items)

    assert await names("RED") == ["Red 100%", "red_shoe"]
    assert await names("%") == ["Red 100%"]
    assert await names("_") == ["red_shoe"]
    assert await names("") == ["Blue", "Red 100%", "red_shoe"]
    assert await names("nothing") == []


async def test_a_reservation_is_due_at_its_end(database, keep):
    """The oldest first, those behind a place only, paid ones never."""
    shop = MemoryShop()
    shop.sku("a", stock=100)
    shop.charge("u", 10_000)
    ids = []
    for _ in range(4):
        ids.append(shop.reserve("u", ("a", 1)))
        shop.now_ms += 10
    shop.pay(ids[1], "u")
    await keep(shop)
    first_end = shop.row(Key("order", ids[0])).state.reserved_until_ms
    early = await database.read(lambda c: queries.due(c, now_ms=first_end - 1))
    due = await database.read(lambda c: queries.due(c, now_ms=first_end + 20))
    assert early == []
    assert [each.order_id for each in due] == [ids[0], ids[2]]
    rest = await database.read(lambda c: queries.due(c, now_ms=first_end + 30, behind=due[0], limit=5))
    assert [each.order_id for each in rest] == [ids[2], ids[3]]
