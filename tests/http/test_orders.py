"""The life of an order over HTTP, and the answers in the shape that the API promises."""

import time

import msgspec
import pytest
from sqlalchemy import update

from stockade.shop.http.responses import response_schemas
from stockade.shop.http.routing.routes import ROUTES
from stockade.shop.model.tables import skus


async def test_an_order_paid_with_points(client):
    """Points and stock move together, and every view of the order agrees."""
    (sku,) = await client.product(stock=20, price=1500)
    await client.charge(10_000)
    placed = await client.order(sku, 2)
    assert placed.status_code == 201
    order = placed.json()
    assert (order["status"], order["total"]) == ("PAID", 3000)
    assert (await client.get("/v1/users/ann/points")).json() == {"balance": 7000, "held": 0, "available": 7000}
    assert (await client.get(f"/v1/skus/{sku}/stock")).json()["available"] == 18
    seen = (await client.get(f"/v1/orders/{order['order_id']}")).json()
    assert (seen["status"], seen["total"], seen["user_id"]) == ("PAID", 3000, "ann")
    listed = (await client.get("/v1/users/ann/orders")).json()
    assert [each["order_id"] for each in listed["items"]] == [order["order_id"]]
    entries = (await client.get("/v1/users/ann/points/entries")).json()["items"]
    assert [(entry["kind"], entry["amount"]) for entry in entries] == [("USE", -3000), ("CHARGE", 10_000)]


async def test_an_order_reserved_paid_and_cancelled(client):
    """A reservation holds stock, its payment takes the points, and the cancel returns both."""
    (sku,) = await client.product(stock=5)
    await client.charge(10_000)
    order = (await client.order(sku, 3, pay="LATER")).json()
    assert order["status"] == "RESERVED"
    assert order["reserved_until"].endswith("Z")
    stock = (await client.get(f"/v1/skus/{sku}/stock")).json()
    assert stock == {"sku_id": sku, "on_hand": 5, "reserved": 3, "available": 2}
    path = f"/v1/orders/{order['order_id']}"
    paid = await client.post(f"{path}/payments", {"method": "POINTS"})
    assert (paid.status_code, paid.json()["balance"]) == (200, 7000)
    payment = (await client.get(f"/v1/payments/{paid.json()['payment_id']}")).json()
    assert (payment["status"], payment["approvals"], payment["amount"]) == ("APPROVED", 1, 3000)
    cancelled = await client.post(f"{path}/cancel", {"reason": "changed my mind"})
    assert cancelled.json()["refunds"][0]["amount"] == 3000
    assert (await client.get(f"/v1/skus/{sku}/stock")).json()["available"] == 5
    assert (await client.get("/v1/users/ann/points")).json()["balance"] == 10_000
    history = [step["status"] for step in (await client.get(path)).json()["history"]]
    assert history == ["RESERVED", "PAID", "CANCELLED"]


async def test_every_short_line_is_reported_together(client):
    """A refusal names all that is missing, leaves the stock alone, and stays visible as a REJECTED order."""
    all_skus = await client.product(stock=3, skus=3)
    lines = [{"sku_id": sku, "quantity": quantity} for sku, quantity in zip(all_skus, (4, 1, 9), strict=True)]
    refused = await client.post("/v1/orders", {"lines": lines, "pay": "LATER"})
    assert (refused.status_code, refused.json()["code"]) == (409, "OUT_OF_STOCK")
    assert [each["requested"] for each in refused.json()["shortages"]] == [4, 9]
    for sku in all_skus:
        assert (await client.get(f"/v1/skus/{sku}/stock")).json()["available"] == 3
    seen = await client.get(f"/v1/orders/{refused.json()['order_id']}")
    assert (seen.json()["status"], seen.json()["reason"]) == ("REJECTED", "OUT_OF_STOCK")


async def test_only_ordered_lines_leave_the_cart(client):
    """The cart keeps what was not ordered."""
    first, second = await client.product(stock=9, skus=2)
    for sku in (first, second):
        put = await client.send("PUT", f"/v1/users/ann/cart/items/{sku}", json={"quantity": 2})
        assert put.status_code == 200
    await client.order(first, 1, pay="LATER")
    items = (await client.get("/v1/users/ann/cart")).json()["items"]
    assert [item["sku_id"] for item in items] == [second]
    gone = await client.send("DELETE", f"/v1/users/ann/cart/items/{second}")
    assert (gone.status_code, gone.content) == (204, b"")


