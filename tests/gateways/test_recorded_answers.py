"""The adapters against recorded shapes of real answers: only what is known to be definite is a yes or a no."""

import hmac
import json
from hashlib import sha256

import httpx
import pytest

from stockade.gateways import (
    Approval,
    Approved,
    BadNotification,
    Declined,
    Money,
    NotAsked,
    NotFound,
    Refund,
    Refunded,
    RefundFailed,
    Unknown,
)
from stockade.gateways.http_client import HttpClient, Limits, Reply
from stockade.gateways.stripe import Stripe, _failed
from stockade.gateways.toss import _DEFINITE, Toss, _payment

APPROVAL = Approval("order-0001-1", "order-0001-1", "pm_card_visa", Money(15_000), "three books")
REFUND = Refund("pi_3MtwBwLkdIwHu7ix28a3tqPa", "refund-0001", "refund-0001", Money(1_000), "too late")
INTENT = {
    "id": "pi_3MtwBwLkdIwHu7ix28a3tqPa",
    "object": "payment_intent",
    "amount": 15_000,
    "amount_received": 15_000,
    "currency": "krw",
    "latest_charge": "ch_3MtwBwLkdIwHu7ix0",
    "metadata": {"reference": "order-0001-1"},
    "next_action": None,
    "status": "succeeded",
}
UNPAID = {**INTENT, "amount_received": 0, "latest_charge": None}
STRIPE_REFUND = {
    "id": "re_1Nispe2eZvKYlo2Cd31jOCgZ",
    "object": "refund",
    "amount": 1_000,
    "currency": "krw",
    "failure_reason": None,
    "payment_intent": INTENT["id"],
    "status": "succeeded",
}
TOSS_PAYMENT = {
    "mId": "tosspayments",
    "paymentKey": "5zJ4xY7m0kODnyRpQWGrN2xqGlNvLrKwv1M9ENjbeoPaZdL6",
    "orderId": "order-0001-1",
    "currency": "KRW",
    "method": "카드",
    "status": "DONE",
    "totalAmount": 15_000,
    "balanceAmount": 15_000,
    "cancels": None,
    "failure": None,
}
CANCEL = {
    "cancelAmount": 1_000,
    "cancelReason": "too late [refund-0001]",
    "transactionKey": "T1",
    "cancelStatus": "DONE",
}


def stripe_error(kind, code=None, **more):
    """A body of Stripe about an error."""
    return {"error": {"type": kind, "code": code, "message": "for the developer", **more}}


