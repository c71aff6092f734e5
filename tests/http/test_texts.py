"""Every text that enters: kept as it is, or a 400 before anything is carried out; members that stand twice; HEAD."""

import json

import pytest

from stockade.shop.http.routing.routes import ROUTES
from tests.http.test_bad_input import assert_problem, filled

GOOD = [
    "책상 🪑",
    "👨‍👩‍👧 family",
    "a\u3000b",
    "\u200fעברית",
    "Ünïcödé",
    "' OR 1=1 --",
    "100%_/\\",
    "\U0003fffd",
    "\ufffe",
]
BAD = ["a\0b", "a\nb", "a\tb", "\x7f", "\u2028", "\x85"]
SKUS = [{"price": 5, "stock": 5}]


def entries(text):
    """Method, path and body of each request that takes a text; the body as JSON."""
    product = {"name": "n", "category": "c", "skus": SKUS}
    return [
        ("/v1/products", json.dumps({**product, "name": text})),
        ("/v1/products", json.dumps({**product, "category": text})),
        ("/v1/skus/s/stock-adjustments", json.dumps({"delta": 1, "reason": text})),
        ("/v1/orders/o/cancel", json.dumps({"reason": text})),
        ("/v1/orders", json.dumps({"lines": [{"sku_id": text, "quantity": 1}], "pay": "LATER"})),
    ]


async def send(client, path, content, key="k"):
    headers = {"Content-Type": "application/json"}
    return await client.as_user("root", admin=True).send("POST", path, key=key, content=content, headers=headers)


@pytest.mark.parametrize("text", [*BAD, "x" * 201, "\ud800"], ids=ascii)
async def test_a_text_that_cannot_be_kept(client, text):
    """Control characters, line breaks, half a pair and what is too long: 400 on every route, and no transaction."""
    before = client.state.shop.store.stats.transactions
    for path, content in entries(text):
        assert_problem(await send(client, path, content), 400, "INVALID_REQUEST")
    assert client.state.shop.store.stats.transactions == before
    if text.isascii() or text == "\u2028":
        for name in ("q", "cursor"):
            answer = await client.http.get("/v1/products", params={name: text})
            assert_problem(answer, 400, "INVALID_REQUEST")


@pytest.mark.parametrize("raw", [b'{"reason":"\xff"}', b'{"reason":"\xed\xa0\x80"}', b'\xef\xbb\xbf{"reason":""}'])
async def test_a_body_that_is_not_utf_8(client, raw):
    """Bytes that are no UTF-8, and a byte order mark, are refused."""
    assert_problem(await send(client, "/v1/orders/o/cancel", raw), 400, "INVALID_REQUEST")


async def test_a_text_that_can_be_kept_is_kept(client):
    """Joined emoji, wide spaces, right to left, and signs of SQL come back as they were sent, and are found."""
    for n, text in enumerate(GOOD):
        body = json.dumps({"name": text, "category": text, "skus": SKUS})
        made = await send(client, "/v1/products", body, key=f"p{n}")
        assert made.status_code == 201, made.text
        assert (made.json()["name"], made.json()["category"]) == (text, text)
        sku = made.json()["skus"][0]["id"]
        order = (await client.order(sku, 1, pay="LATER")).json()["order_id"]
        assert (await client.post(f"/v1/orders/{order}/cancel", {"reason": text})).status_code == 200
        assert (await client.get(f"/v1/orders/{order}")).json()["reason"] == text
        found = await client.http.get("/v1/products", params={"q": text})
        assert text in [each["name"] for each in found.json()["items"]], found.text


async def test_a_search_ignores_case(client):
    """Capitals and small letters of several alphabets, both ways; another word is not found (control)."""
    names = {
        "Öl & Essig": "öL",
        "Привет мир": "ПРИВЕТ",
        "ΣΊΣΥΦΟΣ": "σίσυφος",
        "STRASSE": "straße",
        "İstanbul": "ISTANBUL",
    }
    for n, name in enumerate(names):
        await send(client, "/v1/products", json.dumps({"name": name, "category": "c", "skus": SKUS}), key=f"s{n}")
    for name, q in names.items():
        for asked in (q, q.swapcase(), name.upper(), name.lower()):
            found = (await client.http.get("/v1/products", params={"q": asked})).json()["items"]
            assert [each["name"] for each in found] == [name], asked
    assert (await client.http.get("/v1/products", params={"q": "мост"})).json()["items"] == []


TWO = '{"sku_id":"t","sku_id":"u","quantity":1}'
LINE = '{"sku_id":"s","quantity":1}'
TWICE = {
    "in the body": ("/v1/orders", f'{{"lines":[{LINE}],"pay":"LATER","pay":"POINTS"}}', "pay"),
    "in a line": ("/v1/orders", '{"lines":[{"sku_id":"s","quantity":1,"quantity":5}],"pay":"LATER"}', "quantity"),
    "in the last line": ("/v1/orders", f'{{"lines":[{LINE},{TWO}],"pay":"LATER"}}', "sku_id"),
    "spelled otherwise": ("/v1/orders", f'{{"lines":[{LINE}],"pay":"LATER","p\\u0061y":"LATER"}}', "pay"),
    "a list twice": ("/v1/orders", f'{{"lines":[{LINE}],"lines":[{LINE},{LINE}],"pay":"LATER"}}', "lines"),
    "the same value": ("/v1/orders/o/cancel", '{"reason":"","reason":""}', "reason"),
    "behind a colon in a text": ("/v1/orders/o/cancel", '{"reason":"a:b","reason":"c"}', "reason"),
    "of a product": ("/v1/products", '{"name":"n","name":"m","category":"c","skus":[{"price":1,"stock":1}]}', "name"),
}  # fmt: skip


@pytest.mark.parametrize(("path", "content", "name"), TWICE.values(), ids=TWICE)
async def test_a_member_that_stands_twice(client, path, content, name):
    """Refused at any depth, and named; texts that look like members are none (control)."""
    answer = await send(client, path, content)
    assert_problem(answer, 400, "INVALID_REQUEST")
    assert f"'{name}' stands twice" in answer.json()["detail"]
    looks = '{"reason":"\\"reason\\": \\"twice\\": {:}"}'
    assert_problem(await send(client, "/v1/orders/o/cancel", looks), 404, "ORDER_NOT_FOUND")


GETS = [route for route in ROUTES if route.method == "GET"]


@pytest.mark.parametrize(
    "path", [*map(filled, (r.path for r in GETS)), "/healthz", "/readyz", "/metrics", "/openapi.json"]
)
async def test_head_is_get_without_a_body(client, path):
    """The same status and headers on every GET route, also where nothing is there."""
    admin = client.as_user("root", admin=True)
    get, head = await admin.get(path), await admin.send("HEAD", path)
    assert (head.status_code, head.content) == (get.status_code, b"")
    if path != "/metrics":
        assert head.headers == get.headers
    assert "HEAD" in (await admin.send("OPTIONS", path)).headers["allow"] or path.count("/") == 1


async def test_head_of_what_has_no_get(client):
    """HEAD where there is no GET is 405, without a body."""
    answer = await client.send("HEAD", "/v1/skus/s/stock-adjustments")
    assert (answer.status_code, answer.content) == (405, b"")
