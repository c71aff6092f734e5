"""How open attempts and refunds are resolved: pure rules."""

from types import SimpleNamespace

import pytest

from stockade.gateways import Capabilities
from stockade.shop.model.states import AttemptState, RefundState
from stockade.shop.payments.next_step import (
    ASK_AGAIN_MS,
    MAX_TRIES,
    NOT_FOUND_IS_FINAL_MS,
    NextStep,
    RefundStep,
    after_not_found,
    first_step,
    pause_ms,
    refund_is_due,
    refund_is_shown,
    refund_step,
)

NOW_MS, HOUR_MS = 1_700_000_000_000, 3_600_000
TOSS = Capabilities(15 * 86_400.0, look_up=True, signed_notifications=False)
STRIPE = Capabilities(23 * 3_600.0, look_up=False, signed_notifications=True)
NO_KEY = Capabilities(0.0, look_up=True, signed_notifications=False)
NEITHER = Capabilities(0.0, look_up=False, signed_notifications=False)


def gateway(capabilities, name="g"):
    """A gateway as far as these rules see it."""
    return SimpleNamespace(name=name, capabilities=capabilities)


def attempt(**changes):
    """An attempt of which nothing is known."""
    empty = dict.fromkeys(AttemptState._fields, "")
    numbers = {"amount": 1, "charged": 0, "refunds": 0, "resolve_at_ms": 0, "tries": 0, "created_ms": NOW_MS}
    return AttemptState(**{**empty, **numbers, "gateway": "g", "status": "UNKNOWN", **changes})


def refund(**changes):
    """A refund of 300 that was asked for."""
    empty = dict.fromkeys(RefundState._fields, "")
    numbers = {"amount": 300, "created_ms": NOW_MS, "resolve_at_ms": NOW_MS, "tries": 1}
    return RefundState(**{**empty, **numbers, "status": "UNKNOWN", **changes})


@pytest.mark.parametrize(
    ("capabilities", "changes", "later_ms", "step"),
    [
        (TOSS, {}, 0, NextStep.LOOK_UP),
        (STRIPE, {}, 0, NextStep.ASK_AGAIN),
        (STRIPE, {}, 23 * HOUR_MS, NextStep.LEAVE_TO_A_PERSON),
        (STRIPE, {"gateway_id": "pi_1"}, 23 * HOUR_MS, NextStep.LOOK_UP),
        (STRIPE, {"status": "DECLINED"}, 0, NextStep.LEAVE_TO_A_PERSON),
        (NEITHER, {}, 0, NextStep.LEAVE_TO_A_PERSON),
        (TOSS, {"tries": MAX_TRIES}, 0, NextStep.LEAVE_TO_A_PERSON),
        (TOSS, {"gateway": "another", "tries": MAX_TRIES}, 0, NextStep.WAIT),
    ],
)
def test_first_steps(capabilities, changes, later_ms, step):
    """Look up where that is possible, ask again only while the key is valid, else a person."""
    assert first_step(attempt(**changes), gateway(capabilities), NOW_MS + later_ms) is step


@pytest.mark.parametrize(
    ("capabilities", "status", "wanted", "later_ms", "step"),
    [
        (TOSS, "UNKNOWN", True, ASK_AGAIN_MS - 1, NextStep.ASK_AGAIN),
        (TOSS, "UNKNOWN", True, ASK_AGAIN_MS, NextStep.WAIT),
        (TOSS, "UNKNOWN", True, ASK_AGAIN_MS + NOT_FOUND_IS_FINAL_MS + 1, NextStep.DECLINE),
        (TOSS, "UNKNOWN", False, 0, NextStep.WAIT),
        (TOSS, "UNKNOWN", False, ASK_AGAIN_MS + NOT_FOUND_IS_FINAL_MS, NextStep.WAIT),
        (TOSS, "UNKNOWN", False, ASK_AGAIN_MS + NOT_FOUND_IS_FINAL_MS + 1, NextStep.DECLINE),
        (TOSS, "DECLINED", True, 0, NextStep.WAIT),
        (NO_KEY, "UNKNOWN", True, 0, NextStep.WAIT),
        (NO_KEY, "APPROVING", True, NOT_FOUND_IS_FINAL_MS + 1, NextStep.DECLINE),
    ],
)
def test_steps_after_nothing_was_found(capabilities, status, wanted, later_ms, step):
    """What nobody waits for, has no key or was asked for long enough: waited for, then declined; settled: nothing."""
    assert after_not_found(attempt(status=status), capabilities, NOW_MS + later_ms, wanted=wanted) is step


@pytest.mark.parametrize(
    ("capabilities", "changes", "gateway_id", "later_ms", "step"),
    [
        (STRIPE, {}, "pi_1", 0, RefundStep.ASK),
        (STRIPE, {}, "pi_1", 23 * HOUR_MS, RefundStep.LOOK_UP),
        (STRIPE, {"tries": 0}, "pi_1", 23 * HOUR_MS, RefundStep.ASK),
        (NO_KEY, {}, "", 0, RefundStep.LOOK_UP),
        (NEITHER, {}, "", 0, RefundStep.LEAVE_TO_A_PERSON),
        (TOSS, {"tries": MAX_TRIES}, "", 0, RefundStep.LEAVE_TO_A_PERSON),
    ],
)
def test_steps_of_refunds(capabilities, changes, gateway_id, later_ms, step):
    """The first time it is asked for; again only with a valid key; else it is looked up."""
    paid = attempt(gateway_id=gateway_id)
    assert refund_step(refund(**changes), paid, gateway(capabilities), NOW_MS + later_ms) is step


@pytest.mark.parametrize(
    ("status", "resolve_at_ms", "due"),
    [
        ("READY", NOW_MS + 1, True),
        ("UNKNOWN", NOW_MS, True),
        ("UNKNOWN", NOW_MS + 1, False),
        ("UNKNOWN", 0, False),
        ("REFUNDED", 0, False),
    ],
)
def test_when_a_refund_is_due(status, resolve_at_ms, due):
    """Not while another process is at it, and not once a person has to decide."""
    assert refund_is_due(refund(status=status, resolve_at_ms=resolve_at_ms), NOW_MS) is due


@pytest.mark.parametrize(
    ("refunded", "shown"),
    [(100, []), (400, ["a"]), (600, ["b"]), (900, ["a", "b"]), (500, [])],
)
def test_which_refund_a_payment_shows(refunded, shown):
    """Of 300 and 500, with 100 recorded before: one exactly, or both together; anything else is neither."""
    refunds = {"a": refund(), "b": refund(amount=500), "c": refund(amount=100, status="REFUNDED")}
    assert [each for each in "ab" if refund_is_shown(refunded, each, refunds)] == shown


def test_pauses_grow_up_to_a_limit():
    """2 s, 4 s, 8 s … ten minutes."""
    assert [pause_ms(tries) for tries in (0, 1, 2, 50, 500)] == [2_000, 4_000, 8_000, 600_000, 600_000]
