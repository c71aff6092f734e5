"""Several requests about one order or one payment at the same time: one approval, and each caller learns the truth."""

import asyncio
from collections import Counter
from dataclasses import dataclass

import pytest
from sqlalchemy import delete

from stockade.core import Accepted, Busy, Change, Decision, Key
from stockade.gateways import Money
from stockade.shop.commands import CancelOrder, ChargePoints, ExpireOrder, PayOrder
from stockade.shop.commands.payments.refunding import new_refund
from stockade.shop.model import constants
from stockade.shop.model.limits import MAX_AMOUNT
from stockade.shop.model.tables import orders, payment_attempts, refunds
from stockade.shop.payments import flow
from tests.payments.checkout import FAR_MS, PRICE, status_of
from tests.waiting import eventually_async


async def naive_pay(checkout, order, number):
    """The negative control: look, ask, record; a new reference for each request, and no claim."""
    if await checkout.status(order) == "PAID":
        return
    claim = checkout.claim(order, f"naive-{number}")
    await checkout.payments.ask(claim.payment_id, claim.attempt(f"{order}-naive-{number}"))


async def test_ten_taps_at_once_and_ten_later(any_checkout):
    """One Idempotency-Key: one approval; each tap learns that it is paid, or where to look."""
    order, request = await any_checkout.order(), any_checkout.new_id()
    any_checkout.judge.behave(latency_s=0.05)
    first = await asyncio.gather(*(any_checkout.pay(order, request=request) for _ in range(10)))
    later = await asyncio.gather(*(any_checkout.pay(order, request=request) for _ in range(10)))
    said = Counter(map(status_of, first))  # on a busy machine a tap may come when it is paid already
    assert said["APPROVED"] >= 1
    assert said["APPROVED"] + said["APPROVING"] == 10
    assert Counter(map(status_of, later)) == {"APPROVED": 10}
    assert all(each.replayed for each in later)
    assert any_checkout.approved(order) == [PRICE]
    assert not await any_checkout.unequal()


async def test_two_devices_at_the_same_moment(any_checkout):
    """Two Idempotency-Keys for one order: one asks, the other learns that a payment is under way."""
    order = await any_checkout.order()
    any_checkout.judge.behave(latency_s=0.05)
    both = await asyncio.gather(*(any_checkout.pay(order, f"device-{number}") for number in range(2)))
    assert sorted(map(status_of, both)) == ["APPROVED", "PAYMENT_IN_PROGRESS"]
    assert status_of(await any_checkout.pay(order, "device-3")) == "ALREADY_PAID"
    assert any_checkout.approved(order) == [PRICE]
    assert not await any_checkout.unequal()


async def test_the_control_without_a_claim_charges_each_device(checkout):
    """Asking before claiming, with a reference for each request: ten charges for one order."""
    order = await checkout.order()
    await asyncio.gather(*(naive_pay(checkout, order, number) for number in range(10)))
    assert checkout.approved(order) == [PRICE] * 10


async def test_a_new_key_while_the_first_attempt_is_unknown_pays_nothing(any_checkout):
    """The order has one live attempt; when it is found to be approved, the second request is refused for good."""
    order = await any_checkout.order()
    assert status_of(await any_checkout.pay(order, "fault-lost-reply")) == "UNKNOWN"
    assert status_of(await any_checkout.pay(order, "card-2")) == "PAYMENT_IN_PROGRESS"
    await any_checkout.reconcile()
    assert status_of(await any_checkout.pay(order, "card-2")) == "ALREADY_PAID"
    assert any_checkout.approved(order) == [PRICE]
    assert not await any_checkout.unequal()


async def test_more_payments_than_may_wait_are_refused_before_their_claim(checkout, monkeypatch):
    """The gateway is slow and one payment is at work: the next is told to come again, and its order is as it was."""
    monkeypatch.setattr(flow, "MAX_AT_WORK", 1)
    first, next_ = await checkout.order(), await checkout.order()
    reached, go_on = asyncio.Event(), asyncio.Event()
    ask = checkout.payments.gateway.approve

    async def held(approval):
        reached.set()
        await go_on.wait()
        return await ask(approval)

    checkout.payments.gateway.approve = held
    paying = asyncio.create_task(checkout.pay(first))
    await reached.wait()
    with pytest.raises(Busy):
        await checkout.pay(next_)
    assert await checkout.status(next_) == "RESERVED"
    go_on.set()
    assert [status_of(await paying), status_of(await checkout.pay(next_))] == ["APPROVED"] * 2


