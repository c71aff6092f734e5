"""Refunds that the gateway refused, or that failed afterwards: owed again under another id, and given back once."""

import asyncio
import hmac
import json
import time
from hashlib import sha256

import pytest

from stockade.gateways import Refund, Refunded, RefundFailed
from stockade.gateways.money import Money
from stockade.shop.audit import audit
from stockade.shop.commands import CancelOrder, RetryRefund
from stockade.shop.model.tables import payment_attempts, refunds
from stockade.shop.payments import Notifications
from stockade.shop.payments.decision import NotDecidable, decide_refund, retry_refund
from stockade.shop.payments.open_payments import refund
from tests.payments.checkout import PRICE, open_checkout
from tests.payments.test_races import owe


@pytest.fixture
async def stripe_checkout(judge, gateway_url):
    """A shop in memory that is paid through Stripe."""
    async with open_checkout("sqlite://", judge, gateway_url, dialect="stripe") as opened:
        yield opened


async def cancelled(checkout, refund_id="", *, faults):
    """The request that cancelled a paid order, and its outcome; the refund met these faults."""
    order = await checkout.order()
    await checkout.pay(order)
    checkout.judge.behave(faults=faults)
    cancel = CancelOrder(checkout.new_id(), "f", checkout.clock(), order, "u", "too late")
    (owed,) = (await checkout.payments.execute(cancel)).data["refunds"]
    checkout.judge.behave(faults={})
    return order, cancel, owed


async def part_refused(checkout):
    """An order of which 300 are to be given back, which the gateway refused; the refund."""
    order = await checkout.order()
    await checkout.pay(order)
    (part,) = await owe(checkout, order, 300)
    checkout.judge.behave(faults={"decline": 1.0})
    assert (await checkout.payments.refund(part)).data["status"] == "REFUSED"
    checkout.judge.behave(faults={})
    return order, part


async def states(checkout):
    """Of all refunds, in the order in which they were made."""
    found = await checkout.rows(refunds)
    return [each.status for each in sorted(found, key=lambda each: (each.status != "REPLACED", each.created_ms))]


async def given_back_by_hand(checkout, order, amount):
    """What a merchant gives back in the gateway's dashboard."""
    paid = (await checkout.rows(payment_attempts, subject_id=order))[0]
    by_hand = Refund(paid.gateway_id, "by-hand", "by-hand", Money(amount), "by hand")
    assert isinstance(await checkout.payments.gateway.refund(by_hand), Refunded)


async def test_a_refused_refund_is_asked_for_again(any_checkout):
    """Two persons at once: one new refund, given back once; the refused one stays, and the buyer sees the new one."""
    order, cancel, owed = await cancelled(any_checkout, faults={"decline": 1.0})
    assert owed["status"] == "REFUSED"
    execute, both_looked = any_checkout.payments.calls.execute, asyncio.Barrier(2)

    async def at_once(command):
        if isinstance(command, RetryRefund):
            await asyncio.wait_for(both_looked.wait(), 10)
        return await execute(command)

    any_checkout.payments.calls.execute = at_once
    both = await asyncio.gather(*(retry_refund(any_checkout.payments, owed["refund_id"]) for _ in range(2)))
    await any_checkout.reconcile(rounds=1)
    assert len({each.data["refund_id"] for each in both}) == 1
    assert any_checkout.refunded(order) == [PRICE]
    assert await states(any_checkout) == ["REPLACED", "REFUNDED"]
    (now,) = (await any_checkout.payments.execute(cancel)).data["refunds"]
    assert now == {**owed, "refund_id": both[0].data["refund_id"], "status": "REFUNDED"}
    with pytest.raises(NotDecidable, match="was replaced by"):
        await retry_refund(any_checkout.payments, owed["refund_id"])
    assert not await any_checkout.unequal()


