"""Bad input on every route: refused with a problem body, and nothing changes."""

import base64

import pytest

from stockade.shop.http.requests.authorization import Access
from stockade.shop.http.responses.error_codes import ERROR_CODES
from stockade.shop.http.routing.routes import ROUTES

HUGE = 10**30
ORDER = "/v1/orders"
CHARGE = "/v1/users/ann/point-charges"
LINE = {"sku_id": "s", "quantity": 1}
BAD_BODIES = {
    ORDER: [
        {},
        {"lines": [], "pay": "LATER"},
        {"lines": [LINE], "pay": "CARD"},
        {"lines": [LINE], "pay": "LATER", "extra": 1},
        {"lines": [LINE, LINE], "pay": "LATER"},
        {"lines": [{"sku_id": f"s{n}", "quantity": 1} for n in range(101)], "pay": "LATER"},
        *({"lines": [{"sku_id": "s", "quantity": bad}], "pay": "LATER"} for bad in (0, -1, HUGE, 1.5, "1", None, True)),
        *({"lines": [{"sku_id": bad, "quantity": 1}], "pay": "LATER"} for bad in ("", "a b", "x" * 65, "é", "s\n", 1)),
        {"lines": {"sku_id": "s", "quantity": 1}, "pay": "LATER"},
        [],
        "text",
        None,
    ],
    CHARGE: [
        {},
        {"amount": 5},
        *({"amount": bad, "method": "INSTANT"} for bad in (0, -5, 10**12 + 1, HUGE, 0.5, "5", None, True, [5])),
        {"amount": 5, "method": "CARD"},
        {"amount": 5, "method": "INSTANT", "user_id": "bob"},
    ],
    "/v1/orders/o/payments": [
        {},
        {"method": 1},
        {"method": "POINTS", "amount": 1},
        *({"method": "PG", "payment_key": bad, "amount": 1} for bad in ("", "k" * 201, 1, None)),
        *({"method": "PG", "payment_key": "k", "amount": bad} for bad in (0, -1, HUGE, 1.5, "1", None)),
    ],
    "/v1/orders/o/cancel": [{}, {"reason": "x" * 201}, {"reason": 1}, {"reason": "a\u0000b"}, {"reason": "a\nb"}],
    "/v1/products": [
        {},
        {"name": "", "category": "c", "skus": [{"price": 1, "stock": 1}]},
        {"name": "n" * 201, "category": "c", "skus": [{"price": 1, "stock": 1}]},
        {"name": "a\u0000", "category": "c", "skus": [{"price": 1, "stock": 1}]},
        {"name": "n", "category": "c", "skus": []},
        *({"name": "n", "category": "c", "skus": [{"price": bad, "stock": 1}]} for bad in (-1, HUGE, 1.5, "1")),
        *({"name": "n", "category": "c", "skus": [{"price": 1, "stock": bad}]} for bad in (-1, HUGE, 1.5, "1")),
        {"name": "n", "category": "c", "skus": [{"price": 1, "stock": 1}] * 101},
    ],
    "/v1/skus/s/stock-adjustments": [
        {},
        *({"delta": bad, "reason": "r"} for bad in (0, HUGE, -HUGE, 1.5, "1", None)),
        {"delta": 1, "reason": "x" * 201},
    ],
    "/v1/users/ann/cart/items/s": [{}, *({"quantity": bad} for bad in (0, -1, HUGE, 1.5, "1", None))],
}
CASES = [(path, body) for path, bodies in BAD_BODIES.items() for body in bodies]
BAD_TEXTS = [b"", b"{", b"\xff\xfe", b"[" * 5000, b'{"amount":5,"method":"INSTANT"}x', b"\x00", b'{"amount":"\\ud800"}']


def assert_problem(answer, status, code):
    """A complete problem body of RFC 9457."""
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    known = ERROR_CODES[code]
    assert body["status"] == status == known.status
    assert (body["title"], body["retryable"]) == (known.title, known.retryable)
    assert body["type"].endswith(code)
    assert isinstance(body["detail"], str)
    assert body["detail"]
    assert body["outcome"] in ("none", "unknown")


