"""What a gateway reports by itself about payments that no program acts on any more."""

import asyncio
import json

import pytest

from stockade.core import Busy
from stockade.gateways import Approved, Money, NotFound, Notification, Unknown
from stockade.shop.payments import Notifications
from stockade.shop.payments.notifications import PAUSE_S
from stockade.shop.payments.open_payments import attempt
from tests.payments.checkout import CALL_S, PRICE, open_checkout, status_of


def hint(reference, key):
    """What Toss sends: it is not signed."""
    return json.dumps({"data": {"orderId": reference, "paymentKey": key, "status": "DONE"}}).encode()


async def test_a_hint_about_what_waits_for_a_person_is_kept(checkout):
    """The gateway gives no answer: it is to report again, because no reconciler asks; later the payment is settled."""
    order, request = await checkout.order(), checkout.new_id()
    assert status_of(await checkout.pay(order, "fault-lost-reply", request=request)) == "UNKNOWN"
    found = await checkout.shop.read(lambda connection: attempt(connection, request))
    await checkout.payments.calls.leave_to_a_person("attempt", request, found.state.tries)
    now_s = iter(range(0, 10_000, 10))
    notifications = Notifications(
        checkout.payments, checkout.shop.read, checkout.shop.database, clock=lambda: next(now_s)
    )
    body = hint(found.state.reference, found.state.payment_key)
    checkout.judge.behave(outage=True)
    with pytest.raises(Busy):
        await notifications.take({}, body)
    checkout.judge.behave(outage=False)
    await notifications.take({}, body)
    assert await checkout.status(order) == "PAID"


async def test_hints_about_one_payment_are_looked_up_with_pauses(checkout):
    """Anyone can send them one after another: between two look-ups of a payment passes a while."""
    request, now_s, asked = checkout.new_id(), [0.0], []
    checkout.judge.behave(outage=True)
    await checkout.pay(await checkout.order(), request=request)
    state = (await checkout.shop.read(lambda connection: attempt(connection, request))).state

    async def look_up(reference, *_):
        asked.append(reference)
        return NotFound()

    checkout.payments.gateway.look_up = look_up
    notifications = Notifications(checkout.payments, checkout.shop.read, checkout.shop.database, clock=lambda: now_s[0])
    body = hint(state.reference, state.payment_key)
    await notifications.take({}, body)
    with pytest.raises(Busy, match="being looked up"):
        await notifications.take({}, body)
    now_s[0] += PAUSE_S
    await notifications.take({}, body)
    assert asked == [state.reference] * 2


@pytest.mark.parametrize(("gateway_id", "errors"), [("", 0), ("pi_second", 1)])
async def test_a_second_charge_is_an_error_in_the_log(judge, gateway_url, caplog, gateway_id, errors):
    """A signed report about what is paid names another charge; a repetition of the first one is none."""
    async with open_checkout("sqlite://", judge, gateway_url, dialect="stripe") as checkout:
        order, request = await checkout.order(), checkout.new_id()
        await checkout.pay(order, request=request)
        paid = (await checkout.shop.read(lambda connection: attempt(connection, request))).state
        told = gateway_id or paid.gateway_id
        notice = Notification("evt_1", paid.reference, told, Approved(told, Money(PRICE)))
        checkout.payments.gateway.read_notification = lambda headers, body: notice
        await Notifications(checkout.payments, checkout.shop.read, checkout.shop.database).take({}, b"")
        assert await checkout.attempts(order) == ["APPROVED"]
        assert checkout.payments.answers["SECOND_CHARGE"] == errors
    found = [each for each in caplog.records if "a second charge of 1,000 KRW as pi_second" in each.message]
    assert [each.levelname for each in found] == ["ERROR"] * errors


async def test_a_notification_wakes_the_buyer_who_waits(any_checkout):
    """The gateway has charged and its reply does not come: whoever waits for it has the answer at once."""
    order, request = await any_checkout.order(), any_checkout.new_id()
    gateway, ask, reported = any_checkout.payments.gateway, any_checkout.payments.gateway.approve, asyncio.Event()

    async def charged_and_silent(approval):
        answer = await ask(approval)
        found = await any_checkout.shop.read(lambda connection: attempt(connection, request))
        reported.answer, reported.state = answer, found.state
        reported.set()
        await asyncio.Event().wait()

    gateway.approve = charged_and_silent
    paying = asyncio.create_task(any_checkout.pay(order, request=request))
    await reported.wait()
    await any_checkout.payments.record(request, reported.state, reported.answer)
    outcome = await asyncio.wait_for(paying, CALL_S / 2)  # a call may take all of it
    assert (status_of(outcome), outcome.replayed) == ("APPROVED", False)
    assert not await any_checkout.unequal()


async def test_the_buyer_learns_what_a_notification_has_recorded(any_checkout):
    """The gateway reports the approval, and then the reply is lost: the answer is APPROVED, and not unknown."""
    order, request = await any_checkout.order(), any_checkout.new_id()
    gateway, ask = any_checkout.payments.gateway, any_checkout.payments.gateway.approve

    async def reported_and_lost(approval):
        answer = await ask(approval)
        found = await any_checkout.shop.read(lambda connection: attempt(connection, request))
        await any_checkout.payments.record(request, found.state, answer)
        return Unknown("no reply")

    gateway.approve = reported_and_lost
    outcome = await any_checkout.pay(order, request=request)
    assert (status_of(outcome), outcome.replayed) == ("APPROVED", False)
    again = await any_checkout.pay(order, request=request)
    assert (again.data, again.replayed) == (outcome.data, True)
    assert not await any_checkout.unequal()
