"""ChargePoints, CreateProduct, AdjustStock and the two cart commands."""

import pytest

from stockade.core import Key
from stockade.shop.commands import CreateProduct, NewSku, RemoveCartItem, SetCartItem
from stockade.shop.model.limits import MAX_AMOUNT, MAX_QUANTITY, MAX_SKUS, MAX_STOCK


def test_the_first_charge_opens_the_account(shop):
    """An account is its first charge; the answer says the balance."""
    assert shop.balance("new") is None
    answer = shop.charge("new", 700)
    assert answer.data == {
        "charge_id": shop.requests[-1]["id"],
        "status": "APPROVED",
        "amount": 700,
        "balance": 700,
    }
    assert shop.charge("new", 1).data["balance"] == 701
    assert shop.outbox[-1]["kind"] == "points.charged"


@pytest.mark.parametrize("amount", [0, -1, MAX_AMOUNT + 1, 2**80])
def test_charges_out_of_range_are_refused(shop, amount):
    """Zero, negative and huge amounts move nothing."""
    before = shop.written()
    assert shop.charge("u", amount).code == "INVALID_REQUEST"
    assert shop.written() == before


def test_a_balance_has_a_limit(shop):
    """Up to the limit exactly, not one more."""
    assert shop.charge("u", MAX_AMOUNT - 20_000).accepted
    answer = shop.charge("u", 1)
    assert (answer.code, answer.data) == ("LIMIT_EXCEEDED", {"limit": MAX_AMOUNT, "balance": MAX_AMOUNT})


def create(shop, *skus, name="Shirt", category="clothes", product_id=""):
    return shop.execute(CreateProduct(*shop.next_id(), name, category, tuple(NewSku(*sku) for sku in skus), product_id))


def test_a_product_with_derived_ids(shop):
    """Product and SKU ids follow from the request id; stock is entered in the ledger as created."""
    answer = create(shop, (500, 7), (600, 0))
    id_ = answer.data["id"]
    first, second = (f"{id_[:24]}-{n}" for n in (1, 2))
    assert answer.data["skus"] == [
        {"id": first, "price": 500, "available": 7},
        {"id": second, "price": 600, "available": 0},
    ]
    assert (shop.stock(first), shop.stock(second)) == ((7, 0), (0, 0))
    entry = shop.ledger[-2]
    assert (entry["note"], entry["version"], entry["delta"], entry["ref"]) == ("create", 1, 7, id_)
    assert shop.state("product", id_)[:3] == ("Shirt", "clothes", "ACTIVE")


def test_a_used_sku_id_is_a_conflict(shop):
    """The refusal names the SKUs in use and the existing stock stays."""
    answer = create(shop, (1, 1, "a"), (1, 1, "z"), product_id="q")
    assert (answer.code, answer.data) == ("PRODUCT_CONFLICT", {"product_id": "q", "sku_ids": ["a"]})
    assert shop.stock("a") == (10, 0)
    assert shop.state("stock", "z") is None


@pytest.mark.parametrize(
    ("skus", "other"),
    [
        ([], {}),
        ([(-1, 1)], {}),
        ([(MAX_AMOUNT + 1, 1)], {}),
        ([(1, -1)], {}),
        ([(1, MAX_STOCK + 1)], {}),
        ([(1, 1)] * (MAX_SKUS + 1), {}),
        ([(1, 1, "same"), (1, 1, "same")], {}),
        ([(1, 1, "x" * 65)], {}),
        ([(1, 1)], {"name": ""}),
        ([(1, 1)], {"name": "x" * 201}),
        ([(1, 1)], {"category": "tab\t"}),
        ([(1, 1)], {"product_id": "x" * 65}),
    ],
)
def test_bad_products_are_refused(shop, skus, other):
    """Each field has its bounds; nothing is made."""
    before = shop.written()
    assert create(shop, *skus, **other).code == "INVALID_REQUEST"
    assert shop.written() == before


