"""What a gateway answers, or does not: the buyer is charged once or not at all, and the books agree in the end."""

from dataclasses import replace
from functools import partial

import pytest

from stockade.gateways import Approval, Approved, Declined, Money, NotAsked
from stockade.shop.commands import CancelOrder, OpenCharge, Postpone
from stockade.shop.model import constants
from stockade.shop.model.limits import MAX_AMOUNT
from stockade.shop.payments import Reconciler
from stockade.shop.payments.next_step import ASK_AGAIN_MS, NOT_FOUND_IS_FINAL_MS
from stockade.shop.payments.open_payments import attempt
from stockade.shop.queries.orders import order
from tests.payments.checkout import FAR_MS, PRICE, open_checkout, status_of
from tests.waiting import eventually_async

NO = Declined("REJECT_CARD_PAYMENT")


def says(answer):
    """A look-up with this answer."""

    async def look_up(*_):
        return answer

    return look_up


@pytest.mark.parametrize(
    ("fault", "first", "last", "approved"),
    [
        ("", "APPROVED", "PAID", [PRICE]),
        ("fault-decline", "DECLINED", "RESERVED", []),
        ("fault-lost-reply", "UNKNOWN", "PAID", [PRICE]),
        ("fault-approve-then-error", "UNKNOWN", "PAID", [PRICE]),
        ("fault-wrong-amount", "UNFULFILLABLE", "RESERVED", [PRICE + 1]),
    ],
)
async def test_every_answer_ends_with_equal_books(any_checkout, fault, first, last, approved):
    """The reconciler finds out what was lost; a repeated request learns the same and asks nobody."""
    order = await any_checkout.order()
    request = any_checkout.new_id()
    assert status_of(await any_checkout.pay(order, fault or "pay", request=request)) == first
    asked = any_checkout.judge.count().requests
    assert status_of(await any_checkout.pay(order, fault or "pay", request=request)) == first
    assert any_checkout.judge.count().requests == asked or first == "UNFULFILLABLE"
    await any_checkout.reconcile()
    assert await any_checkout.status(order) == last
    assert any_checkout.approved(order) == approved
    assert any_checkout.refunded(order) == ([PRICE + 1] if first == "UNFULFILLABLE" else [])
    assert not await any_checkout.unequal()


async def test_a_gateway_that_was_not_asked_holds_no_order(checkout, caplog):
    """No connection, or a key that is refused: the first request ends as declined, and another one can pay. After a
    lost reply it is no decline, because the request before may have charged."""
    for refused in (False, True):
        order = await checkout.order()
        checkout.payments.gateway.approve = says(NotAsked("not connected: ConnectError", key_refused=refused))
        outcome = await checkout.pay(order)
        assert (status_of(outcome), outcome.data["code"]) == ("DECLINED", "GATEWAY_NOT_ASKED")
        assert await checkout.status(order) == "RESERVED"
        del checkout.payments.gateway.approve
        assert ("correct gateway_secret" in caplog.text) is refused
        assert status_of(await checkout.pay(order)) == "APPROVED"
    order = await checkout.order()
    assert status_of(await checkout.pay(order, "fault-lost-reply")) == "UNKNOWN"
    away = checkout.process(look_up=False)
    away.gateway.approve = says(NotAsked("not connected: ConnectError"))
    await checkout.reconcile(rounds=1, payments=away)
    assert await checkout.status(order) == "PAYING"
    await checkout.reconcile()
    assert await checkout.status(order) == "PAID"


async def test_a_charge_above_the_limit_is_refused_before_it_is_charged(checkout):
    """When it is opened, and when it is confirmed after other points have come: nobody is asked."""
    both = [await checkout.charge(amount=MAX_AMOUNT) for _ in range(2)]
    pay = [await checkout.pay(each, subject="charge", amount=MAX_AMOUNT) for each in both]
    assert [status_of(each) for each in pay] == ["APPROVED", "LIMIT_EXCEEDED"]
    assert (checkout.approved(both[1]), await checkout.attempts(both[1])) == ([], [])
    opened = await checkout.shop.execute(OpenCharge(checkout.new_id(), "f", checkout.clock(), "u", 1, "KRW"))
    assert (opened.code, opened.data["balance"]) == ("LIMIT_EXCEEDED", MAX_AMOUNT)


