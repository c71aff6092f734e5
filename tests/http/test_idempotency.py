"""Idempotency keys: the same intent is carried out once and answered alike; another intent is another key."""

import asyncio

import pytest

from stockade.shop.http.requests.idempotency import MAX_KEY_LENGTH, read_key
from stockade.shop.http.responses.problems import ProblemError
from tests.http.stand_ins import Failing, Held
from tests.waiting import turns_until


def charge_body(amount=100):
    return {"amount": amount, "method": "INSTANT"}


async def test_a_replay_is_the_first_answer_byte_for_byte(client):
    """An accepted order repeated later gets the same status and body, marked as a replay, and happens once."""
    (sku,) = await client.product(stock=5)
    first = await client.order(sku, 1, pay="LATER", key="k")
    again = await client.order(sku, 1, pay="LATER", key="k")
    assert (again.status_code, again.content) == (first.status_code, first.content) == (201, first.content)
    assert "idempotent-replayed" not in first.headers
    assert again.headers["idempotent-replayed"] == "true"
    assert (await client.get(f"/v1/skus/{sku}/stock")).json()["reserved"] == 1


async def test_the_time_of_a_key_leads_the_order_id(client):
    """The time of a version-7 UUID leads the order's id, bare or as a structured string; a retry is a replay."""
    (sku,) = await client.product(stock=5)
    key = "019E8A5B-3c7d-7000-8000-0123456789ab"
    first = await client.order(sku, 1, pay="LATER", key=key)
    again = await client.order(sku, 1, pay="LATER", key=f'"{key}"')
    assert first.json()["order_id"].startswith("019e8a5b3c7d")
    assert (again.content, again.headers["idempotent-replayed"]) == (first.content, "true")
    other = await client.order(sku, 1, pay="LATER", key=key.lower())
    assert other.json()["order_id"] != first.json()["order_id"]


async def test_a_refusal_is_replayed_too(client):
    """A shortage stays a shortage for its key, also after new stock arrived; a new key sees the new stock."""
    (sku,) = await client.product(stock=1)
    first = await client.order(sku, 2, pay="LATER", key="k")
    admin = client.as_user("root", admin=True)
    await admin.post(f"/v1/skus/{sku}/stock-adjustments", {"delta": 5, "reason": "delivery"})
    again = await client.order(sku, 2, pay="LATER", key="k")
    assert (again.status_code, again.content) == (first.status_code, first.content) == (409, first.content)
    assert again.headers["idempotent-replayed"] == "true"
    assert (await client.order(sku, 2, pay="LATER", key="k2")).status_code == 201


async def test_the_order_of_members_means_nothing(client):
    """The fingerprint is of the content: the same body written differently is the same request."""
    bodies = (b'{"amount":100,"method":"INSTANT"}', b' { "method" : "INSTANT", "amount" : 100 } ')
    path, headers = "/v1/users/ann/point-charges", {"Content-Type": "application/json"}
    answers = [await client.send("POST", path, key="k", content=body, headers=headers) for body in bodies]
    assert answers[0].content == answers[1].content
    assert (await client.get("/v1/users/ann/points")).json()["balance"] == 100


@pytest.mark.parametrize("path", ["/v1/users/ann/point-charges", "/v1/users/bob/point-charges"])
async def test_a_key_with_another_request_is_refused(client, path):
    """Another body, or another path of the same route, under a used key: 422, and nothing happens."""
    admin = client.as_user("ann", admin=True)
    assert (await admin.post("/v1/users/ann/point-charges", charge_body(), key="k")).status_code == 201
    again = await admin.post(path, charge_body(101 if "ann" in path else 100), key="k")
    assert (again.status_code, again.json()["code"]) == (422, "IDEMPOTENCY_KEY_REUSED")
    assert (await admin.get("/v1/users/ann/points")).json()["balance"] == 100
    assert (await admin.get("/v1/users/bob/points")).status_code == 404


async def test_keys_belong_to_their_caller_and_route(client):
    """Two users, and two routes, may use the same key for different things."""
    (sku,) = await client.product()
    bob = client.as_user("bob")
    assert (await client.post("/v1/users/ann/point-charges", charge_body(5000), key="k")).status_code == 201
    assert (await bob.post("/v1/users/bob/point-charges", charge_body(7000), key="k")).status_code == 201
    placed = await client.order(sku, 1, key="k")
    assert placed.status_code == 201
    assert "idempotent-replayed" not in placed.headers


async def test_ten_clicks_with_one_key_charge_once(client):
    """Ten simultaneous requests with one key are one charge, and all ten receive the same response."""
    answers = await asyncio.gather(
        *(client.post("/v1/users/ann/point-charges", charge_body(), key="tap") for _ in range(10))
    )
    assert {(answer.status_code, answer.content) for answer in answers} == {(201, answers[0].content)}
    assert sum("idempotent-replayed" in answer.headers for answer in answers) == 9
    assert (await client.get("/v1/users/ann/points")).json()["balance"] == 100