def named(route):
    """A route's name in the list of tests."""
    return f"{route.method} {route.path}"


def filled(path):
    """A path of the API with an id in every place."""
    names = {"{user_id}": "ann", "{sku_id}": "s", "{order_id}": "o", "{product_id}": "p", "{payment_id}": "p"}
    names |= {"{charge_id}": "c", "{gateway}": "g"}
    for name, value in names.items():
        path = path.replace(name, value)
    return path


@pytest.mark.parametrize(("path", "body"), CASES)
async def test_a_bad_body_is_refused(client, path, body):
    """Zero, negative, huge, repeated, unknown, missing and mistyped members end in 400 INVALID_REQUEST."""
    method = "PUT" if "cart" in path else "POST"
    admin = client.as_user("ann", admin=True)
    assert_problem(await admin.send(method, path, key="k", json=body), 400, "INVALID_REQUEST")
    assert (await admin.get("/v1/users/ann/points")).status_code == 404


@pytest.mark.parametrize("text", BAD_TEXTS)
async def test_text_that_is_no_json_is_refused(client, text):
    """Empty, cut off, not UTF-8, too deep, with a tail, with half a surrogate pair: 400, never 500."""
    assert_problem(await client.send("POST", CHARGE, key="k", content=text), 400, "INVALID_REQUEST")


async def test_a_missing_gateway_is_named(client):
    """What needs a gateway is refused where the setting is none, and says so."""
    confirmed = {"payment_key": "k", "amount": 1}
    for path, body in (
        (CHARGE, {"amount": 5, "method": "PG"}),
        ("/v1/orders/o/payments", {"method": "PG", **confirmed}),
        ("/v1/point-charges/c/confirm", confirmed),
    ):
        answer = await client.post(path, body)
        assert_problem(answer, 404, "GATEWAY_NOT_FOUND")
        assert "setting gateway" in answer.json()["detail"]
    assert_problem(await client.send("POST", "/v1/pg/webhooks/toss", token="", json={}), 404, "GATEWAY_NOT_FOUND")


async def test_a_body_that_is_too_large_is_refused(start):
    """The limit on bodies holds whether or not the length is announced."""
    async with start(max_body_kib=1) as client:
        assert_problem(await client.send("POST", CHARGE, key="k", content=b" " * 1025), 413, "BODY_TOO_LARGE")

        async def parts():
            for _ in range(20):
                yield b" " * 100

        assert_problem(await client.send("POST", CHARGE, key="k", content=parts()), 413, "BODY_TOO_LARGE")


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "application/json; charset=latin-1"]
)
async def test_only_json_is_taken(client, kind):
    """A body that says it is something else is refused with 415."""
    content = b'{"amount":5,"method":"INSTANT"}'
    answer = await client.send("POST", CHARGE, key="k", content=content, headers={"Content-Type": kind})
    assert_problem(answer, 415, "UNSUPPORTED_MEDIA_TYPE")


@pytest.mark.parametrize("route", [route for route in ROUTES if route.access is not Access.ANYONE], ids=named)
async def test_every_closed_route_needs_a_token(client, route):
    """No token, a forged one, another scheme, and an expired one end in 401 on every route that is not open."""
    path = filled(route.path)
    expired = client.state.tokens.issuer.issue("ann", valid_s=-60)
    forged = client.token[:-4] + ("AAAA" if client.token[-4:] != "AAAA" else "BBBB")
    for token in ("", expired, forged, "x", "a.b.c", client.token + "x"):
        answer = await client.send(route.method, path, token=token or "", key="k")
        assert_problem(answer, 401, "UNAUTHENTICATED")
        assert answer.headers["www-authenticate"].startswith("Bearer")
    basic = {"Authorization": "Basic " + base64.b64encode(b"ann:x").decode()}
    assert_problem(await client.send(route.method, path, token="", key="k", headers=basic), 401, "UNAUTHENTICATED")


@pytest.mark.parametrize("route", [route for route in ROUTES if "{user_id}" in route.path], ids=named)
async def test_a_user_acts_for_itself_only(client, route):
    """Someone else's points, cart and orders are forbidden on every route that names a user."""
    bob = client.as_user("bob")
    assert_problem(await bob.send(route.method, filled(route.path), key="k"), 403, "FORBIDDEN")


