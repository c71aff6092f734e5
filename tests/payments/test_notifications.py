"""What a gateway reports by itself about payments that no program acts on any more."""

import json

import pytest

from stockade.core import Busy
from stockade.shop.payments import Notifications
from stockade.shop.payments.open_payments import attempt
from tests.payments.checkout import status_of


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
