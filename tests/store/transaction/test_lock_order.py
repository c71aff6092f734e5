"""The order of locks follows the names of the kinds."""

from stockade.core import Key, merged_keys
from stockade.shop.model.resources import SHOP_RESOURCES
from tests.store.commands import Buy, Charge, rid


def test_stock_is_locked_last():
    """The hot row is held for the shortest time, whatever a command names first: no kind of the shop sorts after it."""
    locked = [each.kind for each in SHOP_RESOURCES if not each.many]
    assert max(locked) == "stock"
    keys = merged_keys([Buy(rid(1), user="z"), Charge(rid(2), user="a")])
    assert keys == [Key("points", "a"), Key("points", "z"), Key("stock", "s")]
