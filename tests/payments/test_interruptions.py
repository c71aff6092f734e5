"""Replies that are lost, processes that are paused or stopped, clocks that differ: one approval, equal books."""

import asyncio

import pytest
from sqlalchemy import delete

from stockade.core import Busy, Pending, Rejected, Unknown
from stockade.shop.commands import ClaimPayment, Postpone, SettlePayment
from stockade.shop.model import constants
from stockade.shop.model.tables import payment_attempts
from stockade.shop.payments import Reconciler, calls
from stockade.shop.payments.next_step import NOT_FOUND_IS_FINAL_MS
from stockade.store.schema.tables import requests
from tests.payments.checkout import PRICE, Clock, status_of
from tests.waiting import turns_until


def losing(checkout, kind, error, *, times, done=True):
    """An `execute` that loses the replies to commands of a kind; `done`: they were carried out."""
    left = [times]

    async def execute(command):
        if not isinstance(command, kind) or not left[0]:
            return await checkout.shop.execute(command)
        left[0] -= 1
        if done:
            await checkout.shop.execute(command)
        raise error

    return execute


def held(process):
    """Hold the process between its claim and the gateway, as a pause does; the events (reached, go on)."""
    reached, go_on, ask = asyncio.Event(), asyncio.Event(), process.ask

    async def ask_later(*arguments):
        reached.set()
        await go_on.wait()
        return await ask(*arguments)

    process.ask = ask_later
    return reached, go_on


@pytest.mark.parametrize("error", [Unknown("the reply was lost"), Pending("id")])
async def test_a_claim_whose_reply_was_lost_is_finished_once(any_checkout, error):
    """The buyer's repeated request asks nobody, and the reconciler asks once."""
    order, request = await any_checkout.order(), any_checkout.new_id()
    process = any_checkout.process(execute=losing(any_checkout, ClaimPayment, error, times=1))
    with pytest.raises(type(error)):
        await any_checkout.pay(order, request=request, payments=process)
    assert status_of(await any_checkout.pay(order, request=request, payments=process)) == "APPROVING"
    assert any_checkout.approved(order) == []
    await any_checkout.reconcile()
    assert status_of(await any_checkout.pay(order, request=request)) == "APPROVED"
    assert any_checkout.approved(order) == [PRICE]
    assert not await any_checkout.unequal()


@pytest.mark.parametrize(("lost", "buyer"), [(1, "APPROVED"), (calls.RECORDINGS, "OUTCOME_UNKNOWN")])
@pytest.mark.parametrize("done", [True, False])
async def test_the_database_is_away_when_the_answer_comes(checkout, monkeypatch, lost, buyer, done):
    """A short outage is waited for; after a long one the buyer is told that nothing is known, and it is found out."""
    monkeypatch.setattr(calls, "FIRST_PAUSE_S", 0.001)
    error = Unknown("the reply was lost") if done else Busy("no database", "DEPENDENCY_DOWN")
    process = checkout.process(execute=losing(checkout, SettlePayment, error, times=lost, done=done))
    order, request = await checkout.order(), checkout.new_id()
    if buyer == "APPROVED":
        assert status_of(await checkout.pay(order, request=request, payments=process)) == "APPROVED"
    else:
        with pytest.raises(Unknown) as unknown:
            await checkout.pay(order, request=request, payments=process)
        assert unknown.value.__cause__ is error
    await checkout.reconcile()
    assert status_of(await checkout.pay(order, request=request)) == "APPROVED"
    assert checkout.approved(order) == [PRICE]
    assert not await checkout.unequal()


async def test_a_process_that_was_paused_past_its_lease_charges_no_second_time(any_checkout):
    """Another process asks meanwhile; the paused one then asks with the same key and learns the same."""
    order = await any_checkout.order()
    reached, go_on = held(any_checkout.payments)
    paying = asyncio.create_task(any_checkout.pay(order))
    await reached.wait()
    await any_checkout.reconcile(payments=any_checkout.process())
    assert await any_checkout.status(order) == "PAID"
    go_on.set()
    assert status_of(await paying) == "APPROVED"
    assert any_checkout.approved(order) == [PRICE]
    assert not await any_checkout.unequal()


