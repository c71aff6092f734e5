"""Payments over real HTTP, a served shop and a real gateway process, whose count is the judge."""

import asyncio
from collections import Counter
from contextlib import contextmanager

from stockade.devservers import Servers
from stockade.devservers.gateway import GatewayClient
from stockade.gateways import Approval, Money
from stockade.shop.commands import ClaimPayment
from stockade.shop.payments import Payments
from tests.http.test_bad_input import assert_problem
from tests.waiting import eventually_async

DEVICES = 10


@contextmanager
def paused(gateway):
    """The gateway answers nobody until the end."""
    gateway.pause()
    try:
        yield
    finally:
        gateway.resume()


def reference(order, number=1):
    return f"{order['order_id']}-{number}"


async def test_an_order_is_paid_once(payable):
    """An order names what the gateway's page needs; it is charged once, whichever key comes after, and says so."""
    async with payable.buyer() as buyer:
        order = await buyer.order()
        assert order["pg_order_id"] == reference(order)
        assert (await buyer.get(f"/v1/orders/{order['order_id']}"))["pg_order_id"] == reference(order)
        paid = await buyer.pay(order, "card", key=order["order_id"])
        assert (paid.status_code, paid.json()["status"]) == (200, "APPROVED")
        assert "idempotent-replayed" not in paid.headers
        shown = await buyer.get(f"/v1/orders/{order['order_id']}")
        assert (shown["status"], shown["payment_id"]) == ("PAID", paid.json()["payment_id"])
        assert not {"pg_order_id", "reserved_until"} & set(shown)
        payment = await buyer.get(f"/v1/payments/{shown['payment_id']}")
        assert (payment["status"], payment["approvals"], payment["order_id"]) == ("APPROVED", 1, order["order_id"])
        assert_problem(await buyer.pay(order), 409, "ALREADY_PAID")
    assert payable.judge.count().approved[reference(order)] == [order["total"]]


async def test_a_repeated_key_is_the_first_answer(payable):
    """The same request is replayed byte for byte; with other content, or another method, it is refused."""
    async with payable.buyer() as buyer:
        order = await buyer.order()
        path = f"/v1/orders/{order['order_id']}/payments"
        body = {"method": "PG", "payment_key": f"card-{order['order_id']}", "amount": order["total"]}
        first = await buyer.post(path, body, "again" + order["order_id"])
        second = await buyer.post(path, body, "again" + order["order_id"])
        assert (second.status_code, second.content) == (first.status_code, first.content)
        assert second.headers["idempotent-replayed"] == "true"
        for other in ({**body, "payment_key": "x"}, {"method": "POINTS"}):
            answer = await buyer.post(path, other, "again" + order["order_id"])
            assert_problem(answer, 422, "IDEMPOTENCY_KEY_REUSED")
        # the other way round: a key that was refused with points does not reach the gateway
        unpaid = await buyer.order(quantity=5_000)
        path, key = f"/v1/orders/{unpaid['order_id']}/payments", "points" + unpaid["order_id"]
        assert_problem(await buyer.post(path, {"method": "POINTS"}, key), 409, "INSUFFICIENT_POINTS")
        answer = await buyer.post(path, {**body, "amount": unpaid["total"]}, key)
        assert_problem(answer, 422, "IDEMPOTENCY_KEY_REUSED")
        await buyer.post(f"/v1/orders/{unpaid['order_id']}/cancel", {"reason": ""})
    assert reference(unpaid) not in payable.judge.count().approved


async def test_another_amount_is_refused(payable):
    """The gateway is not asked for another amount than what is owed; the order can still be paid."""
    async with payable.buyer() as buyer:
        order = await buyer.order()
        asked = payable.judge.count().requests
        answer = await buyer.pay(order, amount=order["total"] - 1)
        assert_problem(answer, 422, "AMOUNT_MISMATCH")
        assert (answer.json()["expected"], answer.json()["amount"]) == (order["total"], order["total"] - 1)
        assert payable.judge.count().requests == asked
        assert (await buyer.pay(order)).status_code == 200


async def test_a_decline_lets_another_card_be_tried(payable):
    """402 with the gateway's code, replayed as it was; the next attempt has the next reference."""
    async with payable.buyer() as buyer:
        order = await buyer.order()
        body = {"method": "PG", "payment_key": f"fault-decline-{order['order_id']}", "amount": order["total"]}
        path = f"/v1/orders/{order['order_id']}/payments"
        declined = await buyer.post(path, body, "first" + order["order_id"])
        assert_problem(declined, 402, "PAYMENT_DECLINED")
        assert declined.json()["decline_code"] == "REJECT_CARD_PAYMENT"
        again = await buyer.post(path, body, "first" + order["order_id"])
        assert (again.content, again.headers["idempotent-replayed"]) == (declined.content, "true")
        shown = await buyer.get(f"/v1/orders/{order['order_id']}")
        assert (shown["status"], shown["pg_order_id"]) == ("RESERVED", reference(order, 2))
        assert (await buyer.pay(order)).status_code == 200
    count = payable.judge.count()
    assert reference(order) in count.declined
    assert count.approved[reference(order, 2)] == [order["total"]]


