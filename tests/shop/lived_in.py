"""A shop in which everything has happened once, to be copied into a database."""

from tests.unit.shop.memory import MemoryShop


def lived_in():
    """The shop, and the order ids by what became of them."""
    shop = MemoryShop()
    for sku, price, stock in (("a", 1000, 100), ("b", 300, 50), ("gift", 0, 5)):
        shop.sku(sku, price=price, stock=stock)
    shop.charge("u", 50_000)
    shop.charge("u", 5_000)
    shop.charge("v", 9_000)
    shop.adjust("a", -5, "broken")
    shop.cart = {("u", "b"): 2, ("v", "gift"): 1}
    orders = {}
    orders["paid"] = shop.buy("u", ("b", 2), ("a", 1))
    shop.now_ms += 1000
    orders["paid_later"] = shop.reserve("v", ("a", 2))
    shop.pay(orders["paid_later"], "v")
    orders["cancelled"] = shop.buy("u", ("a", 3))
    shop.cancel(orders["cancelled"], "u")
    orders["cancelled_unpaid"] = shop.reserve("u", ("b", 1))
    shop.cancel(orders["cancelled_unpaid"], None, "sold by mistake")
    orders["expired"] = shop.reserve("u", ("a", 1), ("b", 1))
    orders["refused"] = shop.place("v", ("a", 1000)).data["order_id"]
    orders["too_dear"] = shop.place("v", ("a", 50)).data["order_id"]
    shop.now_ms += 600_000
    shop.expire(orders["expired"])
    shop.edit("b", 1, price=350)
    shop.edit("b", 2, price=350, status="HIDDEN")
    shop.edit("b", 3, price=300)
    orders["not_on_sale"] = _while_hidden(shop)
    orders["free"] = shop.buy("w", ("gift", 1))
    orders["reserved"] = shop.reserve("v", ("b", 4))
    return shop, orders


def _while_hidden(shop):
    """The id of an order that was refused because its product was hidden; then it is on sale again."""
    shop.edit("a", 1, status="HIDDEN")
    refused = shop.place("u", ("a", 1))
    assert refused.code == "NOT_ON_SALE", refused
    shop.edit("a", 2)
    return refused.data["order_id"]