async def test_paused_at_a_gateway_without_keys_the_late_approval_is_refunded(checkout):
    """The others wait long, then record that nothing came; the paused process charges, and the money goes back."""
    checkout.judge.behave(keyed=False)
    order, process = await checkout.order(), checkout.process(key_valid_s=0.0)
    reached, go_on = held(process)
    paying = asyncio.create_task(checkout.pay(order, payments=process))
    await reached.wait()
    other = checkout.process(key_valid_s=0.0)
    await checkout.reconcile(payments=other)
    assert await checkout.status(order) == "PAYING"
    checkout.clock.ahead_ms += NOT_FOUND_IS_FINAL_MS
    await checkout.reconcile(payments=other)
    assert await checkout.status(order) == "RESERVED"
    go_on.set()
    assert status_of(await paying) == "UNFULFILLABLE"
    await checkout.reconcile(payments=other)
    assert (checkout.approved(order), checkout.refunded(order)) == ([PRICE], [PRICE])
    assert not await checkout.unequal()


async def test_a_clock_that_is_ahead_charges_no_second_time(any_checkout):
    """A process whose clock is ten minutes ahead takes every attempt over at once; the key is the same."""
    ahead = Clock()
    ahead.ahead_ms = 600_000
    other = any_checkout.process(clock=ahead)
    any_checkout.judge.behave(latency_s=0.2)
    bought = [await any_checkout.order() for _ in range(5)]
    paying = [asyncio.create_task(any_checkout.pay(order)) for order in bought]
    async with asyncio.timeout(30):
        while not all(paid.done() for paid in paying):
            await Reconciler(other).once()
    await asyncio.gather(*paying)
    await any_checkout.reconcile()
    assert [any_checkout.approved(order) for order in bought] == [[PRICE]] * 5
    assert [await any_checkout.status(order) for order in bought] == ["PAID"] * 5
    assert not await any_checkout.unequal()


async def test_two_reconcilers_ask_once(judge, any_checkout):
    """Of two processes that see the same open attempts, one acts on each."""
    judge.behave(outage=True)
    bought = [await any_checkout.order() for _ in range(5)]
    for order in bought:
        await any_checkout.pay(order)
    judge.behave(outage=False)
    any_checkout.clock.ahead_ms += 60_000
    asked = judge.count().requests
    both = await asyncio.gather(*(Reconciler(any_checkout.process()).once() for _ in range(2)))
    assert sum(each["settled"] for each in both) == 5
    assert judge.count().requests == asked + 5


async def test_a_buyer_who_leaves_has_paid_all_the_same(checkout):
    """The connection ends, and its task is cancelled: the answer of the gateway is recorded."""
    checkout.judge.behave(latency_s=0.1)
    order = await checkout.order()
    paying = asyncio.create_task(checkout.pay(order))
    await turns_until(lambda: checkout.payments.in_flight)
    paying.cancel()
    await asyncio.gather(paying, return_exceptions=True)
    await checkout.payments.close(5.0)
    assert (await checkout.status(order), checkout.approved(order)) == ("PAID", [PRICE])


@pytest.mark.parametrize("wait_s", [0.05, 5.0])
async def test_a_process_that_stops_leaves_nothing_half_done(checkout, wait_s):
    """What ends in time is recorded, with the refund that follows from it; the rest is found by another process."""
    checkout.judge.behave(latency_s=0.3)
    process = checkout.process()
    paid, wrong = await checkout.order(), await checkout.order()
    both = [
        asyncio.create_task(checkout.pay(paid, payments=process)),
        asyncio.create_task(checkout.pay(wrong, "fault-wrong-amount", payments=process)),
    ]
    await turns_until(lambda: process.in_flight == 2)
    await process.close(wait_s)
    assert not process.in_flight
    await asyncio.gather(*both, return_exceptions=True)
    assert (await checkout.refunds(wrong) == ["REFUNDED"]) == (wait_s > 1)
    checkout.judge.behave(latency_s=0.0)
    await checkout.reconcile()
    assert [checkout.approved(order) for order in (paid, wrong)] == [[PRICE], [PRICE + 1]]
    assert not await checkout.unequal()


async def test_postponing_again_after_the_purge_gives_nobody_the_right_to_ask(checkout):
    """Its recorded outcome is gone: the row itself says that somebody was there before."""
    checkout.judge.behave(outage=True)
    order = await checkout.order()
    await checkout.pay(order)
    (found,) = await checkout.rows(payment_attempts, subject_id=order)
    at_ms = checkout.clock()
    first = Postpone.at("attempt", found.id, found.tries, now_ms=at_ms, resolve_at_ms=at_ms + 1, code="")
    assert not (await checkout.shop.execute(first)).replayed
    assert (await checkout.shop.execute(first)).replayed
    until = asyncio.get_running_loop().time() + 5
    await checkout.shop.database.transaction(lambda conn: conn.execute(delete(requests)), deadline=until)
    again = await checkout.shop.execute(first)
    assert isinstance(again, Rejected)
    assert again.code == constants.STATE_CONFLICT