async def test_ten_clicks_with_ten_keys_charge_ten_times(client):
    """The negative control: ten intents are ten charges."""
    answers = await asyncio.gather(
        *(client.post("/v1/users/ann/point-charges", charge_body(), key=f"tap-{n}") for n in range(10))
    )
    assert [answer.status_code for answer in answers] == [201] * 10
    assert (await client.get("/v1/users/ann/points")).json()["balance"] == 1000


async def test_a_duplicate_in_flight_waits_for_the_first(client):
    """While the first request is at work a duplicate is not carried out; it waits and gets the same answer."""
    held = Held(client.state.shop, "points")
    first = asyncio.create_task(client.post("/v1/users/ann/point-charges", charge_body(), key="k"))
    await held.arrived.wait()
    second = asyncio.create_task(client.post("/v1/users/ann/point-charges", charge_body(), key="k"))
    await turns_until(lambda: client.state.concurrency.in_flight == 2)
    other = await client.post("/v1/users/ann/point-charges", charge_body(7), key="k")
    assert (other.status_code, other.json()["code"]) == (422, "IDEMPOTENCY_KEY_REUSED")
    held.go.set()
    answers = await asyncio.gather(first, second)
    assert held.executed == 1
    assert answers[0].content == answers[1].content
    assert len(client.state.duplicates) == 0


async def test_a_duplicate_waits_only_so_long(start):
    """A duplicate of a request that takes too long gets 409 IDEMPOTENCY_IN_PROGRESS with Retry-After."""
    async with start(duplicate_wait_s=0.02) as client:
        held = Held(client.state.shop, "points")
        first = asyncio.create_task(client.post("/v1/users/ann/point-charges", charge_body(), key="k"))
        await held.arrived.wait()
        second = await client.post("/v1/users/ann/point-charges", charge_body(), key="k")
        assert (second.status_code, second.json()["code"]) == (409, "IDEMPOTENCY_IN_PROGRESS")
        assert second.json()["retryable"]
        assert int(second.headers["retry-after"]) >= 1
        held.go.set()
        assert (await first).status_code == 201


async def test_a_duplicate_shares_the_first_ones_failure(client):
    """When the first request ends without an outcome, the waiting duplicate is not carried out in its place."""
    held = Held(client.state.shop, "points")
    held.under = Failing(client.state.shop, ValueError("broken"), "stock")
    first = asyncio.create_task(client.post("/v1/users/ann/point-charges", charge_body(), key="k"))
    await held.arrived.wait()
    second = asyncio.create_task(client.post("/v1/users/ann/point-charges", charge_body(), key="k"))
    await turns_until(lambda: client.state.concurrency.in_flight == 2)
    held.go.set()
    answers = await asyncio.gather(first, second)
    assert [answer.status_code for answer in answers] == [500, 500]
    assert held.executed == 1


async def test_a_validation_error_does_not_use_up_the_key(client):
    """A malformed request is not remembered: the corrected one may use the same key."""
    wrong = await client.post("/v1/users/ann/point-charges", charge_body(0), key="k")
    right = await client.post("/v1/users/ann/point-charges", charge_body(5), key="k")
    assert (wrong.status_code, right.status_code) == (400, 201)
    assert "idempotent-replayed" not in right.headers


async def test_a_bare_and_a_quoted_key_are_one(client):
    """The structured string of the IETF draft and the bare form name the same key."""
    bare = await client.post("/v1/users/ann/point-charges", charge_body(), key="k-1")
    quoted = await client.post("/v1/users/ann/point-charges", charge_body(), key='"k-1"')
    assert quoted.headers["idempotent-replayed"] == "true"
    assert quoted.content == bare.content


GOOD = {b"a": "a", b'"a"': "a", b" a b ": "a b", b'"a \\"b\\" \\\\"': 'a "b" \\', b"x" * 255: "x" * 255}
BAD = [b"", b'""', b"x" * 256, b'"x', b'x"', b'a"b', b"\xc3\xa9", b"a\x00b", b"a\tb", b'"a\\n"', b'"\xff"', b'"', b" "]


@pytest.mark.parametrize(("header", "key"), GOOD.items())
def test_keys_that_are_read(header, key):
    """Bare and quoted keys, with escapes, up to the length limit."""
    assert read_key(header) == key
    assert len(key) <= MAX_KEY_LENGTH


@pytest.mark.parametrize("header", BAD)
def test_keys_that_are_refused(header):
    """Empty, too long, half quoted, not ASCII, control characters, unknown escapes: 400 with the code for it."""
    with pytest.raises(ProblemError) as refused:
        read_key(header)
    assert refused.value.code == "IDEMPOTENCY_KEY_INVALID"


async def test_no_key_or_two_keys(client):
    """Every keyed route requires exactly one key."""
    none = await client.send("POST", "/v1/users/ann/point-charges", json=charge_body())
    assert (none.status_code, none.json()["code"]) == (400, "IDEMPOTENCY_KEY_MISSING")
    headers = [("Authorization", f"Bearer {client.token}"), ("Idempotency-Key", "a"), ("Idempotency-Key", "b")]
    two = await client.http.post("/v1/users/ann/point-charges", json=charge_body(), headers=headers)
    assert (two.status_code, two.json()["code"]) == (400, "IDEMPOTENCY_KEY_INVALID")
