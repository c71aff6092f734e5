"""What a gateway reports by itself: early, late, several times, forged, too large. The gateway's count is the judge."""

import asyncio
import hmac
import json
import time
from contextlib import asynccontextmanager, contextmanager
from hashlib import sha256
from urllib.request import Request, urlopen

import pytest
from sqlalchemy import insert, select

from stockade.core import Busy
from stockade.devservers import Servers
from stockade.devservers.gateway import GatewayClient
from stockade.gateways import Capabilities, NotFound, Notification
from stockade.gateways.gateway import MAX_NOTIFICATION_BYTES
from stockade.shop.model.states import AttemptState
from stockade.shop.model.tables import gateway_events
from stockade.shop.payments import NotificationPurge, Notifications
from stockade.shop.payments.notification_purge import KEPT_MS
from stockade.shop.payments.notifications import LOOK_UPS
from stockade.shop.payments.open_payments import OpenAttempt
from stockade.store import Database
from tests.http.test_bad_input import assert_problem
from tests.http.test_payments import paused, reference
from tests.waiting import eventually_async

TOSS = "/v1/pg/webhooks/toss"
STRIPE = "/v1/pg/webhooks/stripe"
SECRET = "whsec_only_for_tests"


async def notify(buyer, about, status="DONE", event="e-1", key="k"):
    """What Toss sends about an order id; it is not signed, so anybody can."""
    data = {"orderId": about, "paymentKey": key, "status": status}
    body = {"eventType": "PAYMENT_STATUS_CHANGED", "createdAt": "2026-03-01T09:30:00+09:00", "data": data}
    return await buyer.http.post(
        TOSS, json=body, headers={"tosspayments-webhook-transmission-id": event.encode("latin-1")}
    )


async def remembered(url, about):
    """How many events about a reference are in the table."""
    database = await Database.open(url)
    try:
        found = select(gateway_events.c.event_id).where(gateway_events.c.reference == about)
        return await database.read(lambda conn: len(conn.execute(found).all()), timeout_s=10)
    finally:
        await database.close()


@contextmanager
def reporting(payable, **behaviour):
    """The gateway sends its notifications to the shop meanwhile."""
    payable.judge.behave(webhook_url=f"{payable.service.url}{TOSS}", **behaviour)
    try:
        yield
    finally:
        payable.judge.behave(webhook_url="", webhook_copies=1, webhook_early=False)


async def test_a_notice_before_the_reply_races_with_it(payable):
    """The gateway reports three times before it replies: charged once, recorded once, and the reply is no replay."""
    async with payable.buyer() as buyer:
        order = await buyer.order()
        with reporting(payable, webhook_copies=3, webhook_early=True):
            paid = await buyer.pay(order)
        assert (paid.status_code, paid.json()["status"]) == (200, "APPROVED")
        assert "idempotent-replayed" not in paid.headers
        payment = await buyer.get(f"/v1/payments/{paid.json()['payment_id']}")
        assert [step["status"] for step in payment["history"]] == ["APPROVING", "APPROVED"]
        assert await buyer.status(order) == "PAID"
    assert payable.judge.count().approved[reference(order)] == [order["total"]]
    assert await remembered(payable.url, reference(order)) == 1


async def test_a_notice_after_a_lost_reply_settles_it(payable):
    """Nobody has to wait for the reconciler; later copies, and a notice about what is paid, look nothing up."""
    async with payable.buyer() as buyer:
        order = await buyer.order()
        assert (await buyer.pay(order, "fault-lost-reply")).status_code == 202
        assert (await notify(buyer, reference(order), event="lost")).status_code == 200
        assert await buyer.status(order) == "PAID"
        with paused(payable.gateway):  # a look-up would not end
            for event in ("lost", "lost", "another"):
                answer = await notify(buyer, reference(order), event=event)
                assert (answer.status_code, answer.json()) == (200, {"received": True})
    assert payable.judge.count().approved[reference(order)] == [order["total"]]
    assert await remembered(payable.url, reference(order)) == 1


async def test_a_forged_notice_pays_nothing(payable):
    """Anybody can say that an order was paid; the gateway is asked, and says that it was not."""
    async with payable.buyer() as buyer:
        order = await buyer.order()
        assert (await notify(buyer, reference(order), event="too-early")).status_code == 200
        assert await buyer.status(order) == "RESERVED"
        with paused(payable.gateway):
            paying = asyncio.create_task(buyer.pay(order, "fault-decline"))
            await eventually_async(lambda: _is_paying(buyer, order))
        await paying
        for status, code in (("DONE", 200), ("CANCELED", 429)):  # the second one comes too soon
            assert (await notify(buyer, reference(order), status, event=status)).status_code == code
        assert await buyer.status(order) == "RESERVED"
    assert reference(order) not in payable.judge.count().approved
    assert await remembered(payable.url, reference(order)) == 0


