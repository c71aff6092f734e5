"""Orders under a queue strategy: taken with 202, seen as PENDING through the signed Location, then as decided."""

import pytest

from stockade.core import Pending
from tests.http.stand_ins import Failing
from tests.http.test_bad_input import assert_problem


@pytest.fixture
async def queued(client):
    """The answer to an order whose outcome did not come in time, and the strategy as it was."""
    (sku,) = await client.product(stock=5)
    before = client.desk.shop.strategies["stock"]
    Failing(client.desk.shop, Pending("x"))
    answer = await client.order(sku, 2, pay="LATER", key="k")
    client.desk.shop.strategies["stock"] = before
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
    taken_ms = client.desk.tokens.promised_ms(answer.headers["location"].partition("pending=")[2], order_id, "ann")
    old = client.desk.tokens.promise(order_id, "ann", taken_ms - day_ms)
    assert_problem(await client.get(f"/v1/orders/{order_id}?pending={old}"), 404, "ORDER_NOT_FOUND")
    young = client.desk.tokens.promise(order_id, "ann", taken_ms - day_ms + 60_000)
    assert (await client.get(f"/v1/orders/{order_id}?pending={young}")).json()["status"] == "PENDING"


async def test_other_commands_are_queued_too(client):
    """A charge that is not decided yet is 202 with the id of the charge, and no Location."""
    Failing(client.desk.shop, Pending("x"), "points")
    answer = await client.post("/v1/users/ann/point-charges", {"amount": 5, "method": "INSTANT"})
    assert (answer.status_code, set(answer.json())) == (202, {"status", "charge_id"})
    assert "location" not in answer.headers
