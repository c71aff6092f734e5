"""CancelOrder: what the order took comes back, exactly once, and the rows stay."""

import pytest

from stockade.core import Key


def test_a_paid_order_gives_back_stock_and_points(shop):
    """Stock, balance, payment and order are as they should be; the refund is part of the outcome."""
    order_id = shop.buy("u", ("a", 2), ("b", 1))
    answer = shop.cancel(order_id, "u")
    assert answer.data == {
        "order_id": order_id,
        "status": "CANCELLED",
        "refunds": [{"payment_id": order_id, "method": "POINTS", "amount": 2300}],
    }
    assert (shop.stock("a"), shop.stock("b"), shop.balance("u")) == ((10, 0), (5, 0), 20_000)
    order = shop.state("order", order_id)
    assert (order.status, order.reason, order.payment_id) == ("CANCELLED", "changed my mind", order_id)
    assert shop.state("payment", order_id).status == "CANCELLED"
    assert [each.kind for each in shop.events()[-3:]] == ["order.cancelled", "stock.changed", "stock.changed"]


def test_an_order_paid_later_gives_back_the_same(shop):
    """Reserve, pay, cancel: everything is where it was."""
    order_id = shop.reserve("u", ("a", 2))
    payment_id = shop.pay(order_id, "u").data["payment_id"]
    assert shop.cancel(order_id, "u").data["refunds"][0]["payment_id"] == payment_id
    assert (shop.stock("a"), shop.balance("u")) == ((10, 0), 20_000)
    assert shop.state("payment", payment_id).status == "CANCELLED"


def test_a_reserved_order_gives_back_its_reservation(shop):
    """Nothing was paid, so nothing is refunded."""
    order_id = shop.reserve("u", ("a", 2))
    answer = shop.cancel(order_id, "u")
    assert answer.data["refunds"] == []
    assert (shop.stock("a"), shop.balance("u")) == ((10, 0), 20_000)


@pytest.mark.parametrize("make", ["buy", "reserve"])
def test_a_second_cancel_restores_nothing(shop, make):
    """Under another request id the second one is refused; under the same it is the first's answer."""
    order_id = getattr(shop, make)("u", ("a", 2))
    assert shop.cancel(order_id, "u").accepted
    before = shop.written()
    again = shop.cancel(order_id, "u")
    assert (again.code, again.data["status"]) == ("STATE_CONFLICT", "CANCELLED")
    assert shop.written() == before


def test_only_the_owner_or_an_administrator(shop):
    """For others there is no such order; an administrator may."""
    order_id = shop.buy("u", ("a", 1))
    assert shop.cancel(order_id, "other").code == "ORDER_NOT_FOUND"
    assert shop.cancel("0" * 32, None).code == "ORDER_NOT_FOUND"
    assert shop.cancel(order_id, None).accepted


def test_an_ended_order_cannot_be_cancelled(shop):
    """EXPIRED is final."""
    order_id = shop.reserve("u", ("a", 1))
    shop.now_ms += 600_000
    shop.expire(order_id)
    assert shop.cancel(order_id, "u").data["status"] == "EXPIRED"
    assert shop.stock("a") == (10, 0)


def test_a_refund_is_owed_whatever_the_limits(shop):
    """A balance that has grown to its limit meanwhile still takes the refund."""
    from stockade.shop.model.limits import MAX_AMOUNT

    order_id = shop.buy("u", ("a", 10))
    shop.charge("u", MAX_AMOUNT - 10_000)
    assert shop.cancel(order_id, "u").accepted
    assert shop.balance("u") == MAX_AMOUNT + 10_000


def test_a_damaged_order_is_left_alone(shop):
    """Without its payment row, or with one that is over, nothing is restored twice."""
    order_id = shop.buy("u", ("a", 1))
    key = Key("payment", order_id)
    row = shop.rows[key]
    shop.rows[key] = row._replace(state=row.state._replace(status="CANCELLED"))
    assert shop.cancel(order_id, "u").code == "STATE_CONFLICT"
    del shop.rows[key]
    assert shop.cancel(order_id, "u").code == "STATE_CONFLICT"
    assert shop.stock("a") == (9, 0)


def test_a_free_order_is_cancelled_without_an_account(shop):
    """Nothing was paid; the refund of 0 opens no account."""
    shop.sku("gift", price=0, stock=1)
    order_id = shop.buy("new", ("gift", 1))
    assert shop.cancel(order_id, "new").data["refunds"][0]["amount"] == 0
    assert shop.balance("new") is None
    assert shop.stock("gift") == (1, 0)


@pytest.mark.parametrize("reason", ["x" * 201, "line\nbreak", "\x00"])
def test_a_bad_reason_is_a_problem(shop, reason):
    """A reason that cannot be stored is refused; an empty one is fine."""
    order_id = shop.buy("u", ("a", 1))
    assert shop.cancel(order_id, "u", reason).code == "INVALID_REQUEST"
    assert shop.cancel(order_id, "u", "").accepted
