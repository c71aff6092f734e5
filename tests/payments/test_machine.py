"""A hypothesis state machine over the commands of payments: after every step the shop is as a small model says."""

from dataclasses import dataclass, field

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from stockade.service.ids import derived_id
from stockade.shop.commands import ClaimPayment, OpenCharge, Postpone, RetryRefund, SettlePayment, SettleRefund
from stockade.shop.commands.payments.settle_payment import late_id, settle_id
from stockade.shop.model.payment_reference import reference_of
from tests.unit.shop.memory import MemoryShop

PRICE, STOCK = 1_000, 100
RESERVE_MS = 60_000
FEW = settings(max_examples=60, stateful_step_count=40, deadline=None)
MANY = settings(FEW, max_examples=300, phases=[Phase.generate], report_multiple_bugs=False)


@dataclass
class Subject:
    """An order or a charge: its state, the attempt it waits for, how many there were."""

    kind: str
    id: str
    status: str
    until_ms: int = 0
    live: str = ""
    number: int = 0
    with_points: bool = False

    @property
    def waits(self):
        """Whether a gateway is asked."""
        return self.status in ("PAYING", "APPROVING")


@dataclass
class Attempt:
    """An attempt, and the refunds that it owes: id to amount, status, and the gateway's id."""

    subject: Subject
    status: str = "APPROVING"
    charged: int = 0
    tries: int = 0
    owed: dict = field(default_factory=dict)


def _owed(attempt):
    """What is given back of an attempt, or is to be: a replaced refund is not."""
    return sum(amount for amount, status, _ in attempt.owed.values() if status != "REPLACED")


