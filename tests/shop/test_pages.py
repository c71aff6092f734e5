"""Lists in pages: every item once, in order, at any page size; cursors that are not ours are refused."""

import pytest

from stockade.shop import queries
from stockade.shop.commands import SetCartItem
from stockade.shop.queries.page import MAX_LIMIT, BadQuery, decode_cursor, encode_cursor
from tests.unit.shop.memory import MemoryShop

USER = "u"
LISTS = {
    "products": queries.products,
    "products down": lambda c, **page: queries.products(c, descending=True, **page),
    "by price": lambda c, **page: queries.products(c, sort="price", **page),
    "by price down": lambda c, **page: queries.products(c, sort="price", descending=True, **page),
    "found": lambda c, **page: queries.products(c, q="name OF", **page),
    "stock": queries.stock_list,
    "entries": lambda c, **page: queries.point_entries(c, USER, **page),
    "cart": lambda c, **page: queries.cart(c, USER, **page),
    "orders": lambda c, **page: queries.orders(c, USER, **page),
}
COUNT = 7


def busy():
    """Seven of everything, many with the same price and the same time."""
    shop = MemoryShop()
    for number in range(COUNT):
        shop.sku(f"s{number}", price=100 * (number % 3))
        shop.execute(SetCartItem(*shop.next_id(), USER, f"s{number}", 1))
    shop.charge(USER, 10_000)
    for number in range(COUNT):
        shop.now_ms += number % 2
        shop.reserve(USER, ("s0", 1))
        if number < COUNT - 1:
            shop.charge(USER, 1)
    shop.cart = {(USER, f"s{number}"): 1 for number in range(COUNT)}
    shop.charge("other", 1)
    shop.reserve("other", ("s1", 1))
    return shop


async def walk(read, query, limit):
    """All items, page after page."""
    items, cursor = [], None
    for _ in range(COUNT + 1):
        page = await read(lambda c, at=cursor: query(c, limit=limit, cursor=at))
        assert len(page.items) <= limit
        items += page.items
        cursor = page.next_cursor
        if cursor is None:
            return items
    raise AssertionError("a list without end")


async def test_pages_of_any_size_make_the_same_list(database, keep):
    """Sizes 1, 2, 3, 7 and 100 give the seven items in one order, and the last page has no cursor."""
    await keep(busy())
    for name, query in LISTS.items():
        whole = (await database.read(lambda c, q=query: q(c, limit=MAX_LIMIT))).items
        assert len(whole) == COUNT, name
        for limit in (1, 2, 3, COUNT, MAX_LIMIT):
            assert await walk(database.read, query, limit) == whole, (name, limit)


async def test_orders_are_told_in_their_order(database, keep):
    """Ascending and descending lists are each other's reverse; prices never fall; orders are newest first."""
    await keep(busy())
    lists = {
        name: (await database.read(lambda c, q=query: q(c, limit=MAX_LIMIT))).items for name, query in LISTS.items()
    }
    assert lists["products"] == lists["products down"][::-1]
    assert lists["by price"] == lists["by price down"][::-1]
    prices = [product.skus[0].price for product in lists["by price"]]
    assert prices == sorted(prices)
    times = [order.created_at for order in lists["orders"]]
    assert times == sorted(times, reverse=True)
    assert {order.user_id for order in lists["orders"]} == {USER}


async def test_rows_that_come_in_between_shift_nothing(database, keep):
    """A new first item does not push an old one onto the next page again."""
    from stockade.shop.model.tables import products
    from tests.shop.conftest import soon

    await keep(busy())
    first = await database.read(lambda c: queries.products(c, limit=3))
    new = {"id": "a-new-one", "name": "n", "category": "c", "status": "ACTIVE", "created_ms": 0}
    await database.transaction(lambda c: c.execute(products.insert(), new), deadline=soon())
    second = await database.read(lambda c: queries.products(c, limit=3, cursor=first.next_cursor))
    assert [product.id for product in second.items] == ["p-s3", "p-s4", "p-s5"]


@pytest.mark.parametrize("name", LISTS)
@pytest.mark.parametrize("limit", [0, -1, MAX_LIMIT + 1, 2**70])
def test_limits_are_bounded(name, limit):
    """Every list says so before it reads."""
    with pytest.raises(BadQuery):
        LISTS[name](None, limit=limit)


GOOD = encode_cursor("orders", (1, "x"))


@pytest.mark.parametrize(
    "cursor",
    [
        "",
        "x",
        "!!!!",
        "주문",
        GOOD + "A",
        GOOD[:-2],
        "A" * 500,
        encode_cursor("cart", (1, "x")),
        encode_cursor("orders", (1,)),
        encode_cursor("orders", ("1", "x")),
        encode_cursor("orders", (2**63, "x")),
        encode_cursor("orders", (1, "\x00")),
        encode_cursor("orders", (1, 2)),
    ],
)
def test_cursors_that_are_not_ours_are_refused(cursor):
    """Not base64, of another list, of other types, out of range, or cut: one answer, never an error inside."""
    with pytest.raises(BadQuery):
        queries.orders(None, USER, cursor=cursor)


def test_a_cursor_comes_back_as_it_went():
    """The control: what was encoded is decoded, and no cursor is None."""
    assert decode_cursor(GOOD, "orders", int, str) == (1, "x")
    assert decode_cursor(None, "orders", int, str) is None


@pytest.mark.parametrize("bad", [{"sort": "luck"}, {"q": "x" * 201}, {"q": "\x00"}])
def test_products_refuse_what_is_not_allowed(bad):
    """Sorting and searching have their bounds."""
    with pytest.raises(BadQuery):
        queries.products(None, **bad)


def test_a_cursor_belongs_to_its_order():
    """A cursor of the list by id is not one of the list by price."""
    by_id = encode_cursor("products:id:asc", ("x",))
    with pytest.raises(BadQuery):
        queries.products(None, sort="price", cursor=by_id)
