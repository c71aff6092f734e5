"""Orders under the strategy `kafka`: taken with 202, seen as PENDING through the signed Location, then as decided."""

import asyncio

import pytest

from stockade.core import Busy, Pending, Unknown
from stockade.shop.http.requests.request_parsing import read_headers
from tests.http.stand_ins import Failing
from tests.http.test_bad_input import assert_problem


@pytest.fixture
async def queued(client):
    """The answer to an order whose outcome did not come in time, and the strategy as it was."""
    (sku,) = await client.product(stock=5)
    before = client.state.shop.strategies["stock"]
    Failing(client.state.shop, Pending("x"))
    answer = await client.order(sku, 2, pay="LATER", key="k")
    client.state.shop.strategies["stock"] = before
    return sku, answer


async def test_a_queued_order_is_accepted_and_can_be_looked_at(client, queued):
    """202 names the order and where to look; there it is PENDING until decided, then what became of it."""
    sku, answer = queued
    assert (answer.status_code, answer.json()["status"]) == (202, "PENDING")
    assert int(answer.headers["retry-after"]) >= 0
    order_id = answer.json()["order_id"]
    seen = await client.get(answer.headers["location"])
    assert (seen.status_code, seen.json()["status"], seen.json()["order_id"]) == (200, "PENDING", order_id)
    again = await client.order(sku, 2, pay="LATER", key="k")
    assert (again.status_code, again.json()["order_id"]) == (201, order_id)
    assert (await client.get(answer.headers["location"])).json()["status"] == "RESERVED"


async def test_nobody_can_make_up_a_queued_order(client, queued):
    """Without the proof, with one changed in any part, or as another user, the order is not there."""
    _, answer = queued
    place, _, proof = answer.headers["location"].partition("?pending=")
    taken, _, signature = proof.partition(".")
    forged = [
        "",
        f"?pending={int(taken) + 1}.{signature}",
        f"?pending={taken}.",
        f"?pending={signature}",
        "?pending=x.y",
    ]
    for query in forged:
        assert_problem(await client.get(place + query), 404, "ORDER_NOT_FOUND")
    other = f"/v1/orders/{'0' * 32}?pending={proof}"
    assert_problem(await client.get(other), 404, "ORDER_NOT_FOUND")
    assert_problem(await client.as_user("bob").get(answer.headers["location"]), 404, "ORDER_NOT_FOUND")


async def test_the_proof_ends_with_the_memory_of_requests(client, queued):
    """After `keep_hours` an order that was never decided is not there any more."""
    _, answer = queued
    order_id = answer.json()["order_id"]
    day_ms = 24 * 3_600_000
    taken_ms = client.state.tokens.proofs.since_ms(answer.headers["location"].partition("pending=")[2], order_id, "ann")
    old = client.state.tokens.proofs.sign(order_id, "ann", taken_ms - day_ms)
    assert_problem(await client.get(f"/v1/orders/{order_id}?pending={old}"), 404, "ORDER_NOT_FOUND")
    young = client.state.tokens.proofs.sign(order_id, "ann", taken_ms - day_ms + 60_000)
    assert (await client.get(f"/v1/orders/{order_id}?pending={young}")).json()["status"] == "PENDING"


async def test_other_commands_are_queued_too(client):
    """A charge that is not decided yet is 202 with the id of the charge, and no Location."""
    Failing(client.state.shop, Pending("x"), "points")
    answer = await client.post("/v1/users/ann/point-charges", {"amount": 5, "method": "INSTANT"})
    assert (answer.status_code, set(answer.json())) == (202, {"status", "charge_id"})
    assert "location" not in answer.headers


ASYNC = {"Prefer": "respond-async"}


class Queue(Failing):
    """A strategy over a log that nobody reads: it takes every command, and decides none."""

    def __init__(self, shop, resource="stock", error=None):
        super().__init__(shop, Pending("x"), resource)
        self.taken, self.fault = [], error

    async def submit(self, command):
        if self.fault is not None:
            raise self.fault
        self.taken.append(command)
        await asyncio.sleep(0)
        return 0.0


