"""Each check is silent on a right repeat and speaks on a repeat in which one thing is wrong."""

import pytest

from stockade.core import Accepted, Rejected
from stockade.lab.checks import CHECKS, violations
from tests.lab.trials import (
    CREATED,
    FAILED,
    FIRST,
    KEY,
    REJECTED,
    SECOND,
    THIRD,
    Amounts,
    entry,
    right,
    shot,
    with_evidence,
    with_shots,
)

REFUSED = shot(THIRD, REJECTED, "OUT_OF_STOCK")
BOOKED = right().evidence.ledger

WRONG = {
    "everyone is sold to": ("oversell", with_shots(shot(FIRST), shot(SECOND), shot(THIRD))),
    "more held than there is": ("oversell", with_evidence(rows={KEY: Amounts(2, 3, 3)})),
    "a unit too many is left": ("conservation", with_evidence(rows={KEY: Amounts(2, 1, 3)})),
    "a unit is nowhere": ("conservation", with_evidence(rows={KEY: Amounts(1, 2, 3)})),
    "the row is gone": ("conservation", with_evidence(rows={})),
    "two writers of one version": ("ledger-chain", with_evidence(ledger=(*BOOKED[:2], entry(SECOND, 2)))),
    "a version is missing": ("ledger-chain", with_evidence(ledger=(*BOOKED[:2], entry(SECOND, 4)))),
    "an entry that does not follow": (
        "ledger-chain",
        with_evidence(ledger=(*BOOKED[:2], entry(SECOND, 3, held_after=1))),
    ),
    "the row is ahead of its ledger": ("ledger-chain", with_evidence(rows={KEY: Amounts(2, 2, 4)})),
    "accepted without an entry": (
        "exactly-once",
        with_evidence(ledger=(BOOKED[0], entry(FIRST, 2, held=2, held_after=2)), rows={KEY: Amounts(2, 2, 2)}),
    ),
    "accepted without an order": ("exactly-once", with_evidence(orders=frozenset({FIRST}))),
    "accepted, recorded as refused": (
        "exactly-once",
        with_evidence(requests={**right().evidence.requests, FIRST: Rejected("OUT_OF_STOCK")}),
    ),
    "refused, but it moved the row": (
        "exactly-once",
        with_evidence(ledger=(*BOOKED, entry(THIRD, 4)), rows={KEY: Amounts(2, 3, 4)}),
    ),
    "refused, but there is an order": ("exactly-once", with_evidence(orders=frozenset({FIRST, SECOND, THIRD}))),
    "refused, not recorded": (
        "exactly-once",
        with_evidence(requests={FIRST: Accepted({}), SECOND: Accepted({})}),
    ),
    "busy, but there is an order": (
        "exactly-once",
        with_shots(shot(FIRST), shot(SECOND, FAILED, "LOCK_TIMEOUT"), REFUSED),
    ),
    "one request, two answers": (
        "same-answer",
        with_shots(shot(FIRST), shot(FIRST, content="other"), shot(SECOND), REFUSED),
    ),
    "a buyer without an answer": ("count", with_shots(shot(FIRST), shot(SECOND))),
    "refused for another reason": ("unexpected", with_shots(shot(FIRST), shot(SECOND), shot(THIRD, REJECTED, "NO"))),
    "an error nobody documents": (
        "unexpected",
        with_shots(shot(FIRST), shot(SECOND), shot(THIRD, FAILED, "KeyError", unexpected="KeyError: 'x'")),
    ),
}


def test_a_right_repeat_has_no_violation():
    """Two of three served, nothing left: every check is silent."""
    assert violations(right()) == []


@pytest.mark.parametrize("what", WRONG)
def test_a_check_notices(what):
    """The check that the defect is named after finds it, in words."""
    rule, trial = WRONG[what]
    found = violations(trial)
    assert rule in {each.rule for each in found}, found
    assert all(each.detail for each in found)


def test_every_check_has_a_defect_that_only_tests_its_rule():
    """Each rule of the lab appears among the defects above: no check has never failed."""
    rules = {check.__module__.rpartition(".")[2].replace("_", "-") for check in CHECKS}
    assert rules == {rule for rule, _ in WRONG.values()}


def test_an_unknown_outcome_may_have_happened():
    """Whoever was told that the outcome is unknown may find it done: no violation."""
    trial = with_shots(shot(FIRST), shot(SECOND, FAILED, "OUTCOME_UNKNOWN")._replace(unknown=True), REFUSED)
    assert "exactly-once" not in {each.rule for each in violations(trial)}


def test_the_first_violation_is_the_one_a_shopkeeper_notices():
    """Of many findings the sold-out unit is shown, not a version number."""
    trial = with_evidence(ledger=(BOOKED[0], entry(CREATED, 1)), rows={KEY: Amounts(2, 3, 3)})
    assert violations(trial)[0].rule == "oversell"
