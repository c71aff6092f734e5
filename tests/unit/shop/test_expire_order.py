"""ExpireOrder: only what is due, from any instance, once."""

from stockade.shop.commands import ExpireOrder


def test_a_due_reservation_gives_back_its_stock(shop):
    """At its end, not before."""
    order_id = shop.reserve("u", ("a", 2), ("b", 1))
    shop.now_ms += 600_000 - 1
    assert shop.expire(order_id).code == "STATE_CONFLICT"
    assert shop.stock("a") == (10, 2)
    shop.now_ms += 1
    assert shop.expire(order_id).data == {"order_id": order_id, "status": "EXPIRED"}
    assert (shop.stock("a"), shop.stock("b")) == ((10, 0), (5, 0))
    order = shop.state("order", order_id)
    assert (order.status, order.reason, order.reserved_until_ms) == ("EXPIRED", "RESERVATION_EXPIRED", 0)
    assert [each.kind for each in shop.events()[-3:]] == ["order.expired", "stock.changed", "stock.changed"]


def test_every_sweeper_sends_the_same_request(shop):
    """Two instances with different clocks end it once; the second receives the first's outcome."""
    order_id = shop.reserve("u", ("a", 2))
    until_ms = shop.state("order", order_id).reserved_until_ms
    one, two = (ExpireOrder.due(order_id, until_ms, until_ms + late) for late in (5, 900))
    assert (one.request_id, one.fingerprint) == (two.request_id, two.fingerprint)
    assert not shop.execute(one).replayed
    assert shop.execute(two).replayed
    assert shop.stock("a") == (10, 0)


def test_another_end_is_another_request():
    """Were a reservation prolonged, the refusal of its first end would not be replayed for the second."""
    assert ExpireOrder.due("o", 1, 1).request_id != ExpireOrder.due("o", 2, 2).request_id


def test_paid_and_cancelled_orders_are_left_alone(shop):
    """A payment or cancel that came first wins; nothing is restored twice."""
    paid, cancelled = shop.reserve("u", ("a", 1)), shop.reserve("u", ("a", 1))
    shop.pay(paid, "u")
    shop.cancel(cancelled, "u")
    shop.now_ms += 600_000
    before = shop.written()
    assert [shop.expire(id_).data["status"] for id_ in (paid, cancelled)] == ["PAID", "CANCELLED"]
    assert shop.expire("0" * 32).code == "ORDER_NOT_FOUND"
    assert shop.written() == before


def test_an_expired_order_stays_expired(shop):
    """Another request for the same order is refused."""
    order_id = shop.reserve("u", ("a", 2))
    shop.now_ms += 600_000
    shop.expire(order_id)
    assert shop.expire(order_id).code == "STATE_CONFLICT"
    assert shop.stock("a") == (10, 0)