async def replying(gateway, *replies):
    """A gateway whose server gives these replies in turn: a status and a body."""
    waiting = list(replies)

    def reply(request):
        status, body = waiting.pop(0)
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return httpx.Response(status, content=content, headers={"content-type": "application/json"})

    await gateway.close()
    transport = httpx.MockTransport(reply)
    if isinstance(gateway, Stripe):
        gateway._http._client_async = httpx.AsyncClient(transport=transport)
    else:
        gateway._client = HttpClient("http://gateway", Limits(), transport)
    return gateway


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (200, INTENT, Approved(INTENT["id"], Money(15_000))),
        (200, {**INTENT, "metadata": {"reference": "another"}}, Unknown),
        (200, {**UNPAID, "status": "requires_action"}, Unknown),
        (200, {**UNPAID, "status": "processing"}, Unknown),
        (200, {**UNPAID, "status": "canceled"}, Declined("canceled")),
        (
            402,
            stripe_error("card_error", "card_declined", decline_code="insufficient_funds", payment_intent=UNPAID),
            Declined("insufficient_funds"),
        ),
        (
            402,
            stripe_error("card_error", "authentication_required", payment_intent=UNPAID),
            Declined("authentication_required"),
        ),
        (402, stripe_error("card_error", "expired_card"), Declined("expired_card")),
        (409, stripe_error("idempotency_error", "idempotency_key_in_use"), Unknown),
        (400, stripe_error("idempotency_error"), Unknown),
        (409, stripe_error("invalid_request_error", "lock_timeout"), Unknown),
        (429, stripe_error("invalid_request_error", "rate_limit"), Unknown),
        (400, stripe_error("invalid_request_error", "amount_too_small"), Declined("amount_too_small")),
        (400, stripe_error("invalid_request_error", "a_new_code"), Unknown),
        (401, stripe_error("invalid_request_error"), NotAsked),
        (403, stripe_error("invalid_request_error"), NotAsked),  # the key may not do this
        (500, stripe_error("api_error"), Unknown),
        (502, b"<html>Bad Gateway</html>", Unknown),
        (200, b"{", Unknown),
    ],
)
async def test_approvals_of_stripe(status, body, expected):
    """A card's refusal is definite; an error about a key, a lock or the service, and a second step, are not."""
    gateway = await replying(Stripe("sk_test", url="http://gateway"), (status, body))
    answer = await gateway.approve(APPROVAL)
    await gateway.close()
    assert answer == expected if not isinstance(expected, type) else isinstance(answer, expected), answer


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (200, STRIPE_REFUND, Refunded(STRIPE_REFUND["id"], Money(1_000))),
        (200, {**STRIPE_REFUND, "status": "pending"}, Refunded(STRIPE_REFUND["id"], Money(1_000))),
        (200, {**STRIPE_REFUND, "status": "failed", "failure_reason": "declined"}, Declined("declined")),
        (400, stripe_error("invalid_request_error", "charge_already_refunded"), Declined("charge_already_refunded")),
        (409, stripe_error("idempotency_error", "idempotency_key_in_use"), Unknown),
        (500, stripe_error("api_error"), Unknown),
    ],
)
async def test_refunds_of_stripe(status, body, expected):
    """A refund that was made counts; a refusal is definite; an error is not."""
    gateway = await replying(Stripe("sk_test", url="http://gateway"), (status, body))
    answer = await gateway.refund(REFUND)
    await gateway.close()
    assert answer == expected if not isinstance(expected, type) else isinstance(answer, expected), answer


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        (401, "UNAUTHORIZED_KEY", NotAsked),
        (400, "INVALID_API_KEY", NotAsked),
        (500, "UNAUTHORIZED_KEY", Unknown),
        (400, "PROVIDER_ERROR", Unknown),
        (400, "CARD_PROCESSING_ERROR", Unknown),  # the card company failed: it may have charged
        (400, "PAY_PROCESS_CANCELED", Unknown),  # of the buyer's page, not of a confirmation
        (409, "IDEMPOTENT_REQUEST_PROCESSING", Unknown),
        (400, "INVALID_IDEMPOTENCY_KEY", Unknown),
        (403, "FORBIDDEN_REQUEST", Unknown),
        (429, "TOO_MANY_REQUESTS", Unknown),
        (500, "FAILED_PAYMENT_INTERNAL_SYSTEM_PROCESSING", Unknown),
        (500, "UNKNOWN_PAYMENT_ERROR", Unknown),
        (403, "REJECT_CARD_PAYMENT", Declined),
        (403, "EXCEED_MAX_AMOUNT", Declined),
        (400, "INVALID_STOPPED_CARD", Declined),
        (404, "NOT_FOUND_PAYMENT_SESSION", Declined),
        (404, "NOT_FOUND_PAYMENT", Declined),  # no such payment key: whatever the buyer's page sent, nothing is charged
    ],
)
async def test_refused_confirmations_of_toss(status, code, expected):
    """Only a code that says who refused, and that nothing was charged, is a decline."""
    gateway = await replying(Toss("sk_test"), (status, {"code": code, "message": "for the buyer"}))
    answer = await gateway.approve(APPROVAL)
    await gateway.close()
    assert isinstance(answer, expected), answer
    assert not isinstance(answer, Declined) or answer == Declined(code)


@pytest.mark.parametrize(
    ("status", "changes", "expected"),
    [
        (200, {}, Approved),  # by an earlier request of ours
        (200, {"orderId": "another"}, Declined),
        (200, {"orderId": "another", "paymentKey": "other"}, Unknown),
        (200, {"status": "IN_PROGRESS"}, Unknown),
        (500, {}, Unknown),
    ],
)
async def test_a_payment_key_works_once(status, changes, expected):
    """Toss says that it was confirmed before, and its look-up says for which order: for another one it is a decline."""
    approval = Approval(TOSS_PAYMENT["orderId"], "key", TOSS_PAYMENT["paymentKey"], Money(15_000))
    refused = (400, {"code": "ALREADY_PROCESSED_PAYMENT", "message": "for the buyer"})
    gateway = await replying(Toss("sk_test"), refused, (status, {**TOSS_PAYMENT, **changes}))
    answer = await gateway.approve(approval)
    await gateway.close()
    assert isinstance(answer, expected), answer


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, Approved),
        ({"status": "IN_PROGRESS"}, NotFound),  # the buyer has agreed, and no confirmation has arrived
        ({"status": "READY"}, NotFound),
        ({"status": "IN_PROGRESS", "orderId": "another"}, Unknown),
        ({"status": "ABORTED", "failure": {"code": "PAY_PROCESS_ABORTED", "message": ""}}, Declined),
        ({"status": "EXPIRED"}, Declined),
        ({"status": "WAITING_FOR_DEPOSIT"}, Unknown),
        ({"paymentKey": "another", "status": "EXPIRED"}, Declined),  # its key is not known: all that can be asked
    ],
)
async def test_look_ups_of_toss(changes, expected):
    """A payment that was never confirmed is none; one that ended without a charge is a decline."""
    gateway = await replying(Toss("sk_test"), (200, {**TOSS_PAYMENT, **changes}))
    answer = await gateway.look_up("order-0001-1")
    await gateway.close()
    assert isinstance(answer, expected), answer