async def test_an_order_cancelled_while_it_is_paid_names_its_payment(checkout):
    """The cancellation says that the payment is not certain; the order shows it, and what is given back of it. Of a
    decline nothing is left."""
    orders_ = [await checkout.order() for _ in range(2)]
    for id_, fault in zip(orders_, ("fault-lost-reply", "fault-error"), strict=True):
        assert status_of(await checkout.pay(id_, fault)) == "UNKNOWN"
    cancels = [CancelOrder(checkout.new_id(), "f", checkout.clock(), id_, "u", "") for id_ in orders_]
    payments = []
    for cancel in cancels:
        (open_,) = (await checkout.payments.execute(cancel)).data["refunds"]
        assert (open_["status"], open_["amount"], "refund_id" in open_) == ("UNKNOWN", PRICE, False)
        payments.append(open_["payment_id"])
    shown = [await checkout.shop.read(partial(order, order_id=id_, user_id="u")) for id_ in orders_]
    assert [(each.status, each.payment_id, each.refunded) for each in shown] == [
        ("CANCELLED", id_, None) for id_ in payments
    ]
    checkout.clock.ahead_ms += ASK_AGAIN_MS + NOT_FOUND_IS_FINAL_MS
    await checkout.reconcile()
    shown = [await checkout.shop.read(partial(order, order_id=id_, user_id="u")) for id_ in orders_]
    assert [(each.payment_id, each.refunded) for each in shown] == [(payments[0], PRICE), (None, None)]
    again = [(await checkout.payments.execute(each)).data["refunds"] for each in cancels]
    assert [[each["status"] for each in refunds] for refunds in again] == [["REFUNDED"], []]
    assert not await checkout.unequal()


async def test_a_payment_key_of_another_order_holds_no_stock(checkout):
    """It was confirmed before, so it never pays this order: declined at once, and another key can pay."""
    first, second = await checkout.order(), await checkout.order()
    claims = [checkout.claim(each, f"pay-{each}") for each in (first, second)]
    used = [replace(each, payment_key="page-1") for each in claims]
    assert [status_of(await checkout.payments.execute(each)) for each in used] == ["APPROVED", "DECLINED"]
    assert await checkout.status(second) == "RESERVED"
    assert status_of(await checkout.pay(second)) == "APPROVED"


@pytest.mark.parametrize("fault", ["lost-request", "error"])
async def test_a_request_that_never_arrived_is_asked_again(any_checkout, fault):
    """Under the same reference and key, by the reconciler, until the gateway answers."""
    any_checkout.judge.behave(faults={fault: 1.0})
    order = await any_checkout.order()
    assert status_of(await any_checkout.pay(order)) == "UNKNOWN"
    await any_checkout.reconcile(rounds=1)
    assert await any_checkout.status(order) == "PAYING"
    any_checkout.judge.behave(faults={})
    await any_checkout.reconcile()
    assert (await any_checkout.status(order), any_checkout.approved(order)) == ("PAID", [PRICE])
    assert not await any_checkout.unequal()


async def test_a_slow_gateway_is_unknown_and_found_later(judge, gateway_url, any_checkout):
    """No answer within the limit of a call: 202 for the buyer, one charge, found by the reconciler."""
    any_checkout.payments.calls._call_s = 0.2
    judge.behave(slow_s=0.6)
    order = await any_checkout.order()
    assert status_of(await any_checkout.pay(order, "fault-slow")) == "UNKNOWN"
    any_checkout.payments.calls._call_s = 5.0

    async def paid():
        await any_checkout.reconcile(rounds=1)  # Stripe says that the request is still being worked on
        return await any_checkout.status(order) == "PAID"

    await eventually_async(paid)
    assert any_checkout.approved(order) == [PRICE]
    assert not await any_checkout.unequal()


async def test_a_payment_key_that_the_gateway_does_not_know_holds_nothing(any_checkout):
    """Any text may be sent as one: the refusal is a decline, and another card can be tried at once."""
    order = await any_checkout.order()
    assert status_of(await any_checkout.pay(order, "fault-unknown-key")) == "DECLINED"
    assert await any_checkout.status(order) == "RESERVED"
    assert status_of(await any_checkout.pay(order)) == "APPROVED"
    assert not await any_checkout.unequal()


async def test_a_refusal_that_is_no_decline_ends(checkout):
    """A gateway that answers each request with an error, and knows no payment: after a while it is declined."""
    order = await checkout.order()
    assert status_of(await checkout.pay(order, "fault-error")) == "UNKNOWN"
    checkout.clock.ahead_ms += ASK_AGAIN_MS
    await checkout.reconcile(rounds=1)
    assert await checkout.status(order) == "PAYING"
    checkout.clock.ahead_ms += NOT_FOUND_IS_FINAL_MS
    asked = checkout.judge.count().requests
    await checkout.reconcile()
    assert (await checkout.status(order), checkout.judge.count().requests) == ("RESERVED", asked)
    assert not await checkout.unequal()


