"""Cancelling lines of an order over HTTP, paid with points and through a payment gateway."""

import pytest

from stockade.devservers import Servers
from stockade.devservers.gateway import GatewayClient
from stockade.shop.audit import audit


async def test_lines_are_cancelled_one_after_the_other(client):
    """Units, then a line, then the rest: each answer, the order's page, and the audit in the end."""
    first, second = await client.product(stock=9, price=1500, skus=2)
    await client.charge(100_000)
    lines = [{"sku_id": first, "quantity": 3}, {"sku_id": second, "quantity": 2}]
    order = (await client.post("/v1/orders", {"lines": lines, "pay": "POINTS"})).json()
    path = f"/v1/orders/{order['order_id']}"
    body = {"lines": [{"sku_id": first, "quantity": 2}], "reason": "two too many"}
    done = await client.post(f"{path}/lines/cancel", body, key="two")
    assert (done.status_code, done.json()["status"]) == (200, "PAID")
    assert done.json()["lines"] == [{"sku_id": first, "quantity": 2, "amount": 3000}]
    assert [(each["method"], each["amount"]) for each in done.json()["refunds"]] == [("POINTS", 3000)]
    assert (await client.post(f"{path}/lines/cancel", body, key="two")).json() == done.json()
    seen = (await client.get(path)).json()
    assert [line.get("cancelled", 0) for line in seen["lines"]] == [2, 0]
    assert (seen["total"], seen["cancelled"], seen["refunded"]) == (7500, 3000, 3000)
    assert [step["status"] for step in seen["history"]] == ["PAID"]
    refused = await client.post(f"{path}/lines/cancel", body)
    assert (refused.status_code, refused.json()["code"]) == (409, "STATE_CONFLICT")
    assert refused.json()["lines_left"] == [{"sku_id": first, "requested": 2, "left": 1}]
    rest = {"lines": [{"sku_id": first}, {"sku_id": second}], "reason": ""}
    assert (await client.post(f"{path}/lines/cancel", rest)).json()["status"] == "CANCELLED"
    assert (await client.get("/v1/users/ann/points")).json()["balance"] == 100_000
    assert (await client.get(f"/v1/skus/{first}/stock")).json()["available"] == 9
    assert await client.state.shop.read(audit) == []


async def test_what_cannot_be_cancelled(client):
    """A stranger, a SKU that was not ordered, no lines, and one line twice."""
    (sku,) = await client.product()
    path = f"/v1/orders/{(await client.order(sku, 2, pay='LATER')).json()['order_id']}/lines/cancel"
    one = {"sku_id": sku, "quantity": 1}
    for caller, lines, status, code in (
        (client.as_user("bob"), [one], 404, "ORDER_NOT_FOUND"),
        (client, [{"sku_id": "other"}], 404, "SKU_NOT_FOUND"),
        (client, [], 400, "INVALID_REQUEST"),
        (client, [one, one], 400, "INVALID_REQUEST"),
        (client, [{"sku_id": sku, "quantity": 0}], 400, "INVALID_REQUEST"),
    ):
        refused = await caller.post(path, {"lines": lines, "reason": ""})
        assert (refused.status_code, refused.json()["code"]) == (status, code), lines


@pytest.fixture(scope="module")
def gateway_url():
    """The test gateway."""
    with Servers() as servers:
        yield servers.gateway().url


async def test_a_gateway_gives_back_exactly_the_lines(start, gateway_url):
    """Two refunds of a part, then the rest; together they are what was charged, and 202 while one is not certain."""
    gateway = GatewayClient(gateway_url)
    settings = {"gateway": "toss", "gateway_secret": "test_sk_x", "gateway_url": gateway_url, "gateway_call_s": 2.0}
    async with start(**settings) as client:
        (sku,) = await client.product(stock=20, price=1000)
        order_id = (await client.order(sku, 5, pay="LATER")).json()["order_id"]
        path = f"/v1/orders/{order_id}"
        assert (await cancel(client, path, sku, 1)).json()["refunds"] == []
        pay = {"method": "PG", "payment_key": "lines-1", "amount": 5000}
        assert (await client.post(f"{path}/payments", pay)).json()["code"] == "AMOUNT_MISMATCH"
        paid = await client.post(f"{path}/payments", {**pay, "amount": 4000})
        assert paid.status_code == 200, paid.text
        for units, amount, fault in ((1, 1000, ""), (2, 2000, "lost-reply"), (None, 1000, "")):
            gateway.behave(faults={fault: 1.0} if fault else {})
            done = await cancel(client, path, sku, units)
            assert done.status_code == (202 if fault else 200), done.text
            (refund,) = done.json()["refunds"]
            status = "UNKNOWN" if fault else "REFUNDED"
            assert (refund["method"], refund["amount"], refund["status"]) == ("PG", amount, status)
        payment = (await client.get(f"/v1/payments/{paid.json()['payment_id']}")).json()
        assert (payment["status"], payment["approvals"]) == ("CANCELLED", 1)
        assert sorted(each["amount"] for each in payment["refunds"]) == [1000, 1000, 2000]
        seen = (await client.get(path)).json()
        assert (seen["status"], seen["cancelled"], seen["refunded"]) == ("CANCELLED", 5000, 4000)
        assert (await client.get(f"/v1/skus/{sku}/stock")).json()["available"] == 20
        found = {each.rule for each in await client.state.shop.read(audit)}
        assert not found, found
        assert sorted(next(iter(gateway.count().refunded.values()))) == [1000, 1000, 2000]


async def cancel(client, path, sku, units):
    """Cancel units of a SKU; None: the whole line."""
    line = {"sku_id": sku} if units is None else {"sku_id": sku, "quantity": units}
    return await client.post(f"{path}/lines/cancel", {"lines": [line], "reason": "too many"})