@pytest.mark.parametrize(
    ("replies", "expected"),
    [
        ([(200, {**TOSS_PAYMENT, "cancels": [CANCEL]})], Refunded("T1", Money(1_000))),
        (
            [(400, {"code": "NOT_CANCELABLE_AMOUNT"}), (200, {**TOSS_PAYMENT, "cancels": [CANCEL]})],
            Refunded("T1", Money(1_000)),
        ),
        ([(400, {"code": "NOT_CANCELABLE_AMOUNT", "message": "no"}), (200, TOSS_PAYMENT)], Declined),
        ([(400, {"code": "NOT_CANCELABLE_AMOUNT"}), (500, {"code": "FAILED_INTERNAL_SYSTEM_PROCESSING"})], Unknown),
        ([(500, {"code": "FAILED_REFUND_PROCESS"}), (200, TOSS_PAYMENT)], Unknown),
        (
            [(200, {**TOSS_PAYMENT, "cancels": [{**CANCEL, "cancelStatus": "IN_PROGRESS"}]}), (200, TOSS_PAYMENT)],
            Unknown,
        ),
    ],
)
async def test_refunds_of_toss(replies, expected):
    """A refusal counts only where the payment does not show the refund already."""
    gateway = await replying(Toss("sk_test"), *replies)
    answer = await gateway.refund(REFUND)
    await gateway.close()
    assert answer == expected if not isinstance(expected, type) else isinstance(answer, expected), answer


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, Approved),
        ({"paymentKey": "another", "status": "EXPIRED"}, Unknown),
        ({"orderId": "another"}, NotFound),
        ({"orderId": None}, Unknown),
    ],
)
async def test_look_ups_of_toss_by_the_payment_key(changes, expected):
    """Only the payment that was asked for is an answer: not an abandoned one, and not one of another order."""
    gateway = await replying(Toss("sk_test"), (200, {**TOSS_PAYMENT, **changes}))
    answer = await gateway.look_up("order-0001-1", payment_key=TOSS_PAYMENT["paymentKey"])
    await gateway.close()
    assert isinstance(answer, expected), answer


REAL_KEY = "5zJ4xY7m0kODnyRpQWGrN2xqGlNvLrKwv1M9ENjbeoPaZdL6"
REAL_TOSS = {
    "mId": "tosspayments",
    "lastTransactionKey": "B7103F204998813B889C77C043D09502",
    "paymentKey": REAL_KEY,
    "orderId": "a4CWyWY5m89PNh7xJwhk1",
    "currency": "KRW",
    "method": "카드",
    "status": "DONE",
    "totalAmount": 15_000,
    "balanceAmount": 15_000,
    "cancels": None,
    "failure": None,
}