async def test_a_lost_reply_is_found_out(payable):
    """202 with the place to look, and no second payment meanwhile, under any key; then it is paid, charged once."""
    async with payable.buyer() as buyer:
        order = await buyer.order()
        body = {"method": "PG", "payment_key": f"fault-lost-reply-{order['order_id']}", "amount": order["total"]}
        path, key = f"/v1/orders/{order['order_id']}/payments", "lost" + order["order_id"]
        first = await buyer.post(path, body, key)
        assert (first.status_code, first.json()["status"]) == (202, "UNKNOWN")
        assert int(first.headers["retry-after"]) >= 1
        place = first.headers["location"]
        assert place == f"/v1/payments/{first.json()['payment_id']}"
        assert_problem(await buyer.pay(order), 409, "PAYMENT_IN_PROGRESS")
        again = await buyer.post(path, body, key)
        assert (again.status_code, again.content) == (202, first.content)
        await eventually_async(lambda: _is(buyer, place, "APPROVED"))
        assert await buyer.status(order) == "PAID"
        last = await buyer.post(path, body, key)
        assert (last.status_code, last.json()["status"], last.headers["idempotent-replayed"]) == (
            200,
            "APPROVED",
            "true",
        )
    assert payable.judge.count().approved[reference(order)] == [order["total"]]


async def _is(buyer, path, status):
    return (await buyer.get(path))["status"] == status


async def test_while_the_gateway_is_asked(payable):
    """The order is PAYING, also in lists; a second device is refused, a double click waits, and one charge is made."""
    async with payable.buyer() as buyer, payable.buyer() as tablet:
        order = await buyer.order()
        body = {"method": "PG", "payment_key": f"card-{order['order_id']}", "amount": order["total"]}
        path = f"/v1/orders/{order['order_id']}/payments"
        with paused(payable.gateway):
            first = asyncio.create_task(buyer.post(path, body, "click" + order["order_id"]))
            await eventually_async(lambda: _is(tablet, f"/v1/orders/{order['order_id']}", "PAYING"))
            assert_problem(await tablet.pay(order), 409, "PAYMENT_IN_PROGRESS")
            double = await tablet.post(path, body, "click" + order["order_id"])
            assert_problem(double, 409, "IDEMPOTENCY_IN_PROGRESS")
            shown = await tablet.get(f"/v1/orders/{order['order_id']}")
            assert not {"pg_order_id", "reserved_until"} & set(shown)
            assert (await tablet.get(f"/v1/payments/{shown['payment_id']}"))["status"] == "APPROVING"
            listed = await tablet.get("/v1/users/user-1/orders?limit=1")
            assert listed["items"][0]["status"] == "PAYING"
            assert not first.done()
        assert (await first).status_code == 200
    assert payable.judge.count().approved[reference(order)] == [order["total"]]


async def test_devices_that_return_at_once(payable):
    """Ten devices with ten keys and ten cards: one is charged, the others are told why not."""
    async with payable.buyer() as buyer:
        order = await buyer.order()
        answers = await asyncio.gather(*(buyer.pay(order) for _ in range(DEVICES)))
    ends = Counter(each.json().get("code", each.status_code) for each in answers)
    assert ends[200] == 1
    assert ends["PAYMENT_IN_PROGRESS"] + ends["ALREADY_PAID"] == DEVICES - 1
    assert payable.judge.count().approved[reference(order)] == [order["total"]]