async def _is_paying(buyer, order):
    return await buyer.status(order) == "PAYING"


async def test_an_approval_after_a_decline_is_given_back(payable):
    """The gateway declines, approves the same order id afterwards and reports it: nothing is kept of that."""
    async with payable.buyer() as buyer:
        order = await buyer.order()
        declined = await buyer.pay(order, "fault-decline")
        assert_problem(declined, 402, "PAYMENT_DECLINED")
        body = {"orderId": reference(order), "paymentKey": f"late-{order['order_id']}", "amount": order["total"]}
        late = Request(f"{payable.gateway.url}/v1/payments/confirm", json.dumps(body).encode())
        late.add_header("authorization", "Basic eDo=")
        await asyncio.to_thread(lambda: urlopen(late, timeout=10).close())
        for copy in range(3):
            told = await notify(buyer, reference(order), event=f"late-{copy}", key=body["paymentKey"])
            assert told.status_code == 200
        place = f"/v1/payments/{declined.json()['payment_id']}"
        await eventually_async(lambda: _given_back(buyer, place))
        assert await buyer.status(order) == "RESERVED"
    count = payable.judge.count()
    assert count.approved[reference(order)] == count.refunded[reference(order)] == [order["total"]]


async def _given_back(buyer, place):
    payment = await buyer.get(place)
    return payment["status"] == "UNFULFILLABLE" and payment["refunds"][0]["status"] == "REFUNDED"


async def test_what_is_no_notice_is_refused(payable):
    """Unreadable, too large, for another gateway, with another method: refused; about unknown orders: ignored."""
    async with payable.buyer() as buyer:
        assert_problem(await buyer.http.post(TOSS, content=b"hello"), 401, "BAD_SIGNATURE")
        assert_problem(await buyer.http.post(TOSS, content=b" " * (MAX_NOTIFICATION_BYTES + 1)), 413, "BODY_TOO_LARGE")
        assert_problem(await buyer.http.post(STRIPE, json={}), 404, "GATEWAY_NOT_FOUND")
        assert_problem(await buyer.http.post(f"{TOSS}%20", json={}), 400, "INVALID_REQUEST")
        assert_problem(await buyer.http.get(TOSS), 405, "METHOD_NOT_ALLOWED")
        with paused(payable.gateway):
            for about in ("0" * 32 + "-1", "a\0b", "우유", "x" * 5_000, ""):
                assert (await notify(buyer, about, event=f"\xe9{about[:9].encode().hex()}")).status_code == 200


@pytest.fixture
def gateway():
    """A gateway of one test, which may behave in any way."""
    with Servers() as servers:
        yield servers.gateway()


@asynccontextmanager
async def stripe_shop(start, gateway, secrets=SECRET):
    """A shop in process under the gateway that signs, and an order that it does not know the outcome of."""
    key = {"gateway": "stripe", "gateway_secret": "sk_test_x", "gateway_url": gateway.url}
    async with start(**key, gateway_webhook_secrets=secrets) as client:
        (sku,) = await client.product()
        order = (await client.order(sku, pay="LATER")).json()
        body = {"method": "PG", "payment_key": "fault-lost-reply", "amount": order["total"]}
        assert (await client.post(f"/v1/orders/{order['order_id']}/payments", body)).status_code == 202
        yield client, order


def event_of(order, *, at_s=None, secret=SECRET, event="evt_1", amount=None):
    """The body and the header of an event that says that an order was paid."""
    at_s = int(time.time()) if at_s is None else at_s
    about = {"id": "pi_1", "object": "payment_intent", "currency": "krw", "status": "succeeded"}
    about |= {"amount_received": amount or order["total"], "metadata": {"reference": reference(order)}}
    body = json.dumps({"id": event, "type": "payment_intent.succeeded", "created": at_s, "data": {"object": about}})
    signature = hmac.new(secret.encode(), f"{at_s}.{body}".encode(), sha256).hexdigest()
    return {"content": body, "headers": {"stripe-signature": f"t={at_s},v1={signature}"}}


async def deliver(client, message):
    return await client.send("POST", STRIPE, token="", **message)


async def _status(client, order):
    return (await client.get(f"/v1/orders/{order['order_id']}")).json()["status"]


async def test_only_what_the_gateway_signed_counts(start, gateway, sqlite_url):
    """Unsigned, signed by others, changed, or old: 401, and nothing happens. Signed, also by the next secret: paid."""
    async with stripe_shop(start, gateway, f"whsec_next_secret,{SECRET}") as (client, order):
        good = event_of(order)
        forged = [
            {"content": good["content"]},
            event_of(order, secret="whsec_of_somebody"),
            {**good, "content": good["content"].replace("evt_1", "evt_2")},
            event_of(order, at_s=int(time.time()) - 3_600),
        ]
        for message in forged:
            assert_problem(await deliver(client, message), 401, "BAD_SIGNATURE")
        assert await _status(client, order) == "PAYING"
        for message in (good, good, event_of(order, secret="whsec_next_secret", event="evt_3")):
            assert (await deliver(client, message)).status_code == 200
        assert await _status(client, order) == "PAID"
    assert GatewayClient(gateway.url).count().approved[reference(order)] == [order["total"]]
    assert await remembered(sqlite_url, reference(order)) == 2


