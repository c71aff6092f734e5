"""Cancelling single lines: the stock and the money of exactly these units, once, and the rest of the order goes on."""

import pytest

from tests.unit.shop.memory import MemoryShop


@pytest.fixture
def shop():
    """Two SKUs, and a buyer with points."""
    shop = MemoryShop()
    shop.sku("a", price=1000, stock=10)
    shop.sku("b", price=300, stock=10)
    shop.sku("gift", price=0, stock=10)
    shop.charge("u", 20_000)
    return shop


def test_units_of_a_paid_line_come_back_with_their_price(shop):
    """Stock and points of two units; the order stays PAID, and an event tells which units."""
    order_id = shop.buy("u", ("a", 5), ("b", 1))
    answer = shop.cancel_lines(order_id, ("a", 2), user_id="u")
    assert answer.data["lines"] == [{"sku_id": "a", "quantity": 2, "amount": 2000}]
    assert [each["amount"] for each in answer.data["refunds"]] == [2000]
    assert (shop.stock("a"), shop.balance("u"), shop.state("order", order_id).status) == ((7, 0), 16_700, "PAID")
    told = next(each for each in shop.events() if each.kind == "order.lines_cancelled")
    assert [(line["sku_id"], line["quantity"]) for line in told.body["lines"]] == [("a", 2)]


def test_what_is_left_of_a_line_can_be_named_without_a_number(shop):
    """0 units are the whole line, or what is left of it; then nothing is left to cancel there."""
    order_id = shop.buy("u", ("a", 5), ("b", 1))
    shop.cancel_lines(order_id, ("a", 2))
    assert shop.cancel_lines(order_id, ("a", 0)).data["lines"][0]["quantity"] == 3
    again = shop.cancel_lines(order_id, ("a", 0))
    assert (again.code, again.data["lines_left"]) == ("STATE_CONFLICT", [{"sku_id": "a", "requested": 0, "left": 0}])
    assert shop.cancel_lines(order_id, ("b", 2)).code == "STATE_CONFLICT"
    assert (shop.stock("a"), shop.balance("u")) == ((10, 0), 19_700)


@pytest.mark.parametrize("pay", ["POINTS", "LATER"])
def test_the_last_line_cancels_the_order(shop, pay):
    """Line by line or the rest at once: the order ends as if it had been cancelled, with everything back once."""
    order_id = shop.place("u", ("a", 2), ("b", 1), pay=pay).data["order_id"]
    shop.cancel_lines(order_id, ("a", 1))
    assert shop.cancel_lines(order_id, ("a", 0), ("b", 1), reason="none").data["status"] == "CANCELLED"
    assert (shop.stock("a"), shop.stock("b"), shop.balance("u")) == ((10, 0), (10, 0), 20_000)
    assert shop.cancel(order_id).code == "STATE_CONFLICT"
    assert [each.kind for each in shop.events()].count("order.cancelled") == 1
    assert (shop.state("order", order_id).reason, shop.state("order", order_id).total) == ("none", 2300)


def test_a_reserved_order_is_paid_without_the_cancelled_units(shop):
    """The payment takes what is left, and a cancellation of the order gives exactly that back."""
    order_id = shop.reserve("u", ("a", 5), ("b", 2), ("gift", 1))
    assert shop.cancel_lines(order_id, ("a", 4), ("gift", 1)).data["refunds"] == []
    assert shop.stock("a") == (10, 1)
    assert shop.pay(order_id, "u").data["amount"] == 1600
    assert (shop.stock("a"), shop.stock("gift"), shop.balance("u")) == ((9, 0), (10, 0), 18_400)
    shop.cancel_lines(order_id, ("b", 1))
    assert [each["amount"] for each in shop.cancel(order_id).data["refunds"]] == [1300]
    assert (shop.stock("a"), shop.stock("b"), shop.balance("u")) == ((10, 0), (10, 0), 20_000)


def test_an_expired_order_releases_only_what_is_left(shop):
    """The units that were cancelled before are not released twice."""
    order_id = shop.reserve("u", ("a", 5), ("b", 2))
    shop.reserve("u", ("a", 3))
    shop.cancel_lines(order_id, ("a", 4))
    shop.now_ms += 600_000
    assert shop.expire(order_id).accepted
    assert (shop.stock("a"), shop.stock("b")) == ((10, 3), (10, 0))


def test_who_may_cancel_what(shop):
    """The owner and administrators, lines of the order, and nothing of an order that is over."""
    order_id = shop.buy("u", ("a", 2))
    assert shop.cancel_lines(order_id, ("a", 1), user_id="v").code == "ORDER_NOT_FOUND"
    missing = shop.cancel_lines(order_id, ("b", 1), ("a", 1))
    assert (missing.code, missing.data["sku_ids"]) == ("SKU_NOT_FOUND", ["b"])
    assert shop.cancel_lines(order_id).code == "INVALID_REQUEST"
    assert shop.cancel_lines(order_id, ("a", 1), ("a", 1)).code == "INVALID_REQUEST"
    shop.cancel(order_id)
    assert shop.cancel_lines(order_id, ("a", 1)).code == "STATE_CONFLICT"
    assert shop.stock("a") == (10, 0)
