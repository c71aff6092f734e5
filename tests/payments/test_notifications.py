"""What a gateway reports by itself about payments that no program acts on any more."""

import json

import pytest

from stockade.core import Busy
from stockade.gateways import Approved, Money, Notification
from stockade.shop.payments import Notifications
from stockade.shop.payments.open_payments import attempt
from tests.payments.checkout import PRICE, open_checkout, status_of


def hint(reference, key):
    """What Toss sends: it is not signed."""
    return json.dumps({"data": {"orderId": reference, "paymentKey": key, "status": "DONE"}}).encode()


async def test_a_hint_about_what_waits_for_a_person_is_kept(checkout):
    """The gateway gives no answer: it is to report again, because no reconciler asks; later the payment is settled."""
    order, request = await checkout.order(), checkout.new_id()
    assert status_of(await checkout.pay(order, "fault-lost-reply", request=request)) == "UNKNOWN"
    found = await checkout.shop.read(lambda connection: attempt(connection, request))
    await checkout.payments.calls.leave_to_a_person("attempt", request, found.state.tries)
    notifications = Notifications(checkout.payments, checkout.shop.read, checkout.shop.database)
    body = hint(found.state.reference, found.state.payment_key)
    checkout.judge.behave(outage=True)
    with pytest.raises(Busy):
        await notifications.take({}, body)
    checkout.judge.behave(outage=False)
    await notifications.take({}, body)
    assert await checkout.status(order) == "PAID"


@pytest.mark.parametrize(("gateway_id", "errors"), [("", 0), ("pi_second", 1)])
async def test_a_second_charge_is_an_error_in_the_log(judge, gateway_url, caplog, gateway_id, errors):
    """A signed report about what is paid names another charge; a repetition of the first one is none."""
    async with open_checkout("sqlite://", judge, gateway_url, dialect="stripe") as checkout:
        order, request = await checkout.order(), checkout.new_id()
        await checkout.pay(order, request=request)
        paid = (await checkout.shop.read(lambda connection: attempt(connection, request))).state
        told = gateway_id or paid.gateway_id
        notice = Notification("evt_1", paid.reference, told, Approved(told, Money(PRICE)), 0)
        checkout.payments.gateway.read_notification = lambda headers, body: notice
        await Notifications(checkout.payments, checkout.shop.read, checkout.shop.database).take({}, b"")
        assert await checkout.attempts(order) == ["APPROVED"]
    assert [each.levelname for each in caplog.records if "second charge" in each.message] == ["ERROR"] * errors