async def test_an_expired_reservation_is_never_charged(checkout):
    """Too late is refused without asking; an order that is being paid does not expire, however long it takes."""
    order, kept = await checkout.order(), await checkout.order()
    assert status_of(await checkout.pay(kept, "fault-lost-reply")) == "UNKNOWN"
    until_ms = (await checkout.rows(orders, id=order))[0].reserved_until_ms
    checkout.clock.ahead_ms += FAR_MS * 24 * 8
    for each in (order, kept):
        await checkout.shop.execute(ExpireOrder.due(each, until_ms, checkout.clock()))
    assert status_of(await checkout.pay(order)) == "RESERVATION_EXPIRED"
    await checkout.reconcile()
    assert (await checkout.status(order), checkout.approved(order)) == ("EXPIRED", [])
    assert (await checkout.status(kept), checkout.approved(kept)) == ("PAID", [PRICE])


@pytest.mark.parametrize("first", ["card", "points"])
async def test_points_and_a_card_pay_one_order_once(checkout, first):
    """Whichever comes first wins; the loser is not charged."""
    await checkout.shop.execute(ChargePoints(checkout.new_id(), "f", checkout.clock(), "u", PRICE))
    checkout.judge.behave(latency_s=0.05)
    order = await checkout.order()
    points = PayOrder(checkout.new_id(), "f", checkout.clock(), order, "u")
    ways = [checkout.payments.execute(points), checkout.pay(order)]
    both = await asyncio.gather(*(ways if first == "points" else reversed(ways)))
    won = Counter(map(status_of, both))
    assert won["APPROVED"] == 1
    assert won["ALREADY_PAID"] + won["PAYMENT_IN_PROGRESS"] == 1
    assert not await checkout.unequal()


@pytest.mark.parametrize("moment", ["before-ask", "after-ask"])
async def test_a_cancellation_during_the_approval_refunds_once(judge, any_checkout, moment):
    """The buyer cancels while the gateway is asked: the approval is refunded, the stock is back, the books agree."""
    reached, go_on = asyncio.Event(), asyncio.Event()
    judge.behave(latency_s=0.05)
    ask = any_checkout.payments.gateway.approve

    async def held(approval):
        if moment == "after-ask":
            answer = await ask(approval)
        reached.set()
        await go_on.wait()
        return answer if moment == "after-ask" else await ask(approval)

    any_checkout.payments.gateway.approve = held
    order = await any_checkout.order()
    paying = asyncio.create_task(any_checkout.pay(order))
    await reached.wait()
    assert status_of(await any_checkout.cancel(order)) == "CANCELLED"
    go_on.set()
    assert status_of(await paying) == "UNFULFILLABLE"
    await any_checkout.reconcile()
    assert (any_checkout.approved(order), any_checkout.refunded(order)) == ([PRICE], [PRICE])
    assert await any_checkout.refunds(order) == ["REFUNDED"]
    assert not await any_checkout.unequal()


async def test_ten_cancellations_refund_once(any_checkout):
    """Of a paid order, by ten requests: one refund."""
    order = await any_checkout.order()
    await any_checkout.pay(order)
    any_checkout.judge.behave(latency_s=0.05)
    ends = Counter(map(status_of, await asyncio.gather(*(any_checkout.cancel(order) for _ in range(10)))))
    assert ends == {"CANCELLED": 1, "STATE_CONFLICT": 9}
    assert any_checkout.refunded(order) == [PRICE]
    assert not await any_checkout.unequal()


async def test_a_cancellation_is_repeated_after_its_refund_is_archived(any_checkout):
    """The recorded answer is kept longer than the refund, which was done: the same answer again."""
    order = await any_checkout.order()
    await any_checkout.pay(order)
    cancel = CancelOrder(any_checkout.new_id(), "f", any_checkout.clock(), order, "u", "too late")
    first = await any_checkout.payments.execute(cancel)
    database = any_checkout.shop.database
    await database.write(lambda connection: connection.execute(delete(refunds)), timeout_s=5)
    again = await any_checkout.payments.execute(cancel)
    assert (first.data["refunds"][0]["status"], again.replayed) == ("REFUNDED", True)
    assert again.data == first.data


async def test_a_charge_above_the_limit_of_a_balance_is_refunded(any_checkout):
    """The balance is full while the gateway is asked: the money goes back, and no points are added."""
    charge, other = await any_checkout.charge(), await any_checkout.charge()
    any_checkout.judge.behave(latency_s=0.3)
    paying = asyncio.create_task(any_checkout.pay(charge, subject="charge"))
    await eventually_async(lambda: any_checkout.rows(payment_attempts, status="APPROVING"))
    await any_checkout.shop.execute(ChargePoints(any_checkout.new_id(), "f", any_checkout.clock(), "u", MAX_AMOUNT))
    assert status_of(await paying) == "UNFULFILLABLE"
    late = await any_checkout.pay(other, subject="charge")
    assert late.code == "LIMIT_EXCEEDED"  # nobody is asked for what the balance cannot take
    await any_checkout.reconcile()
    assert (any_checkout.approved(charge), any_checkout.refunded(charge)) == ([PRICE], [PRICE])
    assert not await any_checkout.unequal()