async def test_another_payment_of_the_same_order_says_nothing_about_ours(checkout):
    """Two tabs: our approval was lost, and another payment of the reference ended; the control believes that one."""
    order, request = await checkout.order(), checkout.new_id()
    assert status_of(await checkout.pay(order, "fault-lost-reply", request=request)) == "UNKNOWN"
    found = await checkout.shop.read(lambda connection: attempt(connection, request))
    gateway, reference = checkout.payments.gateway, found.state.reference
    tab = Approval(reference, f"tab-{reference}", f"fault-decline-{reference}", Money(PRICE))
    assert isinstance(await gateway.approve(tab), Declined)
    assert isinstance(await gateway.look_up(reference), Declined)
    await checkout.reconcile()
    assert (await checkout.status(order), checkout.approved(order)) == ("PAID", [PRICE])
    assert not await checkout.unequal()


async def test_an_outage_of_a_minute_loses_no_payment(any_checkout):
    """Ten buyers during the outage: all are paid once after it."""
    any_checkout.judge.behave(outage=True)
    bought = [await any_checkout.order() for _ in range(10)]
    assert {status_of(await any_checkout.pay(order)) for order in bought} == {"UNKNOWN"}
    await any_checkout.reconcile(rounds=1)
    assert {await any_checkout.status(order) for order in bought} == {"PAYING"}
    any_checkout.judge.behave(outage=False)
    await any_checkout.reconcile()
    assert [await any_checkout.status(order) for order in bought] == ["PAID"] * 10
    assert [any_checkout.approved(order) for order in bought] == [[PRICE]] * 10
    assert not await any_checkout.unequal()


async def test_a_decline_allows_another_card_and_another_reference(any_checkout):
    """After a definite no the next attempt has the next number; the first stays declined."""
    order = await any_checkout.order()
    assert status_of(await any_checkout.pay(order, "fault-decline")) == "DECLINED"
    assert status_of(await any_checkout.pay(order, "card-2")) == "APPROVED"
    assert await any_checkout.attempts(order) == ["DECLINED", "APPROVED"]
    assert any_checkout.judge.count().approved.get(f"{order}-2") == [PRICE]
    assert not await any_checkout.unequal()


async def test_another_amount_is_refused_before_anybody_is_asked(checkout):
    """A tampered amount or currency never reaches the gateway."""
    order = await checkout.order()
    asked = checkout.judge.count().requests
    assert status_of(await checkout.pay(order, amount=1)) == "AMOUNT_MISMATCH"
    assert checkout.judge.count().requests == asked
    assert await checkout.status(order) == "RESERVED"


async def test_what_cannot_be_found_out_is_left_to_a_person(judge, checkout):
    """Neither key nor look-up: nobody asks again; the control, which asks again without a key, charges twice."""
    judge.behave(keyed=False, once_per_payment_key=False)
    blind = checkout.process(key_valid_s=0.0, look_up=False)
    order = await checkout.order()
    assert status_of(await checkout.pay(order, "fault-lost-reply", payments=blind)) == "UNKNOWN"
    assert (await checkout.reconcile(payments=blind))["to_a_person"] == 1
    assert (await checkout.reconcile(payments=blind))["found"] == 0
    assert (await checkout.status(order), checkout.approved(order)) == ("PAYING", [PRICE])
    trusting = checkout.process(look_up=False)  # it believes that the gateway takes keys
    other = await checkout.order()
    await checkout.pay(other, "fault-lost-reply", payments=trusting)
    await checkout.reconcile(rounds=1, payments=trusting)
    assert checkout.approved(other) == [PRICE, PRICE]


async def test_a_key_that_is_no_longer_valid_is_not_used(checkout):
    """Stripe's way, a key and no look-up: after its validity nobody asks again."""
    keyed = checkout.process(key_valid_s=600.0, look_up=False)
    order = await checkout.order()
    checkout.judge.behave(outage=True)
    await checkout.pay(order, payments=keyed)
    checkout.clock.ahead_ms += 601_000
    checkout.judge.behave(outage=False)
    assert (await checkout.reconcile(payments=keyed))["to_a_person"] == 1
    assert (await checkout.status(order), checkout.approved(order)) == ("PAYING", [])


async def test_without_a_key_nothing_found_is_final_after_a_while(checkout):
    """A look-up and no key: what the gateway does not know is waited for, then declined; it is never asked again."""
    checkout.judge.behave(keyed=False)
    unkeyed = checkout.process(key_valid_s=0.0)
    order = await checkout.order()
    await checkout.pay(order, "fault-lost-request", payments=unkeyed)
    await checkout.reconcile(payments=unkeyed)
    assert await checkout.status(order) == "PAYING"
    checkout.clock.ahead_ms += NOT_FOUND_IS_FINAL_MS
    await checkout.reconcile(payments=unkeyed)
    assert (await checkout.status(order), checkout.approved(order)) == ("RESERVED", [])


