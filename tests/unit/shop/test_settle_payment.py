"""A settlement that names its rows at once: it asks for no more of them, unless a line may have been cancelled."""

from dataclasses import replace

from stockade.shop.commands import ClaimPayment, SettlePayment
from stockade.shop.commands.payments.settle_payment import settle_id
from tests.unit.shop.memory import MemoryShop


def reserved(*cancelled):
    """A shop with an order of 2,000 for two units of `a` and a free gift, of which some units were cancelled."""
    shop = MemoryShop()
    shop.sku("a", price=1_000)
    shop.sku("gift", price=0)
    order_id = shop.reserve("u", ("a", 2), ("gift", 1))
    if cancelled:
        assert shop.cancel_lines(order_id, *cancelled).accepted
    return shop, order_id


def settling(shop, order_id, amount):
    """The claim, carried out, and then what records that it was approved."""
    id_, fingerprint, now_ms = shop.next_id()
    claim = ClaimPayment(id_, fingerprint, now_ms, id_, "order", order_id, "u", "k", amount, "KRW", "toss", now_ms + 1)
    sku_ids = shop.execute(claim).data["sku_ids"]
    said = (id_, True, "gateway's", amount, "KRW", "")
    return SettlePayment(settle_id(id_), id_, now_ms, *said, "order", order_id, "u", tuple(sku_ids))


def asks(shop, command):
    """The kinds of the further rows that a command asks for."""
    loaded = {key: shop.row(key) for key in command.keys}
    return {key.kind for key in command.decide(loaded).need_keys if key not in loaded}


def test_what_a_claim_read_is_named_at_once():
    """With the SKUs of the claim nothing more is asked for; the control without them asks, and is a repetition."""
    shop = MemoryShop()
    shop.sku("a", price=1_000)
    order_id = shop.reserve("u", ("a", 2))
    command = settling(shop, order_id, 2_000)
    slow = replace(command, subject="", subject_id="", user_id="", sku_ids=())
    assert asks(shop, command) == set()
    assert asks(shop, slow) == {"order", "lines"}
    assert shop.execute(command).data["status"] == "APPROVED"
    assert shop.stock("a") == (8, 0)
    assert shop.execute(slow).replayed


def test_a_free_line_that_was_cancelled_is_not_deducted():
    """The order still costs its total, yet the settlement looks at what was cancelled: the gift stays in stock."""
    shop, order_id = reserved(("gift", 1))
    command = settling(shop, order_id, 2_000)
    assert asks(shop, command) == {"order_cancelled"}
    assert shop.execute(command).data["status"] == "APPROVED"
    assert (shop.stock("a"), shop.stock("gift")) == ((8, 0), (10, 0))


def test_an_order_of_which_a_part_was_cancelled_is_settled_as_what_is_left():
    """The amount of the claim is less than the total, which says so."""
    shop, order_id = reserved(("a", 1))
    command = settling(shop, order_id, 1_000)
    assert asks(shop, command) == {"order_cancelled"}
    assert shop.execute(command).data["status"] == "APPROVED"
    assert shop.stock("a") == (9, 0)
