"""Pages of other origins, the Location of what was made, and HEAD: what browsers and proxies need."""

import pytest

from stockade.shop.config.addresses import allowed_origins
from stockade.shop.config.settings import BadSetting, Settings
from stockade.shop.http.routing.routes import ROUTES

PAGE = "https://shop.example"
PREFLIGHT = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization,idempotency-key"}


async def test_a_page_of_an_allowed_origin_may_call(start):
    """The preflight is answered without a token, the call with its origin, an error too; and caches keep them apart."""
    async with start(cors_origins=f"{PAGE}, http://localhost:3000") as client:
        asked = await client.send("OPTIONS", "/v1/orders", token="", headers={"Origin": PAGE, **PREFLIGHT})
        assert (asked.status_code, asked.content) == (204, b"")
        assert asked.headers["access-control-allow-origin"] == PAGE
        assert "POST" in asked.headers["access-control-allow-methods"]
        assert {"Authorization", "Idempotency-Key"} <= set(asked.headers["access-control-allow-headers"].split(", "))
        for token in (None, ""):
            answer = await client.get("/v1/users/ann/orders", token=token, headers={"Origin": PAGE})
            assert answer.status_code == (401 if token == "" else 200)
            assert answer.headers["access-control-allow-origin"] == PAGE
            assert "Location" in answer.headers["access-control-expose-headers"]
            assert answer.headers["vary"] == "Origin"


@pytest.mark.parametrize(
    "origin", ["https://other.example", "https://shop.example.other", "http://shop.example", "null"]
)
async def test_a_page_of_another_origin_may_not(start, origin):
    """An origin is compared as a whole; without the setting there is not even a header."""
    async with start(cors_origins=PAGE) as client:
        asked = await client.send("OPTIONS", "/v1/orders", token="", headers={"Origin": origin, **PREFLIGHT})
        answer = await client.get("/v1/products", headers={"Origin": origin})
        assert answer.headers["vary"] == "Origin"
    async with start() as client:
        unset = await client.get("/v1/products", headers={"Origin": PAGE})
        assert "vary" not in unset.headers
    for each in (asked, answer, unset):
        assert not [name for name in each.headers if name.startswith("access-control")]


@pytest.mark.parametrize(
    "wrong", ["*", "https://shop.example/", "shop.example", "https://*.example", "HTTPS://A.example"]
)
def test_what_is_no_origin_is_refused(wrong):
    """A pattern would let pages of strangers in; a slash too much would let nobody in."""
    with pytest.raises(BadSetting, match="cors_origins"):
        allowed_origins(Settings(cors_origins=f"{PAGE},{wrong}"))


async def test_what_was_made_can_be_read_at_its_location(client):
    """A new order and a new product name their path, a replay names it too, and a refusal names none."""
    (sku,) = await client.product(stock=1)
    made = await client.order(sku, pay="LATER", key="a")
    again = await client.order(sku, pay="LATER", key="a")
    refused = await client.order(sku, pay="LATER", key="b")
    assert made.headers["location"] == again.headers["location"] == f"/v1/orders/{made.json()['order_id']}"
    assert (await client.get(made.headers["location"])).json()["order_id"] == made.json()["order_id"]
    assert (refused.status_code, "location" in refused.headers) == (409, False)
    body = {"name": "a hat", "category": "hats", "skus": [{"price": 1, "stock": 1}]}
    product = await client.as_user("root", admin=True).post("/v1/products", body)
    assert (await client.get(product.headers["location"])).json()["id"] == product.json()["id"]


@pytest.mark.parametrize("path", [each.path for each in ROUTES if each.method == "GET" and "{" not in each.path])
async def test_head_is_get_without_a_body(client, path):
    """The same status and headers, so that a proxy may ask for them alone."""
    admin = client.as_user("root", admin=True)
    got, head = [await admin.send(method, path) for method in ("GET", "HEAD")]
    assert (head.status_code, head.content) == (got.status_code, b"")
    assert head.headers["content-type"] == got.headers["content-type"]
    assert int(head.headers["content-length"]) > 0