@pytest.mark.parametrize("route", [route for route in ROUTES if route.access is Access.ADMIN], ids=named)
async def test_routes_of_administrators(client, route):
    """A user without the flag is refused on every route of administrators."""
    assert_problem(await client.send(route.method, filled(route.path), key="k"), 403, "FORBIDDEN")


async def test_the_orders_of_others_are_not_there(client):
    """Reading, paying and cancelling someone else's order all say that there is no such order."""
    (sku,) = await client.product()
    order = (await client.order(sku, 1, pay="LATER")).json()["order_id"]
    bob = client.as_user("bob")
    await bob.charge()
    assert_problem(await bob.get(f"/v1/orders/{order}"), 404, "ORDER_NOT_FOUND")
    paid = await bob.post(f"/v1/orders/{order}/payments", {"method": "POINTS"})
    assert_problem(paid, 404, "ORDER_NOT_FOUND")
    assert_problem(await bob.post(f"/v1/orders/{order}/cancel", {"reason": ""}), 404, "ORDER_NOT_FOUND")
    assert (await client.get(f"/v1/orders/{order}")).json()["status"] == "RESERVED"


NOT_THERE = {
    "/v1/products/nix": "PRODUCT_NOT_FOUND",
    "/v1/skus/nix/stock": "SKU_NOT_FOUND",
    "/v1/users/ann/points": "POINT_ACCOUNT_NOT_FOUND",
    "/v1/users/ann/points/entries": "POINT_ACCOUNT_NOT_FOUND",
    "/v1/orders/nix": "ORDER_NOT_FOUND",
    "/v1/payments/nix": "PAYMENT_NOT_FOUND",
    "/v1/nix": "NOT_FOUND",
    "/v1/orders/a%2Fb": "NOT_FOUND",
}


@pytest.mark.parametrize(("path", "code"), NOT_THERE.items())
async def test_what_is_not_there(client, path, code):
    """Every kind of missing thing has its own code."""
    assert_problem(await client.get(path), 404, code)


@pytest.mark.parametrize("id_", ["a%20b", "%00", "%C3%A9", "x" * 65, "a%0A", "a,b"])
async def test_a_malformed_id_in_the_path(client, id_):
    """An id that cannot be one is a bad request."""
    for path in (f"/v1/products/{id_}", f"/v1/skus/{id_}/stock", f"/v1/orders/{id_}"):
        assert_problem(await client.get(path), 400, "INVALID_REQUEST")


@pytest.mark.parametrize("id_", ["%00", "a%0A", "%1F", "x" * 256])
async def test_a_malformed_user_in_the_path(client, id_):
    """A name that no provider can give is a bad request, also of an administrator."""
    for caller in (client, client.as_user("root", admin=True)):
        assert_problem(await caller.get(f"/v1/users/{id_}/cart"), 400, "INVALID_REQUEST")


QUERIES = ["limit=0", "limit=101", "limit=x", "limit=1.5", "limit=", "cursor=nonsense", "x=1", "limit=1&limit=2"]
QUERIES += ["%ff=1", "limit=%ff", "&".join(f"a{n}=1" for n in range(30)), "cursor=" + "x" * 500]


@pytest.mark.parametrize("query", QUERIES)
async def test_a_bad_query_string(client, query):
    """Unknown, repeated, malformed and out-of-range parameters are refused on every list."""
    await client.charge()
    for path in ("/v1/products", "/v1/users/ann/orders", "/v1/users/ann/cart", "/v1/users/ann/points/entries"):
        assert_problem(await client.get(f"{path}?{query}"), 400, "INVALID_REQUEST")


async def test_a_method_that_is_not_there(client):
    """Another method on a known path is 405 and names those that are."""
    answer = await client.send("PATCH", "/v1/products")
    assert_problem(answer, 405, "METHOD_NOT_ALLOWED")
    assert {"GET", "POST"} <= set(answer.headers["allow"].replace(" ", "").split(","))