async def test_asking_under_the_same_id_gets_the_refusal_again(any_checkout):
    """The control: the gateway repeats its answer to a key, so nothing is given back."""
    order, part = await part_refused(any_checkout)
    paid = (await any_checkout.rows(payment_attempts, subject_id=order))[0]
    again = Refund(paid.gateway_id, part, part, Money(300), "CANCELLED")
    assert not isinstance(await any_checkout.payments.gateway.refund(again), Refunded)
    assert any_checkout.refunded(order) == []


async def test_what_was_given_back_by_hand_is_not_asked_for_again(any_checkout):
    """The gateway shows it: the person is told. The control, which does not look, gives it back twice."""
    order, part = await part_refused(any_checkout)
    await given_back_by_hand(any_checkout, order, 300)
    with pytest.raises(NotDecidable, match="300 given back of the payment, and 0 is recorded"):
        await retry_refund(any_checkout.payments, part)
    assert any_checkout.refunded(order) == [300]
    found = await any_checkout.shop.read(lambda connection: refund(connection, part))
    await any_checkout.shop.execute(RetryRefund.of(part, found.state, now_ms=any_checkout.clock()))
    await any_checkout.payments.refund(part)
    assert any_checkout.refunded(order) == [300, 300]


async def test_an_outage_and_an_open_refund_keep_a_refused_one_as_it_is(checkout):
    """The gateway cannot be looked at, or another refund may be under way: nothing is asked for."""
    order, part = await part_refused(checkout)
    checkout.judge.behave(outage=True)
    with pytest.raises(NotDecidable, match="does not show the payment now"):
        await retry_refund(checkout.payments, part)
    checkout.judge.behave(outage=False)
    (other,) = await owe(checkout, order, 500)
    with pytest.raises(NotDecidable, match="another refund of the payment is open"):
        await retry_refund(checkout.payments, part)
    await checkout.payments.refund(other)
    assert (await retry_refund(checkout.payments, part)).data["status"] == "REFUNDED"
    assert sorted(checkout.refunded(order)) == [300, 500]


async def test_one_of_two_persons_who_decide_differently_is_refused(checkout):
    """One has given the money back, the other asks again: whoever is first, no refund is owed twice."""
    _, part = await part_refused(checkout)
    execute, read = checkout.shop.execute, checkout.shop.read
    both = await asyncio.gather(
        decide_refund(execute, read, part, "by hand"),
        retry_refund(checkout.payments, part),
        return_exceptions=True,
    )
    assert [isinstance(each, Exception) or not each.accepted for each in both].count(True) == 1
    found = await checkout.rows(refunds)
    assert sum(each.amount for each in found if each.status != "REPLACED") == 300


def failed_refund(refund_id, gateway_id, event_id="evt_1", secret="whsec_test"):
    """What Stripe sends when a refund that it had made comes to nothing."""
    about = {
        "id": gateway_id,
        "object": "refund",
        "payment_intent": "pi_1",
        "status": "failed",
        "failure_reason": "expired_or_canceled_card",
        "metadata": {"reference": refund_id},
    }
    body = json.dumps({"id": event_id, "type": "refund.failed", "data": {"object": about}}).encode()
    at_s = int(time.time())
    signature = hmac.new(secret.encode(), b"%d." % at_s + body, sha256).hexdigest()
    return {"stripe-signature": f"t={at_s},v1={signature}"}, body


def notifications_of(checkout):
    """What takes the gateway's notifications."""
    return Notifications(checkout.payments, checkout.shop.read, checkout.shop.database)


