"""The rules of the commands, without a database."""

from coupons.commands import CloseCampaign, CreateCampaign, GiveCoupon
from coupons.tables import OPEN, CampaignState, CouponState
from stockade.core import Key
from stockade.testing import decide

NOW_MS = 1_700_000_000_000
SPRING = Key("campaign", "spring")
CAMPAIGN = CampaignState(size=100, free=100, ends_ms=NOW_MS + 1000, status=OPEN)


def give(now_ms=NOW_MS):
    return GiveCoupon("1" * 32, "spring", "ann", now_ms)


def refusal(command, states):
    return decide(command, states).outcome.code


def test_gives_the_next_number():
    """The first coupon has number 1, and takes one of the free ones."""
    decision = decide(give(), {SPRING: CAMPAIGN})
    assert decision.outcome.data["number"] == 1
    assert decision.changes[SPRING].state.free == 99


def test_refuses_what_the_rules_forbid():
    """No campaign, a second coupon, none left, too late."""
    given = CouponState("spring", "ann", 1, NOW_MS)
    assert refusal(give(), {}) == "CAMPAIGN_NOT_FOUND"
    assert refusal(give(), {SPRING: CAMPAIGN, give().coupon_key: given}) == "ALREADY_GIVEN"
    assert refusal(give(), {SPRING: CAMPAIGN._replace(free=0)}) == "SOLD_OUT"
    assert refusal(give(NOW_MS + 1000), {SPRING: CAMPAIGN}) == "CAMPAIGN_CLOSED"
    assert refusal(CloseCampaign("spring", NOW_MS), {SPRING: CAMPAIGN}) == "NOT_DUE"
    assert refusal(CreateCampaign("2" * 32, "spring", 0, 1.0, NOW_MS), {}) == "INVALID_SIZE"
