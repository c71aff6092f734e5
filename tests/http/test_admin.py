"""What administrators do: edit products, hide them, and look for orders; over HTTP, on the real application."""

import json

from stockade.shop.demo import create_demo
from tests.docs.blocks import blocks
from tests.http.test_bad_input import assert_problem


async def product(client, **body):
    """A new product as its answer shows it."""
    body = {"name": "a shirt", "category": "clothes", "skus": [{"price": 1000, "stock": 20}], **body}
    made = await client.post("/v1/products", body)
    assert made.status_code == 201, made.text
    return made.json()


async def edit(client, made, key, **changes):
    """An edit of a product as it was shown."""
    body = {name: made[name] for name in ("version", "name", "category", "status")}
    body["skus"] = [{"id": sku["id"], "price": sku["price"]} for sku in made["skus"]]
    return await client.send("PUT", f"/v1/products/{made['id']}", key=key, json={**body, **changes})


async def test_a_price_changes_for_later_orders_only(client):
    """A reserved order keeps its price and is paid with it; a cart and a later order have the new one."""
    admin = client.as_user("root", admin=True)
    made = await product(admin)
    sku = made["skus"][0]["id"]
    await client.charge()
    await client.send("PUT", f"/v1/users/ann/cart/items/{sku}", json={"quantity": 1})
    reserved = (await client.order(sku, 1, pay="LATER")).json()
    await client.send("PUT", f"/v1/users/ann/cart/items/{sku}", json={"quantity": 1})
    edited = await edit(admin, made, "e1", skus=[{"id": sku, "price": 1500}], name="a better shirt")
    assert edited.status_code == 200, edited.text
    assert (edited.json()["version"], edited.json()["skus"][0]["price"], edited.json()["name"]) == (
        2,
        1500,
        "a better shirt",
    )
    assert (await client.get("/v1/users/ann/cart")).json()["items"][0]["price"] == 1500
    paid = await client.post(f"/v1/orders/{reserved['order_id']}/payments", {"method": "POINTS"})
    assert paid.json()["amount"] == 1000
    assert (await client.order(sku, 1)).json()["total"] == 1500
    again = await edit(admin, made, "e1", skus=[{"id": sku, "price": 1500}], name="a better shirt")
    assert (again.content, again.headers["idempotent-replayed"]) == (edited.content, "true")
    late = await edit(admin, made, "e2", name="an older idea")
    assert_problem(late, 409, "VERSION_CONFLICT")
    assert late.json()["version"] == 2


async def test_a_buyer_can_name_the_total_that_was_shown(client):
    """Another total is refused with the prices of now; the right one, or none, is accepted."""
    (sku,) = await client.product(price=1000)
    lines = [{"sku_id": sku, "quantity": 2}]
    refused = await client.post("/v1/orders", {"lines": lines, "pay": "LATER", "expected_total": 1900})
    assert_problem(refused, 409, "PRICE_CHANGED")
    assert (refused.json()["total"], refused.json()["prices"]) == (2000, [{"sku_id": sku, "price": 1000}])
    for told in ({"expected_total": 2000}, {}):
        assert (await client.post("/v1/orders", {"lines": lines, "pay": "LATER", **told})).status_code == 201
    twice = b'{"lines":[{"sku_id":"s","quantity":1}],"pay":"LATER","expected_total":1,"expected_total":2}'
    answer = await client.send("POST", "/v1/orders", key="twice", content=twice)
    assert_problem(answer, 400, "INVALID_REQUEST")
    assert "expected_total" in answer.json()["detail"]


async def test_a_hidden_product(client):
    """Not listed, not there by its id, not ordered and not put into a cart; shown to administrators; and back again."""
    admin = client.as_user("root", admin=True)
    made = await product(admin)
    sku = made["skus"][0]["id"]
    await client.send("PUT", f"/v1/users/ann/cart/items/{sku}", json={"quantity": 1})
    reserved = (await client.order(sku, 1, pay="LATER")).json()["order_id"]
    await client.send("PUT", f"/v1/users/ann/cart/items/{sku}", json={"quantity": 1})
    hidden = (await edit(admin, made, "h", status="HIDDEN")).json()
    assert (await client.get("/v1/products")).json()["items"] == []
    assert_problem(await client.get(f"/v1/products/{made['id']}"), 404, "PRODUCT_NOT_FOUND")
    assert (await admin.get(f"/v1/admin/products/{made['id']}")).json()["status"] == "HIDDEN"
    assert [each["id"] for each in (await admin.get("/v1/admin/products?status=HIDDEN")).json()["items"]] == [
        made["id"]
    ]
    assert_problem(await client.order(sku, 1), 409, "NOT_ON_SALE")
    put = await client.send("PUT", f"/v1/users/ann/cart/items/{sku}", json={"quantity": 1})
    assert_problem(put, 409, "NOT_ON_SALE")
    (item,) = (await client.get("/v1/users/ann/cart")).json()["items"]
    assert (item["on_sale"], item["available"]) == (False, 0)
    await client.charge()
    assert (await client.post(f"/v1/orders/{reserved}/payments", {"method": "POINTS"})).status_code == 200
    assert (await edit(admin, hidden, "s", status="ACTIVE")).status_code == 200
    assert (await client.order(sku, 1)).status_code == 201


async def test_lists_show_refused_orders(client):
    """The buyer sees the refusal among the orders, an administrator finds it by state, user and time."""
    admin = client.as_user("root", admin=True)
    (sku,) = await client.product(stock=1)
    made = (await client.order(sku, 1, pay="LATER")).json()["order_id"]
    refused = (await client.order(sku, 5, pay="LATER")).json()["order_id"]
    items = (await client.get("/v1/users/ann/orders")).json()["items"]
    assert {each["order_id"]: each["status"] for each in items} == {made: "RESERVED", refused: "REJECTED"}
    shown = next(each for each in items if each["order_id"] == refused)
    assert (shown["reason"], shown["shortages"][0]["requested"]) == ("OUT_OF_STOCK", 5)
    for query, expected in (
        ("", {made, refused}),
        ("?status=REJECTED", {refused}),
        ("?user_id=ann&status=RESERVED", {made}),
        ("?user_id=bob", set()),
        ("?until=2001-01-01T00:00:00Z", set()),
        ("?since=2001-01-01T00:00:00Z", {made, refused}),
    ):
        found = (await admin.get(f"/v1/admin/orders{query}")).json()["items"]
        assert {each["order_id"] for each in found} == expected, query
    assert_problem(await client.get("/v1/admin/orders"), 403, "FORBIDDEN")
    for query in ("since=2026-13-01T00:00:00Z", "until=0.5", "status=LOST", "status=REJECTED&product_id=p"):
        assert_problem(await admin.get(f"/v1/admin/orders?{query}"), 400, "INVALID_REQUEST")


async def test_the_body_in_the_documentation(client):
    """The edit that docs/api.md shows changes no more than the price of a product of `stockade demo`."""
    await create_demo(client.state.shop.execute, users=0, products=1, now_ms=1_772_357_400_000)
    admin = client.as_user("root", admin=True)
    before = (await admin.get("/v1/products/product-1")).json()
    (body,) = blocks("api.md", "json")
    edited = await admin.send("PUT", "/v1/products/product-1", key="k", json=json.loads(body))
    assert edited.status_code == 200, edited.text
    after = edited.json()
    assert {name for name in before if before[name] != after[name]} == {"version", "skus"}
    assert (before["skus"][0]["price"], after["skus"][0]["price"]) == (1000, 1200)
