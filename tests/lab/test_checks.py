"""Each check finds nothing in a right repeat, and a violation in a repeat in which one thing is wrong."""

import pytest

from stockade.core import Accepted, Rejected
from stockade.lab.checks import CHECKS, violations
from tests.lab.repeat_results import (
    CREATED,
    FAILED,
    FIRST,
    KEY,
    REJECTED,
    SECOND,
    THIRD,
    RowAmounts,
    entry,
    response,
    right,
    with_responses,
    with_snapshot,
)

REFUSED = response(THIRD, REJECTED, "OUT_OF_STOCK")
BOOKED = right().snapshot.ledger

WRONG = {
    "everyone is sold to": ("oversell", with_responses(response(FIRST), response(SECOND), response(THIRD))),
    "more held than there is": ("oversell", with_snapshot(rows={KEY: RowAmounts(2, 3, 3)})),
    "a unit too many is left": ("conservation", with_snapshot(rows={KEY: RowAmounts(2, 1, 3)})),
    "a unit is nowhere": ("conservation", with_snapshot(rows={KEY: RowAmounts(1, 2, 3)})),
    "the row is gone": ("conservation", with_snapshot(rows={})),
    "two writers of one version": ("ledger-chain", with_snapshot(ledger=(*BOOKED[:2], entry(SECOND, 2)))),
    "a version is missing": ("ledger-chain", with_snapshot(ledger=(*BOOKED[:2], entry(SECOND, 4)))),
    "an entry that does not follow": (
        "ledger-chain",
        with_snapshot(ledger=(*BOOKED[:2], entry(SECOND, 3, held_after=1))),
    ),
    "the row is ahead of its ledger": ("ledger-chain", with_snapshot(rows={KEY: RowAmounts(2, 2, 4)})),
    "accepted without an entry": (
        "exactly-once",
        with_snapshot(ledger=(BOOKED[0], entry(FIRST, 2, held=2, held_after=2)), rows={KEY: RowAmounts(2, 2, 2)}),
    ),
    "accepted without an order": ("exactly-once", with_snapshot(orders=frozenset({FIRST}))),
    "accepted, recorded as refused": (
        "exactly-once",
        with_snapshot(requests={**right().snapshot.requests, FIRST: Rejected("OUT_OF_STOCK")}),
    ),
    "refused, but it moved the row": (
        "exactly-once",
        with_snapshot(ledger=(*BOOKED, entry(THIRD, 4)), rows={KEY: RowAmounts(2, 3, 4)}),
    ),
    "refused, but there is an order": ("exactly-once", with_snapshot(orders=frozenset({FIRST, SECOND, THIRD}))),
    "refused, not recorded": (
        "exactly-once",
        with_snapshot(requests={FIRST: Accepted({}), SECOND: Accepted({})}),
    ),
    "busy, but there is an order": (
        "exactly-once",
        with_responses(response(FIRST), response(SECOND, FAILED, "LOCK_TIMEOUT"), REFUSED),
    ),
    "one request, two answers": (
        "same-answer",
        with_responses(response(FIRST), response(FIRST, content_hash="other"), response(SECOND), REFUSED),
    ),
    "a buyer without an answer": ("count", with_responses(response(FIRST), response(SECOND))),
    "refused for another reason": (
        "unexpected",
        with_responses(response(FIRST), response(SECOND), response(THIRD, REJECTED, "NO")),
    ),
    "an error that is not documented": (
        "unexpected",
        with_responses(
            response(FIRST), response(SECOND), response(THIRD, FAILED, "KeyError", unexpected_error="KeyError: 'x'")
        ),
    ),
}


def test_a_right_repeat_has_no_violation():
    """Two of three accepted, nothing left: no check finds anything."""
    assert violations(right()) == []


@pytest.mark.parametrize("what", WRONG)
def test_a_check_notices(what):
    """The check that the defect is named after finds it, in words."""
    rule, result = WRONG[what]
    found = violations(result)
    assert rule in {each.rule for each in found}, found
    assert all(each.detail for each in found)


def test_every_check_has_a_defect_that_only_tests_its_rule():
    """Each rule of the lab appears among the defects above: no check has never failed."""
    rules = {check.__module__.rpartition(".")[2].replace("_", "-") for check in CHECKS}
    assert rules == {rule for rule, _ in WRONG.values()}


def test_an_unknown_outcome_may_have_happened():
    """A command with an unknown outcome may have been executed: no violation."""
    result = with_responses(
        response(FIRST), response(SECOND, FAILED, "OUTCOME_UNKNOWN")._replace(unknown=True), REFUSED
    )
    assert "exactly-once" not in {each.rule for each in violations(result)}


def test_the_first_violation_is_the_most_visible():
    """Of many violations the oversold unit comes first, not a version number."""
    result = with_snapshot(ledger=(BOOKED[0], entry(CREATED, 1)), rows={KEY: RowAmounts(2, 3, 3)})
    assert violations(result)[0].rule == "oversell"