def test_adjusting_stock(shop):
    """The entry is the request; the answer says the new stock; the reason goes to the outside."""
    shop.reserve("u", ("a", 4))
    answer = shop.adjust("a", -6, "broken")
    expected = {"entry_id": shop.requests[-1]["id"], "sku_id": "a", "on_hand": 4, "reserved": 4, "available": 0}
    assert answer.data == expected
    adjusted, changed = shop.events()[-2:]
    assert (adjusted.kind, adjusted.body) == ("stock.adjusted", {**expected, "delta": -6, "reason": "broken"})
    assert (changed.kind, changed.key) == ("stock.changed", "stock:a")
    assert (shop.ledger[-1]["note"], shop.ledger[-1]["delta"]) == ("adjust", -6)


def test_reserved_units_cannot_be_adjusted_away(shop):
    """What orders speak for stays on hand."""
    shop.reserve("u", ("a", 4))
    answer = shop.adjust("a", -7)
    assert (answer.code, answer.data["shortages"]) == (
        "OUT_OF_STOCK",
        [{"sku_id": "a", "requested": 7, "available": 6}],
    )


@pytest.mark.parametrize(
    ("sku_id", "delta", "reason", "code"),
    [
        ("a", 0, "", "INVALID_REQUEST"),
        ("a", MAX_STOCK + 1, "", "INVALID_REQUEST"),
        ("a", -MAX_STOCK - 1, "", "INVALID_REQUEST"),
        ("a", 1, "x" * 201, "INVALID_REQUEST"),
        ("", 1, "", "INVALID_REQUEST"),
        ("ghost", 1, "", "SKU_NOT_FOUND"),
        ("a", MAX_STOCK, "", "LIMIT_EXCEEDED"),
        ("a", -11, "", "OUT_OF_STOCK"),
    ],
)
def test_bad_adjustments_are_refused(shop, sku_id, delta, reason, code):
    """Nothing moves."""
    before = shop.written()
    assert shop.adjust(sku_id, delta, reason).code == code
    assert shop.written() == before


def test_cart_items_are_set_and_removed(shop):
    """The last word counts; removing twice is fine; neither touches a protected row."""
    rows = dict(shop.rows)
    for quantity in (3, 2):
        answer = shop.execute(SetCartItem(*shop.next_id(), "u", "a", quantity))
        assert answer.data == {"sku_id": "a", "quantity": quantity, "price": 1000, "available": 10}
    assert shop.cart == {("u", "a"): 2}
    for _ in range(2):
        assert shop.execute(RemoveCartItem(*shop.next_id(), "u", "a")).accepted
    assert shop.cart == {}
    assert shop.rows == rows


@pytest.mark.parametrize(
    ("user_id", "sku_id", "quantity", "code"),
    [
        ("u", "ghost", 1, "SKU_NOT_FOUND"),
        ("u", "a", 0, "INVALID_REQUEST"),
        ("u", "a", -1, "INVALID_REQUEST"),
        ("u", "a", MAX_QUANTITY + 1, "INVALID_REQUEST"),
        ("", "a", 1, "INVALID_REQUEST"),
        ("u", "\x7f", 1, "INVALID_REQUEST"),
    ],
)
def test_bad_cart_items_are_refused(shop, user_id, sku_id, quantity, code):
    """The cart stays as it was."""
    assert shop.execute(SetCartItem(*shop.next_id(), user_id, sku_id, quantity)).code == code
    assert shop.cart == {}


def test_ids_no_database_takes_are_a_problem_before_any_row_is_read(shop):
    """NUL and half a surrogate pair cannot even be looked up: HTTP calls `problem()` first."""
    for bad in ("\x00", "\ud800"):
        assert SetCartItem(*shop.next_id(), "u", bad, 1).problem()


def test_removing_with_a_bad_id_is_refused(shop):
    """An id that no row can have is refused."""
    assert shop.execute(RemoveCartItem(*shop.next_id(), "u", "x" * 65)).code == "INVALID_REQUEST"


def test_cart_commands_name_what_they_touch(shop):
    """Setting reads the SKU; removing needs no row at all."""
    assert SetCartItem(*shop.next_id(), "u", "a", 1).keys == (Key("stock", "a"),)
    assert RemoveCartItem(*shop.next_id(), "u", "a").keys == ()
