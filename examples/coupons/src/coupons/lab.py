"""Presets of the lab: `stockade lab --app coupons --preset first-100`."""

from coupons.commands import CreateCampaign, GiveCoupon
from stockade.core import Key
from stockade.lab import Preset, RepeatNames, Variant, Workload

HOUR_S = 3_600.0


def each_once(names: RepeatNames) -> Workload:
    """One request of each user."""
    return _workload(names, [names.id("user", n) for n in range(names.buyers)])


def twice(names: RepeatNames) -> Workload:
    """Two requests of each user, with ids of their own: the second of each is refused."""
    return _workload(names, [names.id("user", n // 2) for n in range(names.buyers)])


def _workload(names: RepeatNames, users: list[str]) -> Workload:
    campaign = names.id("campaign")
    request_id, _, now_ms = names.request("campaign")
    create = CreateCampaign(request_id, campaign, names.stock, HOUR_S, now_ms)
    orders = tuple(GiveCoupon(names.request("give", n)[0], campaign, user, now_ms) for n, user in enumerate(users))
    coupons = tuple(dict.fromkeys(order.coupon_key for order in orders))
    return Workload((create,), orders, (Key("campaign", campaign),), initial=names.stock, change=-1, other_rows=coupons)


FIRST_100 = Variant(
    label="",
    summary="100 coupons, 150 users at once: 100 accepted, 50 refused, 0 left",
    workload=each_once,
    buyers=150,
    stock=100,
    allowed_rejection="SOLD_OUT",
    repeats=3,
)
ONE_EACH = Variant(
    label="",
    summary="40 users ask twice at once: 40 accepted, 40 refused",
    workload=twice,
    buyers=80,
    stock=40,
    allowed_rejection="ALREADY_GIVEN",
    must_fail_unprotected=False,
    repeats=3,
)
PRESETS = (Preset("first-100", (FIRST_100,)), Preset("one-each", (ONE_EACH,)))