async def test_products_are_listed_searched_and_paged(client):
    """Sorting, searching and cursors of the product list work over HTTP."""
    for price in (300, 100, 200):
        await client.product(price=price)
    first = (await client.get("/v1/products?sort=price&limit=2", token="")).json()
    assert [item["skus"][0]["price"] for item in first["items"]] == [100, 200]
    rest = await client.get(f"/v1/products?sort=price&limit=2&cursor={first['next_cursor']}", token="")
    assert [item["skus"][0]["price"] for item in rest.json()["items"]] == [300]
    assert (await client.get("/v1/products?q=SHIRT", token="")).json()["items"]
    assert (await client.get("/v1/products?q=shoe", token="")).json()["items"] == []


async def test_popular_products(client):
    """What was sold is popular, by units or by revenue."""
    (cheap,), (dear,) = await client.product(price=10), await client.product(price=1000)
    await client.charge()
    await client.order(cheap, 5)
    await client.order(dear, 2)
    by_units = (await client.get("/v1/products/popular")).json()
    by_revenue = (await client.get("/v1/products/popular?by=revenue")).json()
    assert [item["quantity"] for item in by_units["items"]] == [5, 2]
    assert [item["revenue"] for item in by_revenue["items"]] == [2000, 50]


async def test_the_audit_route(client):
    """An administrator sees that all is well, and sees damage."""
    (sku,) = await client.product(stock=5)
    admin = client.as_user("root", admin=True)
    assert (await admin.get("/v1/audit")).json() == {"ok": True, "violations": []}
    await damage(client, sku)
    found = (await admin.get("/v1/audit")).json()
    assert not found["ok"]
    assert sku in found["violations"][0]["subject"]


async def damage(client, sku):
    """Take a unit away without an entry for it."""
    statement = update(skus).where(skus.c.id == sku).values(on_hand=skus.c.on_hand - 1)
    database = client.state.shop.database
    await database.transaction(lambda conn: conn.execute(statement), deadline=time.monotonic() + 5)


COMMANDS = {
    "place_order": ("POST", "/v1/orders", response_schemas.Ordered),
    "charge": ("POST", "/v1/users/{user_id}/point-charges", response_schemas.Charged),
    "pay": ("POST", "/v1/orders/{order_id}/payments", response_schemas.Paid),
    "cancel": ("POST", "/v1/orders/{order_id}/cancel", response_schemas.Cancelled),
    "adjust": ("POST", "/v1/skus/{sku_id}/stock-adjustments", response_schemas.Adjusted),
    "put": ("PUT", "/v1/users/{user_id}/cart/items/{sku_id}", response_schemas.InCart),
    "create": ("POST", "/v1/products", response_schemas.CreatedProduct),
}


@pytest.fixture
async def answers(client):
    """One accepted answer of every command."""
    admin = client.as_user("root", admin=True)
    (sku,) = await client.product()
    charge = {"amount": 9000, "method": "INSTANT"}
    made = {"charge": await client.post("/v1/users/ann/point-charges", charge)}
    made["place_order"] = await client.order(sku, 1, pay="LATER")
    path = f"/v1/orders/{made['place_order'].json()['order_id']}"
    made["pay"] = await client.post(f"{path}/payments", {"method": "POINTS"})
    made["cancel"] = await client.post(f"{path}/cancel", {"reason": ""})
    made["adjust"] = await admin.post(f"/v1/skus/{sku}/stock-adjustments", {"delta": -3, "reason": "broken"})
    made["put"] = await client.send("PUT", f"/v1/users/ann/cart/items/{sku}", json={"quantity": 2})
    body = {"name": "b", "category": "c", "skus": [{"price": 0, "stock": 0}]}
    made["create"] = await admin.post("/v1/products", body)
    return made


async def test_documented_answers_are_the_real_ones(answers):
    """Each command answers with exactly the members and types that the document shows for it."""
    documented = {(route.method, route.path): (route.status, route.response) for route in ROUTES}
    for name, (method, path, reply) in COMMANDS.items():
        status, shown = documented[method, path]
        answer = answers[name]
        assert (answer.status_code, shown) == (status, reply), name
        strict = msgspec.defstruct(reply.__name__, [], bases=(reply,), forbid_unknown_fields=True)
        read = msgspec.json.decode(answer.content, type=strict)
        assert msgspec.to_builtins(read) == answer.json(), name