@dataclass(frozen=True)
class Owe:
    """A command that owes a part of a payment, as the cancellation of a line does."""

    request_id: str
    payment_id: str
    amount: int
    now_ms: int
    name = "owe"
    strategy_group = "payment"
    fingerprint = "f"

    @property
    def keys(self):
        """The attempt."""
        return (Key("attempt", self.payment_id),)

    def decide(self, rows):
        """Owed from now on."""
        paid = rows[self.keys[0]].state
        money = Money(self.amount)
        record = new_refund(
            self.request_id, self.payment_id, "u", money, reason=constants.CANCELLED, now_ms=self.now_ms
        )
        changes = {self.keys[0]: Change(paid._replace(refunds=paid.refunds + self.amount), note=paid.status)}
        return Decision(Accepted({}), changes=changes, inserts=(record,))


async def owe(checkout, order, *amounts):
    """Refunds of a paid order that are recorded and not asked for; their ids."""
    paid = (await checkout.rows(payment_attempts, subject_id=order))[0]
    owed = [Owe(checkout.new_id(), paid.id, amount, checkout.clock()) for amount in amounts]
    for each in owed:
        await checkout.shop.execute(each)
    return [each.request_id for each in owed]


async def test_two_refunds_of_one_payment_at_once(any_checkout):
    """Each is given back once, also when every process begins all of them."""
    order = await any_checkout.order()
    await any_checkout.pay(order)
    both = await owe(any_checkout, order, 300, 500)
    any_checkout.judge.behave(latency_s=0.05)
    await asyncio.gather(*(any_checkout.payments.refund(each) for each in both * 5))
    assert sorted(any_checkout.refunded(order)) == [300, 500]


@pytest.mark.parametrize("fault", ["lost-reply", "lost-request"])
@pytest.mark.parametrize("keyed", [True, False])
async def test_a_lost_refund_is_given_back_once(any_checkout, fault, keyed):
    """With a key it is asked for again; without, the payment is looked up, and a person decides what it cannot show."""
    any_checkout.judge.behave(keyed=keyed)
    process = any_checkout.payments if keyed else any_checkout.process(key_valid_s=0.0)
    order = await any_checkout.order()
    await any_checkout.pay(order)
    both = await owe(any_checkout, order, 300, 500)
    any_checkout.judge.behave(faults={fault: 1.0})
    for each in both * 2:  # the second time somebody is at it
        await process.refund(each)
    any_checkout.judge.behave(faults={})
    await any_checkout.reconcile(payments=process, rounds=20)
    done = keyed or fault == "lost-reply"
    assert sorted(any_checkout.refunded(order)) == ([300, 500] if done else [])
    states = {(each.status, each.code) for each in await any_checkout.rows(refunds)}
    assert states == ({("REFUNDED", "")} if done else {("UNKNOWN", "NEEDS_DECISION")})


async def test_the_control_asks_again_without_a_key_and_refunds_twice(checkout):
    """A process that believes in keys, at a gateway that takes none, gives back 300 twice."""
    order = await checkout.order()
    await checkout.pay(order)
    (part,) = await owe(checkout, order, 300)
    checkout.judge.behave(keyed=False, faults={"lost-reply": 1.0})
    await checkout.payments.refund(part)
    checkout.judge.behave(faults={})
    await checkout.reconcile()
    assert checkout.refunded(order) == [300, 300]


async def test_a_refund_of_another_amount_is_left_to_a_person(judge, checkout):
    """Something else was given back than is owed: nothing is recorded as done."""
    order = await checkout.order()
    await checkout.pay(order)
    await owe(checkout, order, 300)
    judge.behave(faults={"wrong-amount": 1.0})
    assert (await checkout.reconcile(rounds=1))["to_a_person"] == 1
    judge.behave(faults={})
    await checkout.reconcile()
    assert [(each.status, each.code) for each in await checkout.rows(refunds)] == [("UNKNOWN", "NEEDS_DECISION")]
    assert checkout.refunded(order) == [299]


async def test_a_process_with_another_gateway_leaves_what_is_open_to_the_others(judge, checkout):
    """It takes no payment and no refund out of their hands; a process with the old gateway finishes both."""
    paid, lost = await checkout.order(), await checkout.order()
    await checkout.pay(paid)
    await checkout.pay(lost, "fault-lost-reply")
    (part,) = await owe(checkout, paid, 300)
    other = checkout.process()
    other.gateway.name = "another"
    await other.refund(part)
    assert (await checkout.reconcile(payments=other))["found"] == 0
    assert (await checkout.reconcile())["settled"] == 2
    assert (await checkout.status(lost), checkout.refunded(paid)) == ("PAID", [300])
