"""The defects of the two systems this one replaces, each as a test that fails where the defect is present.

Those that concern the domain; transport, locks and events have theirs beside their own rooms.
"""

import pytest

from stockade.shop.commands import ChargePoints, PlaceOrder
from stockade.shop.model.limits import MAX_AMOUNT
from tests.unit.shop.memory import MemoryShop, order_lines


def test_a_cancelled_order_keeps_its_rows_and_restores_once(shop):
    """There, compensations were lost on a kill, and cancelling deleted the order. Here it is one decision."""
    order_id = shop.buy("u", ("a", 1), ("b", 2))
    assert shop.cancel(order_id, "u").accepted
    assert shop.state("order", order_id).status == "CANCELLED"
    assert len(shop.lines[order_id]) == 2
    assert shop.state("payment", order_id).status == "CANCELLED"
    for _ in range(3):
        assert not shop.cancel(order_id, "u").accepted
    assert (shop.stock("a"), shop.stock("b"), shop.balance("u")) == ((10, 0), (5, 0), 20_000)


def test_money_does_not_overflow_32_bits():
    """There, price x quantity turned negative and paying added points. Here the sum is right, or refused."""
    shop = MemoryShop()
    shop.sku("gold", price=2_000_000_000, stock=1_000_000)
    shop.charge("u", 10_000_000_000)
    order_id = shop.buy("u", ("gold", 3))
    assert (shop.state("order", order_id).total, shop.balance("u")) == (6_000_000_000, 4_000_000_000)
    before = shop.written()
    answer = shop.place("u", ("gold", 1_000_000 - 3))
    assert (answer.code, answer.data["limit"]) == ("LIMIT_EXCEEDED", MAX_AMOUNT)
    assert shop.written() == before


def test_the_same_item_twice_is_a_refusal_not_an_error(shop):
    """There, an unhandled error. Here a sentence that names the SKU, before and inside the decision."""
    command = PlaceOrder(*shop.next_id(), "u", order_lines(("a", 1), ("b", 1), ("a", 2)), "POINTS")
    assert command.problem() == "each SKU may stand in one line only; repeated: a"
    assert shop.execute(command).code == "INVALID_REQUEST"


def test_a_charge_has_a_key_a_history_and_one_account():
    """There, a repeated charge charged again, nothing was recorded, and a user could have two accounts."""
    shop = MemoryShop()
    tap = ChargePoints(*shop.next_id(), "u", 100)
    assert [shop.execute(tap).data["balance"] for _ in range(10)] == [100] * 10
    assert [shop.charge("u", 100).data["balance"] for _ in range(3)] == [200, 300, 400]
    entries = [(entry["row_id"], entry["delta"], entry["amount_after"]) for entry in shop.ledger]
    assert entries == [("u", 100, 100), ("u", 100, 200), ("u", 100, 300), ("u", 100, 400)]
    assert [key.id for key in shop.rows if key.kind == "points"] == ["u"]


def test_a_refused_line_leaves_neither_order_nor_earlier_lines(shop):
    """There, the order stayed COMPLETE and earlier lines stayed deducted when a later line was short."""
    before = shop.written()
    answer = shop.place("u", ("a", 1), ("b", 6))
    assert answer.code == "OUT_OF_STOCK"
    assert shop.written() == before
    assert shop.state("order", answer.data["order_id"]) is None


@pytest.mark.parametrize("pay", ["POINTS", "LATER"])
def test_thirty_orders_of_twenty_units_are_not_all_accepted(pay):
    """There, 30 of 30 were accepted for 20 units. Here 20, and exactly 20, in either way of paying."""
    shop = MemoryShop()
    shop.sku("s", price=1000, stock=20)
    shop.charge("u", 100_000)
    answers = [shop.place("u", ("s", 1), pay=pay) for _ in range(30)]
    assert sum(answer.accepted for answer in answers) == 20
    assert {answer.code for answer in answers if not answer.accepted} == {"OUT_OF_STOCK"}
    assert shop.state("stock", "s").available == 0


def test_a_second_payment_is_refused_and_a_strangers_too(shop):
    """There, payment checked neither state nor owner, so a later one was taken again."""
    shop.charge("other", 50_000)
    order_id = shop.reserve("u", ("a", 1))
    assert shop.pay(order_id, "other").code == "ORDER_NOT_FOUND"
    assert shop.pay(order_id, "u").accepted
    assert shop.pay(order_id, "u").code == "ALREADY_PAID"
    assert (shop.balance("u"), shop.balance("other")) == (19_000, 50_000)
    assert sum(key.kind == "payment" for key in shop.rows) == 1


@pytest.mark.parametrize("quantity", [0, -1, -(2**31)])
def test_a_negative_quantity_mints_nothing(shop, quantity):
    """There, it added stock and made a negative price, so paying minted balance."""
    before = shop.written()
    for pay in ("POINTS", "LATER"):
        assert shop.place("u", ("a", quantity), pay=pay).code == "INVALID_REQUEST"
    assert shop.written() == before


def test_a_charge_of_nothing_is_refused(shop):
    """There, a charge of 0 was accepted, and a negative one would have taken points."""
    before = shop.written()
    assert [shop.charge("u", amount).code for amount in (0, -1)] == ["INVALID_REQUEST"] * 2
    assert shop.written() == before


def test_an_unpaid_order_does_not_hold_stock_for_ever(shop):
    """There, it did. Here the reservation ends and the units can be sold to another."""
    order_id = shop.reserve("slow", ("b", 5))
    assert shop.place("u", ("b", 5)).code == "OUT_OF_STOCK"
    shop.now_ms += 600_000
    assert shop.expire(order_id).accepted
    assert shop.place("u", ("b", 5)).accepted


def test_an_event_tells_the_balance_of_its_own_moment(shop):
    """There, a retried event carried the balance of the day of the retry. Here it is fixed with the fact."""
    shop.charge("u", 1)
    told = shop.outbox[-1]["body"]
    shop.charge("u", 1)
    assert b'"balance":20001' in told