@pytest.mark.parametrize(
    ("status", "changes", "expected"),
    [
        (200, {}, Approved(REAL_TOSS["paymentKey"], Money(15_000))),
        (
            200,
            {"status": "PARTIAL_CANCELED", "balanceAmount": 14_000},
            Approved(REAL_TOSS["paymentKey"], Money(15_000), 1_000),
        ),
        (
            200,
            {"status": "ABORTED", "failure": {"code": "COMMON_ERROR", "message": "later"}},
            Declined("COMMON_ERROR"),
        ),
        (200, {"status": "ABORTED", "failure": "no"}, Declined("ABORTED")),
        (200, {"totalAmount": float("inf")}, Unknown("an answer without amounts")),
        (200, {"status": "IN_PROGRESS"}, Unknown("the payment is IN_PROGRESS")),
        (200, {"status": "WAITING_FOR_DEPOSIT"}, Unknown("the payment is WAITING_FOR_DEPOSIT")),
        (200, {"orderId": "another"}, Unknown("an answer about another order")),
        (200, {"totalAmount": "15000"}, Unknown("an answer without amounts")),
        (200, {"totalAmount": True}, Unknown("an answer without amounts")),
        (200, {"currency": "XXX"}, Unknown("an answer without amounts")),
        (404, {"code": "NOT_FOUND_PAYMENT", "message": "no"}, Declined("NOT_FOUND_PAYMENT")),
        (404, {"code": "NOT_FOUND"}, Unknown("HTTP 404 NOT_FOUND")),
        (401, {"code": "UNAUTHORIZED_KEY"}, NotAsked("HTTP 401 UNAUTHORIZED_KEY", key_refused=True)),
        (400, {"code": "PROVIDER_ERROR"}, Unknown("HTTP 400 PROVIDER_ERROR")),
        (400, {"code": "ALREADY_PROCESSED_PAYMENT"}, Unknown("HTTP 400 ALREADY_PROCESSED_PAYMENT")),
        (403, {"code": "REJECT_CARD_COMPANY", "message": "no"}, Declined("REJECT_CARD_COMPANY")),
        (500, {"code": "REJECT_CARD_COMPANY"}, Unknown("HTTP 500 REJECT_CARD_COMPANY")),
        (400, {"code": "A_NEW_CODE"}, Unknown("HTTP 400 A_NEW_CODE")),
    ],
)
def test_answers_of_toss(status, changes, expected):
    """Shapes of the real API: only what is known to be definite is an approval or a decline."""
    read = {**REAL_TOSS, **changes} if status == 200 else changes
    assert _payment(Reply(status, json.dumps(read).encode()), REAL_TOSS["orderId"], _DEFINITE) == expected


@pytest.mark.parametrize("body", [b"", b"<html>", b"[1]", b"null", b"[" * 100_000])
def test_a_body_that_is_no_object_is_unknown(body):
    """A proxy's page or half a reply says nothing about the payment."""
    assert isinstance(_payment(Reply(200, body), "reference", frozenset()), Unknown)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            {"status": "failed", "failure_reason": "expired_or_canceled_card"},
            RefundFailed("re_1", "expired_or_canceled_card"),
        ),
        ({"status": "canceled"}, RefundFailed("re_1", "canceled")),
        ({"status": "succeeded"}, None),
        ({"status": "pending"}, None),
        ({"status": "requires_action"}, None),
        ({}, None),
    ],
)
def test_what_an_event_of_stripe_says_about_a_refund(changes, expected):
    """Only a last state in which nothing was given back is news, whatever the event's type is."""
    assert _failed({"id": "re_1", "object": "refund", **changes}) == expected


@pytest.mark.parametrize(
    ("status", "expected"), [("canceled", Declined("canceled")), ("requires_payment_method", None)]
)
def test_a_signed_cancellation_of_stripe_decides(status, expected):
    """Canceled is the last state of a payment that was not charged; what can still be tried again says nothing."""
    event = {"id": "evt_1", "type": "payment_intent.canceled", "data": {"object": {**UNPAID, "status": status}}}
    at_s, body = 1_000, json.dumps(event).encode()
    signature = hmac.new(b"whsec", b"%d." % at_s + body, sha256).hexdigest()
    gateway = Stripe("sk_test", webhook_secrets=("whsec",), clock=lambda: at_s)
    read = gateway.read_notification({"stripe-signature": f"t={at_s},v1={signature}"}, body)
    assert (read.reference, read.answer) == ("order-0001-1", expected)
    with pytest.raises(BadNotification, match="setting gateway_webhook_secrets"):
        Stripe("sk_test").read_notification({"stripe-signature": f"t={at_s},v1={signature}"}, body)


async def test_a_refund_of_a_payment_that_the_gateway_does_not_know_is_refused():
    """Both answers of Toss say so: a person decides, and sees why. Where the look-up fails, it is not known."""
    unknown = (404, {"code": "NOT_FOUND_PAYMENT", "message": "no"})
    for looked, expected in ((unknown, Declined("NOT_FOUND_PAYMENT")), ((500, {}), Unknown)):
        gateway = await replying(Toss("sk_test"), unknown, looked)
        answer = await gateway.refund(REFUND)
        await gateway.close()
        assert answer == expected if isinstance(expected, Declined) else isinstance(answer, expected), answer
