"""PlaceOrder: all lines or nothing, at the price of the moment."""

import pytest

from stockade.core import Key
from stockade.shop.commands import PlaceOrder
from stockade.shop.model.limits import MAX_AMOUNT, MAX_LINES, MAX_QUANTITY, MAX_RESERVE_MS
from tests.unit.shop.memory import MemoryShop, order_lines


def test_points_and_stock_move_in_one_decision(shop):
    """An order of two lines paid at once takes both stocks and the sum of both prices."""
    answer = shop.place("u", ("a", 2), ("b", 1))
    assert answer.data == {
        "order_id": answer.data["order_id"],
        "status": "PAID",
        "total": 2300,
        "lines": [
            {"sku_id": "a", "product_id": "p-a", "quantity": 2, "price": 1000},
            {"sku_id": "b", "product_id": "p-b", "quantity": 1, "price": 300},
        ],
    }
    assert (shop.stock("a"), shop.stock("b"), shop.balance("u")) == ((8, 0), (4, 0), 17_700)
    order = shop.state("order", answer.data["order_id"])
    assert (order.status, order.total, order.pay, order.reserved_until_ms) == ("PAID", 2300, "POINTS", 0)
    payment = shop.state("payment", order.payment_id)
    assert (payment.order_id, payment.status, payment.amount) == (answer.data["order_id"], "APPROVED", 2300)
    assert [line.quantity for line in shop.lines[answer.data["order_id"]]] == [2, 1]


def test_paying_later_reserves_until_a_time(shop):
    """A reservation speaks for the stock without taking it, needs no points, and says when it ends."""
    answer = shop.place("poor", ("a", 3), pay="LATER", reserve_ms=60_000)
    assert answer.data["status"] == "RESERVED"
    assert answer.data["reserved_until"] == "2023-11-14T22:14:20.000Z"
    assert shop.stock("a") == (10, 3)
    order = shop.state("order", answer.data["order_id"])
    assert (order.status, order.reserved_until_ms, order.payment_id) == ("RESERVED", shop.now_ms + 60_000, "")
    assert shop.balance("poor") is None


def test_the_request_id_is_the_order_id(shop):
    """A retry names the same order, and is answered the same without doing it again."""
    command = PlaceOrder(*shop.next_id(), "u", order_lines(("a", 1)), "POINTS")
    first, again = shop.execute(command), shop.execute(command)
    assert first.data["order_id"] == command.request_id
    assert (again.replayed, again.data) == (True, first.data)
    assert shop.stock("a") == (9, 0)


def test_every_short_line_is_reported_together(shop):
    """Two of three lines are short: both are named with the requested and the available units."""
    shop.sku("c", stock=100)
    shop.reserve("x", ("b", 2))
    answer = shop.place("u", ("a", 11), ("b", 4), ("c", 1))
    assert answer.code == "OUT_OF_STOCK"
    assert answer.data["shortages"] == [
        {"sku_id": "a", "requested": 11, "available": 10},
        {"sku_id": "b", "requested": 4, "available": 3},
    ]


def test_every_unknown_sku_is_named(shop):
    """Unknown SKUs are reported before shortages, all at once."""
    answer = shop.place("u", ("ghost", 1), ("a", 99), ("spirit", 1))
    assert (answer.code, answer.data["sku_ids"]) == ("SKU_NOT_FOUND", ["ghost", "spirit"])


def test_too_few_points(shop):
    """The refusal says what was needed and what there is; a user without account has 0."""
    shop.charge("poor", 999)
    answers = [shop.place(user, ("a", 1)) for user in ("poor", "nobody")]
    assert [answer.code for answer in answers] == ["INSUFFICIENT_POINTS"] * 2
    assert [(answer.data["required"], answer.data["available"]) for answer in answers] == [(1000, 999), (1000, 0)]


@pytest.mark.parametrize(
    ("lines", "pay", "code"),
    [
        ([("a", 11)], "POINTS", "OUT_OF_STOCK"),
        ([("a", 1), ("b", 6)], "LATER", "OUT_OF_STOCK"),
        ([("a", 1), ("ghost", 1)], "POINTS", "SKU_NOT_FOUND"),
        ([("dear", 1)], "POINTS", "INSUFFICIENT_POINTS"),
        ([("dear", 2)], "POINTS", "LIMIT_EXCEEDED"),
        ([("a", 1), ("a", 1)], "POINTS", "INVALID_REQUEST"),
        ([("a", -1)], "LATER", "INVALID_REQUEST"),
    ],
)
def test_a_refusal_leaves_only_its_request_row(shop, lines, pay, code):
    """Whatever the reason, no row, entry, line or cart item changes, and the only event is that of the refusal."""
    shop.sku("dear", price=MAX_AMOUNT, stock=10)
    before, requests = shop.written(), len(shop.requests)
    answer = shop.place("u", *lines, pay=pay)
    assert answer.code == code
    assert shop.written() == before
    assert len(shop.requests) == requests + 1


