"""PayOrder: a reservation becomes a sale, once, by its owner, in time."""

from stockade.core import Key
from stockade.shop.commands import PayOrder
from tests.unit.shop.memory import MemoryShop


def test_paying_takes_points_and_what_was_reserved(shop):
    """On hand and reserved both fall, the balance falls, the payment is the one of the order."""
    order_id = shop.reserve("u", ("a", 2), ("b", 1))
    answer = shop.pay(order_id, "u")
    assert answer.data == {
        "payment_id": shop.requests[-1]["id"],
        "order_id": order_id,
        "status": "APPROVED",
        "amount": 2300,
        "balance": 17_700,
    }
    assert (shop.stock("a"), shop.stock("b"), shop.balance("u")) == ((8, 0), (4, 0), 17_700)
    order = shop.state("order", order_id)
    assert (order.status, order.payment_id, order.reserved_until_ms) == ("PAID", answer.data["payment_id"], 0)
    assert shop.state("payment", order.payment_id).amount == 2300
    assert [each.kind for each in shop.events()[-3:]] == ["order.paid", "stock.changed", "stock.changed"]


def test_the_stock_rows_are_asked_for():
    """The first pass knows order, lines and account only; it requests the stock rows before it decides."""
    shop = MemoryShop()
    shop.sku("a")
    shop.charge("u", 5000)
    command = PayOrder(*shop.next_id(), shop.reserve("u", ("a", 1)), "u")
    assert command.keys == tuple(
        Key(kind, id_)
        for kind, id_ in zip(("order", "lines", "points"), (command.order_id, command.order_id, "u"), strict=True)
    )
    decision = command.decide({key: shop.row(key) for key in command.keys})
    assert (decision.outcome, list(decision.need_keys)) == (None, [Key("stock", "a")])


def test_a_reservation_can_be_paid_until_its_last_millisecond(shop):
    """One millisecond before its end it is paid, at its end it is over."""
    first, second = shop.reserve("u", ("a", 1)), shop.reserve("u", ("a", 1))
    shop.now_ms += 600_000 - 1
    assert shop.pay(first, "u").accepted
    shop.now_ms += 1
    assert shop.pay(second, "u").code == "RESERVATION_EXPIRED"
    assert shop.stock("a") == (9, 1), "the sweeper gives the stock back, not the late payer"


def test_states_that_cannot_be_paid(shop):
    """Paid, cancelled, ended and unknown orders each have their own answer, and nothing moves."""
    paid, cancelled, ended = (shop.reserve("u", ("a", 1)) for _ in range(3))
    shop.pay(paid, "u")
    shop.cancel(cancelled, "u")
    shop.now_ms += 600_000
    shop.expire(ended)
    before = shop.written()
    assert shop.pay(paid, "u").code == "ALREADY_PAID"
    assert shop.pay(cancelled, "u").code == "STATE_CONFLICT"
    assert shop.pay(ended, "u").code == "RESERVATION_EXPIRED"
    assert shop.pay("0" * 32, "u").code == "ORDER_NOT_FOUND"
    assert shop.written() == before


def test_someone_elses_order_is_not_found(shop):
    """Other users do not learn whether an order exists, and their points stay."""
    shop.charge("other", 50_000)
    order_id = shop.reserve("u", ("a", 1))
    assert shop.pay(order_id, "other").code == "ORDER_NOT_FOUND"
    assert shop.balance("other") == 50_000


def test_too_few_points_keep_the_reservation(shop):
    """The refusal says the figures; after a charge the same order can still be paid."""
    order_id = shop.reserve("poor", ("a", 1))
    answer = shop.pay(order_id, "poor")
    assert (answer.code, answer.data) == ("INSUFFICIENT_POINTS", {"required": 1000, "available": 0})
    assert shop.stock("a") == (10, 1)
    shop.charge("poor", 1000)
    assert shop.pay(order_id, "poor").data["balance"] == 0


def test_a_damaged_row_is_not_made_worse(shop):
    """Where an unprotected writer lost the reservation, paying is refused instead of driving reserved below 0."""
    order_id = shop.reserve("u", ("a", 1))
    key = Key("stock", "a")
    shop.rows[key] = shop.rows[key]._replace(state=shop.rows[key].state._replace(reserved=0))
    before = shop.written()
    assert shop.pay(order_id, "u").code == "STATE_CONFLICT"
    del shop.rows[key]
    assert shop.pay(order_id, "u").code == "STATE_CONFLICT"
    assert shop.written()[2:] == before[2:]


def test_malformed_ids_are_a_problem(shop):
    """Ids no row can have are refused before any row is read."""
    assert shop.pay("", "u").code == "INVALID_REQUEST"
    assert shop.pay("x", "").code == "INVALID_REQUEST"