class PaymentMachine(RuleBasedStateMachine):
    """Orders and charges of one buyer."""

    def __init__(self):
        super().__init__()
        self.shop = MemoryShop()
        self.subjects, self.attempts, self.balance = [], {}, 0

    @initialize()
    def open(self):
        """One SKU, and points for two orders."""
        self.shop.sku("s", PRICE, STOCK)
        self.shop.charge("u", 2 * PRICE)
        self.balance = 2 * PRICE

    def any_subject(self, data):
        """One of the orders and charges."""
        return data.draw(st.sampled_from(self.subjects))

    def any_attempt(self, data):
        """One of the attempts: its id and its model."""
        return data.draw(st.sampled_from(sorted(self.attempts.items(), key=lambda each: each[0])))

    @rule()
    def place(self):
        """An order that is to be paid later."""
        id_ = self.shop.place("u", ("s", 1), pay="LATER", reserve_ms=RESERVE_MS).data["order_id"]
        self.subjects.append(Subject("order", id_, "RESERVED", self.shop.now_ms + RESERVE_MS))

    @rule()
    def open_charge(self):
        """A charge of points."""
        made = self.shop.execute(OpenCharge(*self.shop.next_id(), "u", PRICE, "KRW"))
        self.subjects.append(Subject("charge", made.data["charge_id"], "READY"))

    @rule(ms=st.sampled_from([1, RESERVE_MS // 2, RESERVE_MS * 3]))
    def wait(self, ms):
        """Time passes."""
        self.shop.now_ms += ms

    @precondition(lambda self: self.subjects)
    @rule(data=st.data(), amount=st.sampled_from([PRICE, PRICE, PRICE, PRICE - 1]))
    def claim(self, data, amount):
        """A request to pay."""
        subject, (id_, fingerprint, at_ms) = self.any_subject(data), self.shop.next_id()
        asked = ("key", amount, "KRW", "toss", at_ms + 45_000)
        answer = self.shop.execute(ClaimPayment(id_, fingerprint, at_ms, id_, subject.kind, subject.id, "u", *asked))
        expected = self.refusal(subject) or ("AMOUNT_MISMATCH" if amount != PRICE else "")
        assert (answer.accepted, getattr(answer, "code", "")) == (not expected, expected)
        if answer.accepted:
            subject.number += 1
            assert answer.data["reference"] == reference_of(subject.id, subject.number)
            subject.status, subject.live = ("PAYING" if subject.kind == "order" else "APPROVING"), id_
            self.attempts[id_] = Attempt(subject)

    def refusal(self, subject):
        """Why a claim is refused; empty: it is not, or because of its amount."""
        late = subject.kind == "order" and subject.status == "RESERVED" and self.shop.now_ms >= subject.until_ms
        if late or subject.status == "EXPIRED":
            return "RESERVATION_EXPIRED"
        if subject.waits:
            return "PAYMENT_IN_PROGRESS"
        if subject.status in ("PAID", "APPROVED"):
            return "ALREADY_PAID"
        if subject.status not in ("RESERVED", "READY"):
            return "STATE_CONFLICT"
        return "LIMIT_EXCEEDED" if subject.number >= 20 and subject.status in ("RESERVED", "READY") else ""

    @precondition(lambda self: self.attempts)
    @rule(data=st.data(), charged=st.sampled_from([0, PRICE, PRICE, PRICE + 1]))
    def answer(self, data, charged):
        """The gateway says no (0) or yes; whoever learns it records it, once more after a decline if it is a yes."""
        id_, attempt = self.any_attempt(data)
        self.settle(settle_id(id_), id_, charged)
        if charged and attempt.status == "DECLINED":
            self.settle(late_id(id_), id_, charged)
        subject = attempt.subject
        if attempt.status in ("APPROVING", "UNKNOWN"):
            waited = subject.waits and subject.live == id_
            self.settled(id_, attempt, charged, fulfilled=waited and charged == PRICE)
        elif attempt.status == "DECLINED" and charged:
            self.settled(id_, attempt, charged, fulfilled=False)

    def settle(self, request, id_, charged):
        """One recording; a repeated one changes nothing."""
        if request in self.shop.known:
            return
        self.shop.execute(
            SettlePayment(
                request, "f", self.shop.now_ms, id_, charged > 0, "tx", charged, "KRW", "" if charged else "NO"
            )
        )

    def settled(self, id_, attempt, charged, *, fulfilled):
        """What the first definite answer, or a yes after a no, does in the model."""
        subject = attempt.subject
        waited = subject.waits and subject.live == id_
        attempt.charged = charged
        if fulfilled:
            attempt.status = "APPROVED"
            subject.status = "PAID" if subject.kind == "order" else "APPROVED"
            self.balance += PRICE if subject.kind == "charge" else 0
            return
        attempt.status = "UNFULFILLABLE" if charged else "DECLINED"
        if charged:
            attempt.owed[derived_id("refund", id_, "UNFULFILLABLE")] = [charged, "READY", ""]
        if waited and subject.kind == "charge":
            subject.status = "CANCELLED" if charged else "READY"
        elif waited:
            subject.status, subject.live = "RESERVED", ""
            subject.until_ms = max(subject.until_ms + 1, self.shop.now_ms + 120_000)

    @precondition(lambda self: self.attempts)
    @rule(data=st.data(), stale=st.booleans())
    def postpone(self, data, stale):
        """A reconciler takes an attempt over; one that saw an older state gets nothing."""
        id_, attempt = self.any_attempt(data)
        tries = attempt.tries - stale
        command = Postpone.at("attempt", id_, tries, now_ms=self.shop.now_ms, resolve_at_ms=1, code="")
        if command.request_id in self.shop.known:
            return
        answer = self.shop.execute(command)
        assert answer.accepted == (attempt.status in ("APPROVING", "UNKNOWN") and not stale)
        if answer.accepted:
            attempt.status, attempt.tries = "UNKNOWN", attempt.tries + 1

    @precondition(lambda self: any(each.kind == "order" for each in self.subjects))
    @rule(data=st.data(), how=st.sampled_from(["cancel", "points", "expire"]))
    def other_ends(self, data, how):
        """The order is cancelled, paid with points, or its reservation ends."""
        subject = data.draw(st.sampled_from([each for each in self.subjects if each.kind == "order"]))
        now_ms = self.shop.now_ms
        if how == "cancel":
            answer = self.shop.cancel(subject.id, "u")
            allowed = subject.status in ("RESERVED", "PAYING", "PAID")
        elif how == "points":
            answer = self.shop.pay(subject.id, "u")
            allowed = subject.status == "RESERVED" and now_ms < subject.until_ms and self.balance >= PRICE
        else:
            answer = self.shop.expire(subject.id)
            allowed = subject.status == "RESERVED" and now_ms >= subject.until_ms
        assert answer.accepted == allowed
        if allowed:
            self.ended(subject, how)

    def ended(self, subject, how):
        """What that does in the model."""
        paid = subject.status == "PAID"
        subject.status = {"cancel": "CANCELLED", "points": "PAID", "expire": "EXPIRED"}[how]
        if how == "points":
            subject.with_points, self.balance = True, self.balance - PRICE
        elif how == "cancel" and paid and subject.with_points:
            self.balance += PRICE
        elif how == "cancel" and paid:
            attempt = self.attempts[subject.live]
            attempt.status = "CANCELLED"
            attempt.owed[derived_id("refund", subject.live, subject.id)] = [PRICE, "READY", ""]

    @precondition(lambda self: any(each.owed for each in self.attempts.values()))
    @rule(data=st.data(), how=st.sampled_from(["yes", "no", "by hand", "failed"]))
    def refund(self, data, how):
        """The gateway gives back or refuses, a person does, or what was given back failed; only news is accepted."""
        id_, entry = self.any_refund(data)
        gateway_id = {"yes": "re", "no": "", "by hand": "bank", "failed": "re"}[how]
        refunded = how in ("yes", "by hand")
        command = SettleRefund.of(id_, now_ms=self.shop.now_ms, refunded=refunded, gateway_id=gateway_id)
        if command.request_id in self.shop.known:
            return
        answer = self.shop.execute(command)
        _, status, before = entry
        allowed = status in ("READY", "UNKNOWN") or (refunded and status == "REFUSED" and before != gateway_id)
        allowed = allowed or (how == "failed" and status == "REFUNDED" and before == "re")
        assert answer.accepted == allowed
        if allowed:
            entry[1:] = ["REFUNDED" if refunded else "REFUSED", gateway_id]

    @precondition(lambda self: any(each.owed for each in self.attempts.values()))
    @rule(data=st.data())
    def retry_refund(self, data):
        """A refused refund is owed again under another id; no other one is."""
        id_, entry = self.any_refund(data)
        command = RetryRefund.of(id_, self.shop.state("refund", id_), now_ms=self.shop.now_ms)
        if command.request_id in self.shop.known:
            return
        answer = self.shop.execute(command)
        assert answer.accepted == (entry[1] == "REFUSED")
        if answer.accepted:
            entry[1] = "REPLACED"
            owed = next(each.owed for each in self.attempts.values() if id_ in each.owed)
            owed[answer.data["refund_id"]] = [entry[0], "READY", ""]

    def any_refund(self, data):
        """One of the refunds: its id and its model."""
        owed = {id_: entry for each in self.attempts.values() for id_, entry in each.owed.items()}
        return data.draw(st.sampled_from(sorted(owed.items(), key=lambda each: each[0])))

    @invariant()
    def is_as_the_model_says(self):
        """Orders, charges, attempts, refunds, points and stock."""
        for each in self.subjects:
            state = self.shop.state(each.kind, each.id)
            assert (state.status, state.attempts) == (each.status, each.number)
        for id_, each in self.attempts.items():
            state = self.shop.state("attempt", id_)
            owed = _owed(each)
            assert (state.status, state.charged, state.refunds) == (each.status, each.charged, owed)
            for refund_id, entry in each.owed.items():
                kept = self.shop.state("refund", refund_id)
                assert [kept.amount, kept.status, kept.gateway_id] == entry
        if self.subjects:
            orders = [each for each in self.subjects if each.kind == "order"]
            held = sum(each.status in ("RESERVED", "PAYING") for each in orders)
            sold = sum(each.status == "PAID" for each in orders)
            assert self.shop.stock("s") == (STOCK - sold, held)
            assert self.shop.balance("u") == self.balance

    @invariant()
    def nobody_pays_for_nothing(self):
        """What was charged and is not given back is the price of what was delivered, once."""
        for subject in self.subjects:
            mine = [each for each in self.attempts.values() if each.subject is subject]
            kept = sum(each.charged - _owed(each) for each in mine)
            delivered = subject.status in ("PAID", "APPROVED") and not subject.with_points
            assert kept == (PRICE if delivered else 0)
            assert sum(each.status == "APPROVED" for each in mine) == delivered


class ForgettingMachine(PaymentMachine):
    """The negative control: a yes after a recorded no is dropped."""

    def settle(self, request, id_, charged):
        if request != late_id(id_):
            super().settle(request, id_, charged)


def test_payments_are_as_the_model_says():
    """Random histories of claims, answers, cancellations, refunds and time."""
    run_state_machine_as_test(PaymentMachine, settings=FEW)


def test_the_control_that_forgets_a_late_approval_is_found():
    """The model notices money that was taken and is in no book."""
    with pytest.raises(AssertionError, match="UNFULFILLABLE"):
        run_state_machine_as_test(
            ForgettingMachine, settings=settings(FEW, max_examples=300, report_multiple_bugs=False)
        )