async def test_a_charge_of_points(payable):
    """READY with what the page needs, confirmed once; the points are there, and nobody else sees the charge."""
    async with payable.buyer() as buyer, payable.buyer("user-2") as other:
        before = (await buyer.get("/v1/users/user-1/points"))["balance"]
        opened = await buyer.post("/v1/users/user-1/point-charges", {"amount": 7_000, "method": "PG"})
        charge = opened.json()
        assert (opened.status_code, charge["status"]) == (201, "READY")
        place = f"/v1/point-charges/{charge['charge_id']}"
        assert (await buyer.get(place))["pg_order_id"] == charge["pg_order_id"] == f"{charge['charge_id']}-1"
        assert_problem(await other.http.get(place), 404, "CHARGE_NOT_FOUND")
        body = {"payment_key": f"card-{charge['charge_id']}", "amount": 7_000}
        assert_problem(await other.post(f"{place}/confirm", body), 404, "CHARGE_NOT_FOUND")
        assert_problem(await buyer.post(f"{place}/confirm", {**body, "amount": 1}), 422, "AMOUNT_MISMATCH")
        answers = await asyncio.gather(*(buyer.post(f"{place}/confirm", body) for _ in range(DEVICES)))
        (confirmed,) = [each for each in answers if each.status_code == 200]
        assert (confirmed.json()["status"], confirmed.json()["balance"]) == ("APPROVED", before + 7_000)
        shown = await buyer.get(place)
        assert (shown["status"], shown["payment_id"]) == ("APPROVED", confirmed.json()["payment_id"])
        assert [step["status"] for step in shown["history"]] == ["READY", "APPROVING", "APPROVED"]
        assert (await buyer.get("/v1/users/user-1/points"))["balance"] == before + 7_000
    assert payable.judge.count().approved[charge["pg_order_id"]] == [7_000]


async def test_a_cancellation_gives_the_money_back(payable):
    """Of a paid order at once; of one that is being paid, once the gateway has approved, and the payer is told."""
    async with payable.buyer() as buyer, payable.buyer() as tablet:
        order = await buyer.order()
        await buyer.pay(order)
        cancelled = await buyer.post(f"/v1/orders/{order['order_id']}/cancel", {"reason": "wrong size"})
        assert cancelled.status_code == 200
        assert [each["status"] for each in cancelled.json()["refunds"]] == ["REFUNDED"]
        racing = await buyer.order()
        with paused(payable.gateway):
            paying = asyncio.create_task(buyer.pay(racing))
            await eventually_async(lambda: _is(tablet, f"/v1/orders/{racing['order_id']}", "PAYING"))
            cancelled = await tablet.post(f"/v1/orders/{racing['order_id']}/cancel", {"reason": "too late"})
            (open_,) = cancelled.json()["refunds"]
            assert (cancelled.status_code, open_["status"], open_["amount"]) == (202, "UNKNOWN", racing["total"])
        answer = await paying
        assert_problem(answer, 409, "PAYMENT_UNFULFILLABLE")
        place = f"/v1/payments/{answer.json()['payment_id']}"
        await eventually_async(lambda: _refunded(buyer, place))
    count = payable.judge.count()
    for each in (order, racing):
        assert count.approved[reference(each)] == count.refunded[reference(each)] == [each["total"]]


async def _refunded(buyer, place):
    return [each["status"] for each in (await buyer.get(place))["refunds"]] == ["REFUNDED"]


async def test_without_the_claim_the_losers_are_charged(start, monkeypatch):
    """The control: a service that asks before it claims charges every device that returns at once."""
    execute = Payments.execute

    async def ask_first(self, command):
        if isinstance(command, ClaimPayment):
            name = f"{command.subject_id}-1"
            money = Money(command.amount, command.currency)
            await self.gateway.approve(Approval(name, command.payment_id, command.payment_key, money))
        return await execute(self, command)

    monkeypatch.setattr(Payments, "execute", ask_first)
    with Servers() as servers:
        gateway = servers.gateway()
        key = {"gateway": "toss", "gateway_secret": "test_sk", "gateway_url": gateway.url}
        async with start(**key) as client:
            (sku,) = await client.product()
            order = (await client.order(sku, pay="LATER")).json()
            bodies = [{"method": "PG", "payment_key": f"card-{n}", "amount": order["total"]} for n in range(DEVICES)]
            path = f"/v1/orders/{order['order_id']}/payments"
            await asyncio.gather(*(client.post(path, each) for each in bodies))
        assert len(GatewayClient(gateway.url).count().approved[reference(order)]) == DEVICES


async def test_a_process_without_a_gateway_answers_for_a_known_key(start):
    """Its payment may be charged: the repeated key gets 202 with its place; another key learns that none was asked."""
    body = {"method": "PG", "payment_key": "fault-lost-reply", "amount": 0}
    with Servers() as servers:
        key = {"gateway": "toss", "gateway_secret": "test_sk", "gateway_url": servers.gateway().url}
        async with start(**key) as client:
            (sku,) = await client.product()
            order = (await client.order(sku, pay="LATER")).json()
            path, body["amount"] = f"/v1/orders/{order['order_id']}/payments", order["total"]
            first = await client.post(path, body, key="pay")
            assert first.status_code == 202
    async with start() as client:
        again = await client.post(path, body, key="pay")
        assert (again.status_code, again.headers["location"]) == (202, first.headers["location"])
        assert_problem(await client.post(path, body, key="new"), 404, "GATEWAY_NOT_FOUND")
        assert_problem(await client.post(path, {**body, "amount": 1}, key="pay"), 422, "IDEMPOTENCY_KEY_REUSED")