async def test_another_amount_than_was_asked_for_is_given_back(start, gateway):
    """A signed notice of another amount pays nothing: the payment is undone, and a refund is owed."""
    async with stripe_shop(start, gateway) as (client, order):
        assert (await deliver(client, event_of(order, amount=order["total"] - 1))).status_code == 200
        assert await _status(client, order) == "RESERVED"


async def test_a_crash_before_the_event_is_remembered_repeats_it(start, gateway, sqlite_url, monkeypatch):
    """What was acted on and not remembered comes again, changes nothing, and is remembered then."""
    async with stripe_shop(start, gateway) as (client, order):

        async def lost(*_):
            raise Busy("the process ends here", "DEPENDENCY_DOWN")

        with monkeypatch.context() as crash:
            crash.setattr(Notifications, "_remember", lost)
            assert_problem(await deliver(client, event_of(order)), 503, "DEPENDENCY_DOWN")
        assert await _status(client, order) == "PAID"
        assert await remembered(sqlite_url, reference(order)) == 0
        assert (await deliver(client, event_of(order))).status_code == 200
        assert await remembered(sqlite_url, reference(order)) == 1
        history = (await client.get(f"/v1/orders/{order['order_id']}")).json()["history"]
    assert [step["status"] for step in history] == ["RESERVED", "PAYING", "PAID"]


class Silent:
    """A gateway without signatures whose look-ups end when they are told to."""

    name = "silent"
    capabilities = Capabilities(0, look_up=True, signed_notifications=False)

    def __init__(self):
        self.gateway = self.calls = self
        self.go, self.asked = asyncio.Event(), 0

    def read_notification(self, headers, body):
        return Notification("e", body.decode(), "", None)

    async def look_up(self, reference, gateway_id="", payment_key=""):
        self.asked += 1
        await self.go.wait()
        return NotFound()

    async def bounded(self, call, about):
        return await call


async def test_strangers_cannot_make_many_look_ups():
    """So many at once, one for each payment; what is more is told to come again, and nothing is left behind."""
    gateway, ids = Silent(), iter(range(10_000))
    state = AttemptState(*[""] * len(AttemptState._fields))._replace(gateway="silent", status="UNKNOWN")

    async def read(query):
        return OpenAttempt(str(next(ids)), state, wanted=True), False

    notifications = Notifications(gateway, read, None)
    looking = [asyncio.create_task(notifications.take({}, b"r-1")) for _ in range(LOOK_UPS)]
    await eventually_async(lambda: _asked(gateway, LOOK_UPS))
    with pytest.raises(Busy) as busy:
        await notifications.take({}, b"r-2")
    assert (busy.value.code, gateway.asked) == ("TOO_MANY_REQUESTS", LOOK_UPS)
    gateway.go.set()
    await asyncio.gather(*looking)
    await notifications.take({}, b"r-2")
    assert gateway.asked == LOOK_UPS + 1
    gateway.go.clear()
    ids = iter([20_000] * 2)
    first = asyncio.create_task(notifications.take({}, b"r-3"))
    await eventually_async(lambda: _asked(gateway, LOOK_UPS + 2))
    with pytest.raises(Busy):
        await notifications.take({}, b"r-3")
    gateway.go.set()
    await first


async def _asked(gateway, times):
    return gateway.asked == times


async def test_old_notifications_are_forgotten(sqlite_url):
    """What is older than 30 days goes, of every gateway; the younger stays, also under the same event id."""
    database = await Database.open(sqlite_url)
    now_ms = 10 * KEPT_MS
    rows = [("toss", now_ms - KEPT_MS - 1), ("toss", now_ms - KEPT_MS), ("stripe", 0), ("stripe", now_ms)]
    values = [{"gateway": g, "event_id": "e", "reference": f"{g}-{ms}", "received_ms": ms} for g, ms in rows]
    values[-1]["event_id"] = "e-young"
    for number, each in enumerate(values[:-1]):
        each["event_id"] += str(number)
    await database.write(lambda conn: conn.execute(insert(gateway_events), values), timeout_s=10)
    purge = NotificationPurge(database, lambda: now_ms)
    assert [await purge.once(), await purge.once()] == [{"deleted": 2}, {"deleted": 0}]
    left = await database.read(
        lambda conn: conn.execute(select(gateway_events.c.event_id)).scalars().all(), timeout_s=9
    )
    assert sorted(left) == ["e-young", "e1"]
    await database.close()
