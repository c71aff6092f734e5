"""What a person decides: recorded for good, also where a program recorded something else before or meanwhile."""

import pytest

from stockade.gateways import Declined
from stockade.shop.model import constants
from stockade.shop.payments.calls import NEEDS_DECISION
from stockade.shop.payments.decision import NotDecidable, decide_payment
from stockade.shop.payments.open_payments import attempt
from tests.payments.checkout import PRICE, status_of

NO = Declined("REJECT_CARD_PAYMENT")


async def lost(checkout):
    """An order whose payment was approved; the reply was lost, and it waits for a person: its id and the payment."""
    order, request = await checkout.order(), checkout.new_id()
    await checkout.pay(order, "fault-lost-reply", request=request)
    found = await checkout.shop.read(lambda connection: attempt(connection, request))
    assert await checkout.payments.calls.leave_to_a_person("attempt", request, found.state.tries)
    return order, await checkout.shop.read(lambda connection: attempt(connection, request))


@pytest.mark.parametrize("when", ["before", "meanwhile"])
async def test_a_charge_behind_a_decline_is_refunded(checkout, when):
    """A person finds it at the gateway: whether the decline was recorded long ago, or a moment before the decision."""
    order, found = await lost(checkout)
    assert found.state.code == NEEDS_DECISION
    if when == "before":
        await checkout.payments.record(found.id, found.state, NO)

    async def execute(command):
        await checkout.payments.record(found.id, found.state, NO)
        return await checkout.shop.execute(command)

    key = found.state.payment_key
    outcome = await decide_payment(execute, checkout.shop.read, found.id, key)
    assert status_of(outcome) == "UNFULFILLABLE"
    await checkout.reconcile()
    assert (checkout.approved(order), checkout.refunded(order)) == ([PRICE], [PRICE])
    assert not await checkout.unequal()


async def test_a_decision_that_was_not_recorded_is_an_error(checkout):
    """An approval came a moment before a person's decline: the person is told."""
    order, found = await lost(checkout)
    answer = await checkout.payments.gateway.look_up(found.state.reference, "", found.state.payment_key)

    async def execute(command):
        await checkout.payments.record(found.id, found.state, answer)
        return await checkout.shop.execute(command)

    with pytest.raises(NotDecidable, match="it is APPROVED"):
        await decide_payment(execute, checkout.shop.read, found.id, None)
    assert await checkout.attempts(order) == [constants.APPROVED]
