"""Presets and a workload of the lab.

`stockade lab --app coupons --preset first-100` lets users ask at once, `stockade lab record --app coupons --workload
coupons.lab:STREAM` records what they see over some seconds, also while processes are killed.
"""

import itertools
import random
from collections.abc import Iterator, Sequence

from coupons.commands import CreateCampaign, GiveCoupon
from stockade.core import Command, Key
from stockade.lab import Burst, Load, Preset, RepeatNames, Request, Variant

HOUR_S = 3_600.0


def each_once(names: RepeatNames) -> Burst:
    """One request of each user."""
    return _workload(names, [names.id("user", n) for n in range(names.buyers)])


def twice(names: RepeatNames) -> Burst:
    """Two requests of each user, with ids of their own: the second of each is refused."""
    return _workload(names, [names.id("user", n // 2) for n in range(names.buyers)])


def _workload(names: RepeatNames, users: list[str]) -> Burst:
    campaign = names.id("campaign")
    request_id, _, now_ms = names.request("campaign")
    create = CreateCampaign(request_id, campaign, names.stock, HOUR_S, now_ms)
    orders = tuple(GiveCoupon(names.request("give", n)[0], campaign, user, now_ms) for n, user in enumerate(users))
    coupons = tuple(dict.fromkeys(order.coupon_key for order in orders))
    return Burst((create,), orders, (Key("campaign", campaign),), initial=names.stock, change=-1, other_rows=coupons)


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


class Stream:
    """Users ask for coupons of three campaigns, now and then for a second one; a new campaign follows each full one."""

    name = "coupons"
    summary = "users ask for coupons of campaigns that become full: no coupon too many, one for each user"
    load = Load(clients=8, duplicate_share=0.1)
    must_break = True
    size, users = 60, 50  # some of the users ask again, so that a campaign becomes full or all have a coupon

    def setup(self, names: RepeatNames) -> Sequence[Command]:
        """The first campaigns."""
        return [self._campaign(names, number) for number in range(3)]

    def rows(self, names: RepeatNames) -> Sequence[Key]:
        """The first campaigns."""
        return [Key("campaign", names.id("campaign", number)) for number in range(3)]

    def requests(self, names: RepeatNames, seed: int) -> Iterator[Request]:
        """Each campaign gets as many requests as it has coupons, then the one after the next is made."""
        rng = random.Random(seed)
        for number in itertools.count():
            for n in range(self.size):
                campaign, user = names.id("campaign", number), names.id("user", rng.randrange(self.users))
                give = GiveCoupon(names.request("give", number, n)[0], campaign, user, names.now_ms)
                yield Request(give, {str(give.campaign_key): -1})
            yield Request(self._campaign(names, number + 3))

    def _campaign(self, names: RepeatNames, number: int) -> CreateCampaign:
        request_id, _, now_ms = names.request("campaign", number)
        return CreateCampaign(request_id, names.id("campaign", number), self.size, HOUR_S, now_ms)


STREAM = Stream()