async def test_an_approval_after_a_recorded_decline_is_refunded(any_checkout):
    """Whoever brings it, also a process that read the attempt before the decline: the money goes back once."""
    order = await any_checkout.order()
    claim = any_checkout.claim(order)
    claimed = await any_checkout.shop.execute(claim)
    stale = claim.attempt(claimed.data["reference"])
    await any_checkout.payments.record(claim.payment_id, stale, NO)
    assert await any_checkout.status(order) == "RESERVED"
    answer = await any_checkout.payments.ask(claim.payment_id, stale)
    assert isinstance(answer, Approved)
    for _ in range(2):
        assert status_of(await any_checkout.payments.record(claim.payment_id, stale, answer)) == "UNFULFILLABLE"
    await any_checkout.reconcile()
    assert (any_checkout.approved(order), any_checkout.refunded(order)) == ([PRICE], [PRICE])
    repeated = await any_checkout.payments.execute(claim)
    assert (status_of(repeated), repeated.replayed) == ("UNFULFILLABLE", True)
    assert status_of(await any_checkout.pay(order, "card-2")) == "APPROVED"
    assert not await any_checkout.unequal()


async def test_a_repeated_request_only_asks(checkout, judge, gateway_url):
    """It reads where nothing of the payment is visible yet: it changes nothing, and the payment goes on."""
    order, request = await checkout.order(), checkout.new_id()
    await checkout.pay(order, "fault-lost-reply", request=request)
    async with open_checkout("sqlite://", judge, gateway_url) as behind:
        late = checkout.process()
        late.calls.read = behind.shop.read
        assert status_of(await checkout.pay(order, "fault-lost-reply", request=request, payments=late)) != "DECLINED"
    assert await checkout.attempts(order) == ["UNKNOWN"]
    await checkout.reconcile()
    assert (await checkout.status(order), checkout.refunded(order)) == ("PAID", [])


async def test_what_is_cancelled_during_a_round_is_not_asked_for_again(checkout):
    """The order is cancelled after the reconciler has read it: the buyer is not charged, not even for a moment."""
    order = await checkout.order()
    checkout.judge.behave(faults={"lost-request": 1.0})
    assert status_of(await checkout.pay(order)) == "UNKNOWN"
    checkout.judge.behave(faults={})

    async def execute(command):
        if isinstance(command, Postpone):
            await checkout.cancel(order)
        return await checkout.shop.execute(command)

    await checkout.reconcile(rounds=1, payments=checkout.process(execute=execute))
    assert (await checkout.status(order), checkout.approved(order)) == ("CANCELLED", [])


@pytest.mark.parametrize(("given_back", "last"), [(PRICE, "RESERVED"), (PRICE - 1, "RESERVED")])
async def test_what_the_merchant_gave_back_first_pays_no_order(checkout, given_back, last):
    """A payment that was refunded by hand before its approval was recorded delivers nothing; the rest is refunded."""
    order = await checkout.order()
    claim = checkout.claim(order)
    claimed = await checkout.shop.execute(claim)
    answer = Approved("by-hand", Money(PRICE), given_back)
    await checkout.payments.record(claim.payment_id, claim.attempt(claimed.data["reference"]), answer)
    assert await checkout.status(order) == last
    assert await checkout.attempts(order) == (["DECLINED"] if given_back == PRICE else ["UNFULFILLABLE"])


async def test_nobody_is_asked_about_what_is_settled_or_of_another_gateway(checkout):
    """A hint about a declined attempt, or about one of a gateway that is no longer in use, only looks."""
    order = await checkout.order()
    request = checkout.new_id()
    checkout.judge.behave(outage=True)
    await checkout.pay(order, request=request)
    checkout.judge.behave(outage=False)
    found = await checkout.shop.read(lambda connection: attempt(connection, request))
    reconciler = Reconciler(checkout.payments)
    assert await reconciler.resolve(found) == "left_open"  # not claimed: it may only look up
    foreign = found._replace(state=found.state._replace(gateway="stripe"))
    assert await reconciler.resolve(foreign, until_ms=checkout.clock() + FAR_MS) == "left_open"
    await checkout.payments.record(found.id, found.state, NO)
    checkout.payments.gateway.look_up = says(NO)
    assert await reconciler.resolve(found) == "elsewhere"
    del checkout.payments.gateway.look_up
    settled = await checkout.shop.read(lambda connection: attempt(connection, request))
    assert await reconciler.resolve(settled, until_ms=checkout.clock() + FAR_MS) == "left_open"
    assert checkout.approved(order) == []
    assert constants.DECLINED in await checkout.attempts(order)