async def test_a_client_that_prefers_so_does_not_wait(client):
    """`Prefer: respond-async`: 202 with the place to look as soon as the log has the order, and it says so."""
    (sku,) = await client.product(stock=5)
    queue = Queue(client.state.shop)
    answer = await client.order(sku, pay="LATER", headers=ASYNC)
    assert (answer.status_code, answer.json()["status"]) == (202, "PENDING")
    assert answer.headers["preference-applied"] == "respond-async"
    assert [command.request_id for command in queue.taken] == [answer.json()["order_id"]]
    assert (await client.get(answer.headers["location"])).json()["status"] == "PENDING"
    waited = await client.order(sku, pay="LATER")
    assert waited.status_code == 202
    assert "preference-applied" not in waited.headers
    assert len(queue.taken) == 1


async def test_every_command_with_a_key_can_be_queued_so(client):
    """Charges too; a command without a key is carried out as always, because nobody could query its outcome."""
    (sku,) = await client.product(stock=5)
    points = Queue(client.state.shop, "points")
    body = {"amount": 5, "method": "INSTANT"}
    answer = await client.post("/v1/users/ann/point-charges", body, headers=ASYNC)
    assert (answer.status_code, answer.headers["preference-applied"]) == (202, "respond-async")
    assert answer.json()["charge_id"] == points.taken[0].request_id
    stock = Queue(client.state.shop)
    await client.send("PUT", f"/v1/users/ann/cart/items/{sku}", json={"quantity": 1}, headers=ASYNC)
    assert stock.taken == []


async def test_a_payment_through_a_gateway_is_never_only_queued(start):
    """Whoever claims asks the gateway, so the preference is ignored; a claim that is late in the log is 202."""
    async with start(gateway="toss", gateway_secret="test_sk", gateway_url="http://127.0.0.1:9") as client:
        (sku,) = await client.product(stock=5)
        order = (await client.order(sku, pay="LATER")).json()
        queue = Queue(client.state.shop, "payment")
        body = {"method": "PG", "payment_key": "k", "amount": order["total"]}
        answer = await client.post(f"/v1/orders/{order['order_id']}/payments", body, headers=ASYNC)
        assert (answer.status_code, set(answer.json())) == (202, {"status", "payment_id"})
        assert "preference-applied" not in answer.headers
        assert queue.taken == []


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [(Unknown("not confirmed"), 504, "OUTCOME_UNKNOWN"), (Busy("full", "TOO_MANY_REQUESTS"), 429, "TOO_MANY_REQUESTS")],
)
async def test_what_the_log_did_not_confirm_is_not_accepted(client, error, status, code):
    """No 202 for an order that may not be in the log: unknown is said to be unknown, refused to be refused."""
    (sku,) = await client.product(stock=5)
    Queue(client.state.shop, error=error)
    answer = await client.order(sku, pay="LATER", headers=ASYNC)
    assert_problem(answer, status, code)
    assert "preference-applied" not in answer.headers


async def test_strategies_without_a_log_ignore_the_preference(client):
    """The order is decided and answered as always, and nothing claims otherwise (RFC 7240)."""
    (sku,) = await client.product(stock=5)
    answer = await client.order(sku, pay="LATER", headers=ASYNC)
    assert (answer.status_code, answer.json()["status"]) == (201, "RESERVED")
    assert "preference-applied" not in answer.headers


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        (["respond-async"], True),
        (["return=minimal, Respond-Async"], True),
        (["wait=10", "respond-async; x=y"], True),
        (["respond-asynchronously"], False),
        (['foo="respond-async"'], False),
        ([], False),
    ],
)
def test_the_preference_is_found_among_others(values, wanted):
    """Several preferences, several headers, any case, parameters: as RFC 7240 writes them."""
    assert read_headers({"headers": [(b"prefer", value.encode()) for value in values]}).respond_async is wanted