async def test_a_refund_that_fails_afterwards_waits_for_a_person(stripe_checkout):
    """It was REFUNDED, and is REFUSED with the reason; told twice it is recorded once, and can be asked for again."""
    checkout = stripe_checkout
    order = await checkout.order()
    await checkout.pay(order)
    (part,) = await owe(checkout, order, 300)
    done = await checkout.payments.refund(part)
    made = (await checkout.rows(refunds))[0].gateway_id
    assert (done.data["status"], made.startswith("r_")) == ("REFUNDED", True)
    for event_id in ("evt_1", "evt_1", "evt_2"):
        await notifications_of(checkout).take(*failed_refund(part, made, event_id))
    (failed,) = await checkout.rows(refunds)
    assert (failed.status, failed.code, failed.gateway_id) == ("REFUSED", "expired_or_canceled_card", made)
    with pytest.raises(NotDecidable, match="is the refund that failed"):
        await decide_refund(checkout.shop.execute, checkout.shop.read, part, made)
    assert (await retry_refund(checkout.payments, part)).data["status"] == "REFUNDED"
    assert (await states(checkout), checkout.refunded(order)) == (["REPLACED", "REFUNDED"], [300, 300])
    await notifications_of(checkout).take(*failed_refund(part, made, "evt_3"))
    assert await states(checkout) == ["REPLACED", "REFUNDED"]


async def test_a_person_gives_back_what_failed(stripe_checkout):
    """By a bank transfer: REFUNDED a second time, and a late report of the failure does not undo it."""
    checkout = stripe_checkout
    order, _, owed = await cancelled(checkout, faults={})
    made = (await checkout.rows(refunds))[0].gateway_id
    await notifications_of(checkout).take(*failed_refund(owed["refund_id"], made))
    outcome = await decide_refund(checkout.shop.execute, checkout.shop.read, owed["refund_id"], "transfer 7")
    assert outcome.data["status"] == "REFUNDED"
    await notifications_of(checkout).take(*failed_refund(owed["refund_id"], made, "evt_2"))
    assert await checkout.refunds(order) == ["REFUNDED"]
    assert not await checkout.shop.read(audit)


async def test_the_reply_after_the_report_of_its_failure_changes_nothing(stripe_checkout):
    """The report comes before the reply to the request is recorded: the refund stays REFUSED."""
    checkout = stripe_checkout
    order = await checkout.order()
    await checkout.pay(order)
    (part,) = await owe(checkout, order, 300)
    ask = checkout.payments.gateway.refund

    async def reported(asked):
        answer = await ask(asked)
        await notifications_of(checkout).take(*failed_refund(part, answer.gateway_id))
        return answer

    checkout.payments.gateway.refund = reported
    await checkout.payments.refund(part)
    assert await states(checkout) == ["REFUSED"]


async def test_a_stranger_fails_no_refund(any_checkout):
    """A report with another signature, or of a gateway that does not sign: nothing is recorded."""
    _, _, owed = await cancelled(any_checkout, faults={})
    made = (await any_checkout.rows(refunds))[0].gateway_id
    headers, body = failed_refund(owed["refund_id"], made, secret="whsec_other")
    gateway = any_checkout.payments.gateway
    if gateway.capabilities.signed_notifications:
        with pytest.raises(ValueError, match="signature"):
            await notifications_of(any_checkout).take(headers, body)
    else:
        told = gateway.read_notification({}, json.dumps({"data": {"orderId": owed["refund_id"]}}).encode())
        forged = type(told)("e", told.reference, "", RefundFailed(made, "x"))
        gateway.read_notification = lambda headers, body: forged
        await notifications_of(any_checkout).take({}, b"")
    assert await states(any_checkout) == ["REFUNDED"]


async def test_an_open_refund_says_why(checkout):
    """What the gateway said to the last try is in the row, for whoever looks at it; once done, it is gone."""
    _, _, owed = await cancelled(checkout, faults={"error": 1.0})
    checkout.judge.behave(outage=True)
    codes = []
    for _ in range(2):
        await checkout.reconcile(rounds=1)
        codes.append((await checkout.rows(refunds, id=owed["refund_id"]))[0].code)
    checkout.judge.behave(outage=False)
    await checkout.reconcile()
    (row,) = await checkout.rows(refunds, id=owed["refund_id"])
    assert codes == ["HTTP 500 FAILED_INTERNAL_SYSTEM_PROCESSING", "HTTP 503 outage, and not looked up"]
    assert (row.status, row.code) == ("REFUNDED", "")