def test_a_refusal_names_its_order_and_owner(shop):
    """A REJECTED order is shown from the refusal's data, so it has the owner and the lines."""
    answer = shop.place("u", ("a", 11))
    assert answer.data["order_id"] == shop.requests[-1]["id"]
    assert (answer.data["user_id"], answer.data["lines"]) == ("u", [{"sku_id": "a", "quantity": 11}])


def test_only_ordered_skus_leave_the_cart(shop):
    """Of three items in two carts, the two ordered ones of the buyer leave."""
    shop.cart = {("u", "a"): 1, ("u", "b"): 7, ("u", "c"): 1, ("v", "a"): 2}
    shop.buy("u", ("a", 1), ("b", 1))
    assert shop.cart == {("u", "c"): 1, ("v", "a"): 2}


def test_the_price_is_copied_at_order_time(shop):
    """A later price changes neither the order's total nor its lines."""
    order_id = shop.buy("u", ("a", 1))
    key = Key("stock", "a")
    shop.rows[key] = shop.rows[key]._replace(state=shop.rows[key].state._replace(price=9_999))
    assert shop.lines[order_id][0].price == 1000
    assert shop.state("order", order_id).total == 1000
    assert shop.place("u", ("a", 1)).data["total"] == 9_999


def test_an_order_is_told_under_its_smallest_stock_key(shop):
    """An accepted order has one event, whatever the order of its lines; then each SKU has one."""
    before = len(shop.outbox)
    shop.buy("u", ("b", 1), ("a", 1))
    placed, *stock = [(each.kind, each.key) for each in shop.events(before)]
    assert placed == ("order.placed", "stock:a")
    assert sorted(stock) == [("stock.changed", "stock:a"), ("stock.changed", "stock:b")]


def test_a_refusal_is_told_with_its_reason_and_nothing_else_is_written(shop):
    """The event has the requested lines and what is missing, for callers that did not wait."""
    before = len(shop.outbox)
    shop.place("u", ("b", 1), ("a", 11))
    (event,) = shop.events(before)
    assert (event.kind, event.key) == ("order.rejected", "stock:a")
    told = event.body
    assert told["code"] == "OUT_OF_STOCK"
    assert told["shortages"] == [{"sku_id": "a", "requested": 11, "available": 10}]
    assert [line["sku_id"] for line in told["lines"]] == ["b", "a"]


def test_what_costs_nothing_opens_no_account():
    """A free order is paid with a payment of 0 and moves no points."""
    shop = MemoryShop()
    shop.sku("gift", price=0, stock=1)
    order_id = shop.buy("new", ("gift", 1))
    assert shop.state("payment", order_id).amount == 0
    assert shop.balance("new") is None


def test_all_that_is_there_can_be_bought(shop):
    """Exactly the stock and exactly the balance are enough: under-selling is a failure too."""
    shop.charge("v", 10_000)
    shop.buy("v", ("a", 10))
    assert (shop.stock("a"), shop.balance("v")) == ((0, 0), 0)


@pytest.mark.parametrize(
    ("lines", "pay", "reserve_ms"),
    [
        ([], "POINTS", 1),
        ([("a", 0)], "POINTS", 1),
        ([("a", MAX_QUANTITY + 1)], "POINTS", 1),
        ([("a", 2**70)], "POINTS", 1),
        ([("", 1)], "POINTS", 1),
        ([("x" * 65, 1)], "POINTS", 1),
        ([("a\x00", 1)], "POINTS", 1),
        ([(f"s{n}", 1) for n in range(MAX_LINES + 1)], "POINTS", 1),
        ([("a", 1)], "CASH", 1),
        ([("a", 1)], "LATER", 0),
        ([("a", 1)], "LATER", MAX_RESERVE_MS + 1),
    ],
)
def test_bad_content_is_a_problem_and_a_refusal(shop, lines, pay, reserve_ms):
    """HTTP sees it in `problem()`; should it come further, `decide` refuses it with the same sentence."""
    command = PlaceOrder(*shop.next_id(), "u", order_lines(*lines), pay, reserve_ms)
    answer = shop.execute(command)
    assert (answer.code, answer.data["detail"]) == ("INVALID_REQUEST", command.problem())


def test_good_content_is_no_problem(shop):
    """The control: an order at the limits is fine."""
    lines = order_lines(*((f"s{n}", MAX_QUANTITY) for n in range(MAX_LINES)))
    assert PlaceOrder(*shop.next_id(), "u", lines, "LATER", MAX_RESERVE_MS).problem() is None
