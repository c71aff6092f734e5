"""UpdateProduct: everything of a product at once, under the version that was seen; and what it means for orders."""

import pytest

from stockade.shop.commands import OrderLine, PlaceOrder, SkuPrice, UpdateProduct
from stockade.shop.model.command_codec import decode_command, encode_command


def test_an_edit_changes_product_and_skus_and_moves_no_stock(shop):
    """The version counts up, the name is found in any case, and the entries of the SKU move nothing."""
    answer = shop.edit("a", 1, price=1200, name="New")
    assert (answer.data["version"], answer.data["skus"]) == (2, [{"id": "a", "price": 1200, "available": 10}])
    product, stock = shop.state("product", "p-a"), shop.state("stock", "a")
    assert (product.name, product.folded_name, stock.price, stock.hidden) == ("New", "new", 1200, 0)
    assert {(each["kind"], each["note"], each["delta"]) for each in shop.ledger[-2:]} == {
        ("product", "edit", 0),
        ("stock", "edit", 0),
    }


def test_refusals(shop):
    """Another version, a product or a SKU that is not there, and SKUs that are left out: each with its code."""
    before = shop.written()
    assert shop.edit("a", 2).code == "VERSION_CONFLICT"
    head = shop.next_id()
    assert shop.execute(UpdateProduct(*head, "p-a", 1, "n", "c", "ACTIVE", (SkuPrice("b", 1),))).code == "SKU_NOT_FOUND"
    head = shop.next_id()
    assert (
        shop.execute(UpdateProduct(*head, "q", 1, "n", "c", "ACTIVE", (SkuPrice("a", 1),))).code == "PRODUCT_NOT_FOUND"
    )
    assert shop.edit("a", 1, status="GONE").code == "INVALID_REQUEST"
    assert shop.written() == before


def test_a_hidden_product_is_not_sold_and_is_shown_again(shop):
    """Hidden, an order is refused and a reservation can still be paid; then it is sold at its new price."""
    reserved = shop.reserve("u", ("a", 1))
    shop.edit("a", 1, price=500, status="HIDDEN")
    refused = shop.place("u", ("a", 1), ("b", 1))
    assert (refused.code, refused.data["sku_ids"]) == ("NOT_ON_SALE", ["a"])
    assert shop.refused[-1]["user_id"] == "u"
    assert shop.pay(reserved, "u").data["amount"] == 1000
    assert shop.state("stock", "a").hidden == 1
    shop.edit("a", 2, price=500)
    assert shop.place("u", ("a", 1)).data["total"] == 500


@pytest.mark.parametrize(("told", "code"), [(2000, None), (-1, None), (1999, "PRICE_CHANGED"), (0, "PRICE_CHANGED")])
def test_the_total_that_a_buyer_was_told(shop, told, code):
    """The right total and no total are accepted, another one is refused with the prices of now."""
    answer = shop.execute(PlaceOrder(*shop.next_id(), "u", (OrderLine("a", 2),), "POINTS", 600_000, told))
    assert (None if answer.accepted else answer.code) == code
    if code:
        assert (answer.data["total"], answer.data["prices"]) == (2000, [{"sku_id": "a", "price": 1000}])
        assert shop.balance("u") == 20_000


def test_an_edit_passes_through_the_log():
    """The bytes of the log give the same command again."""
    command = UpdateProduct("0" * 32, "f", 1, "p", 3, "n", "c", "HIDDEN", (SkuPrice("s", 1), SkuPrice("t", 2)))
    assert decode_command(encode_command(command)).command == command
