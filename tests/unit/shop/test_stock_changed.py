"""`stock.changed`: each transaction that changes a SKU makes one event of its level and version, with its own id."""

import pytest

from stockade.core import Key
from stockade.shop.commands import OrderLine, PlaceOrder
from stockade.shop.migrations import SCHEMA
from stockade.shop.model.resources import SHOP_RESOURCES
from stockade.store.schema.known_tables import KnownTables
from stockade.store.transaction.decide import BatchDecider
from tests.unit.shop.memory import MemoryShop, read


def levels(events):
    """The events `stock.changed`, in order: (SKU, on hand, reserved, available, version, the version of the event
    before)."""
    fields = ("sku_id", "on_hand", "reserved", "available", "version", "since_version")
    told = [each for each in events if each.kind == "stock.changed"]
    assert all(each.key == f"stock:{each.body['sku_id']}" for each in told)
    return [tuple(each.body[name] for name in fields) for each in told]


def test_a_new_sku_is_told_from_version_nought():
    """The chain of a SKU begins with its creation, which has no other event."""
    shop = MemoryShop()
    shop.sku("a", stock=10)
    assert [each.kind for each in shop.events()] == ["stock.changed"]
    assert levels(shop.events()) == [("a", 10, 0, 10, 1, 0)]


CHANGES = {
    "adjust": (lambda shop, order: shop.adjust("a", -3), [("a", 7, 2, 5, 3, 2)]),
    "place": (lambda shop, order: shop.place("u", ("a", 1)), [("a", 9, 2, 7, 3, 2)]),
    "reserve": (lambda shop, order: shop.place("u", ("a", 1), pay="LATER"), [("a", 10, 3, 7, 3, 2)]),
    "pay": (lambda shop, order: shop.pay(order, "u"), [("a", 8, 0, 8, 3, 2), ("b", 4, 0, 4, 3, 2)]),
    "cancel": (lambda shop, order: shop.cancel(order), [("a", 10, 0, 10, 3, 2), ("b", 5, 0, 5, 3, 2)]),
    "expire": (lambda shop, order: shop.expire(order), [("a", 10, 0, 10, 3, 2), ("b", 5, 0, 5, 3, 2)]),
    "nothing of stock": (lambda shop, order: shop.charge("u", 5), []),
}


@pytest.mark.parametrize("name", CHANGES)
def test_every_change_is_told(shop, name):
    """On a shop with 2 of `a` and 1 of `b` reserved, each at version 2: the level after, and the version it follows."""
    change, expected = CHANGES[name]
    order = shop.reserve("u", ("a", 2), ("b", 1))
    shop.now_ms += 600_000 if name == "expire" else 0
    before = len(shop.outbox)
    assert change(shop, order).accepted
    assert sorted(levels(shop.events(before))) == expected


def test_two_skus_of_one_order_have_ids_of_their_own(shop):
    """All events of a request have different ids, numbered from 0 without a gap: consumers recognise duplicates by
    them."""
    before = len(shop.outbox)
    order_id = shop.buy("u", ("b", 1), ("a", 2))
    assert [each.id for each in shop.events(before)] == [f"{order_id}:{n}" for n in range(3)]
    assert sorted(levels(shop.events(before))) == [("a", 8, 0, 8, 2, 1), ("b", 4, 0, 4, 2, 1)]


def test_a_repeated_request_tells_nothing_anew(shop):
    """The second answer is the first one's, and so are its events."""
    order = PlaceOrder(*shop.next_id(), "u", (OrderLine("a", 1),), "POINTS", 0)
    assert not shop.execute(order).replayed
    before = len(shop.outbox)
    assert shop.execute(order).replayed
    assert len(shop.outbox) == before


def test_a_batch_tells_once_of_each_row(shop):
    """Thirty orders in one transaction, the last ten refused: the level after the twentieth, and what it follows."""
    shop.adjust("a", 10)
    orders = [PlaceOrder(*shop.next_id(), "u", (OrderLine("a", 1),), "LATER", 60_000) for _ in range(30)]
    both = PlaceOrder(*shop.next_id(), "u", (OrderLine("b", 1),), "LATER", 60_000)
    told = fold(shop, [both, *orders])
    assert levels(told) == [("b", 5, 1, 4, 2, 1), ("a", 20, 20, 0, 22, 2)]
    by = {each.key: each.id for each in told if each.kind == "stock.changed"}
    assert by == {"stock:b": f"{both.request_id}:1", "stock:a": f"{orders[19].request_id}:1"}
    assert len({each.id for each in told}) == len(told) == 31 + 2


def test_one_request_is_named_for_all_rows_that_it_changed_last(shop):
    """Two orders over rows in common: the events of rows that both changed are of the later one."""
    first = PlaceOrder(*shop.next_id(), "u", (OrderLine("a", 1), OrderLine("b", 1)), "LATER", 60_000)
    second = PlaceOrder(*shop.next_id(), "u", (OrderLine("b", 1),), "LATER", 60_000)
    ids = [(each.id, each.key) for each in fold(shop, [first, second]) if each.kind == "stock.changed"]
    assert ids == [(f"{first.request_id}:1", "stock:a"), (f"{second.request_id}:1", "stock:b")]


def fold(shop, commands):
    """The events that a batch over the shop's rows would make; it is not executed."""
    decider = BatchDecider({each.kind: each for each in SHOP_RESOURCES}, KnownTables(SCHEMA.metadata, SHOP_RESOURCES))
    keys = {key for command in commands for key in command.keys} | {Key("points", "u")}
    return read(decider.decide(commands, {key: shop.row(key) for key in keys}, {}).outbox)
