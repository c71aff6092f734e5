"""The commands. Each names its rows and decides on them: no clock, no random numbers, no I/O."""

from dataclasses import dataclass
from typing import ClassVar

from coupons.tables import CLOSED, OPEN, CampaignState, CouponState
from stockade.core import Accepted, Change, Decision, Event, Key, Rejected, Rows
from stockade.service import derived_id, fingerprint_of

MAX_SIZE = 1_000_000


@dataclass(frozen=True, slots=True)
class CreateCampaign:
    """Offer a number of coupons for a time. It holds what the client sent, so that a retry has the same fingerprint."""

    name: ClassVar[str] = "create_campaign"
    strategy_group: ClassVar[str] = "coupons"
    request_id: str
    campaign: str
    size: int
    ends_in_s: float
    now_ms: int

    @property
    def fingerprint(self) -> str:
        """The content: the same request id with another one is refused."""
        return fingerprint_of([self.campaign, self.size, self.ends_in_s])

    @property
    def keys(self) -> tuple[Key, ...]:
        """The campaign."""
        return (Key("campaign", self.campaign),)

    def decide(self, rows: Rows) -> Decision:
        """Accepted unless there is one of this id, or the size is not allowed."""
        key = self.keys[0]
        if not 1 <= self.size <= MAX_SIZE:
            return Decision(Rejected("INVALID_SIZE", {"min": 1, "max": MAX_SIZE}))
        if rows[key].state is not None:
            return Decision(Rejected("CAMPAIGN_EXISTS"))
        ends_ms = self.now_ms + round(self.ends_in_s * 1_000)
        state = CampaignState(self.size, self.size, ends_ms, OPEN)
        return Decision(
            Accepted({"campaign": self.campaign, "size": self.size}),
            changes={key: Change(state, delta=self.size, note="create")},
        )


@dataclass(frozen=True, slots=True)
class GiveCoupon:
    """Give a coupon to a user: one each, while there are free ones."""

    name: ClassVar[str] = "give_coupon"
    strategy_group: ClassVar[str] = "coupons"
    request_id: str
    campaign: str
    user: str
    now_ms: int

    @property
    def fingerprint(self) -> str:
        """The content: the same request id with another one is refused."""
        return fingerprint_of([self.campaign, self.user])

    @property
    def campaign_key(self) -> Key:
        """The row that all users share."""
        return Key("campaign", self.campaign)

    @property
    def coupon_key(self) -> Key:
        """The row that exists once this user has a coupon. A hash, so that users of any length fit."""
        return Key("coupon", derived_id("coupon", self.campaign, self.user))

    @property
    def keys(self) -> tuple[Key, ...]:
        """Both rows."""
        return (self.campaign_key, self.coupon_key)

    def decide(self, rows: Rows) -> Decision:
        """Accepted with the number of the coupon."""
        campaign: CampaignState | None = rows[self.campaign_key].state
        if campaign is None:
            return Decision(Rejected("CAMPAIGN_NOT_FOUND"))
        if rows[self.coupon_key].state is not None:
            return Decision(Rejected("ALREADY_GIVEN"))
        if campaign.status != OPEN or self.now_ms >= campaign.ends_ms:
            return Decision(Rejected("CAMPAIGN_CLOSED"))
        if campaign.free < 1:
            return Decision(Rejected("SOLD_OUT"))
        number = campaign.size - campaign.free + 1
        coupon = CouponState(self.campaign, self.user, number, self.now_ms)
        body = {"coupon": self.coupon_key.id, "campaign": self.campaign, "user": self.user, "number": number}
        return Decision(
            Accepted({"coupon": self.coupon_key.id, "number": number}),
            changes={
                self.campaign_key: Change(
                    campaign._replace(free=campaign.free - 1), delta=-1, note="give", ref=self.coupon_key.id
                ),
                self.coupon_key: Change(coupon, note="give", ref=self.campaign),
            },
            events=[Event("coupon.given", self.campaign_key, body)],
        )


@dataclass(frozen=True, slots=True)
class CloseCampaign:
    """End a campaign whose time is over; the sweeper sends it."""

    name: ClassVar[str] = "close_campaign"
    strategy_group: ClassVar[str] = "coupons"
    campaign: str
    now_ms: int

    @property
    def request_id(self) -> str:
        """Derived from the row alone, so that two sweepers send the same request."""
        return derived_id("close_campaign", self.campaign)

    @property
    def fingerprint(self) -> str:
        """There is no other content."""
        return "close"

    @property
    def keys(self) -> tuple[Key, ...]:
        """The campaign."""
        return (Key("campaign", self.campaign),)

    def decide(self, rows: Rows) -> Decision:
        """Accepted if it is open and its time is over."""
        key = self.keys[0]
        campaign: CampaignState | None = rows[key].state
        if campaign is None or campaign.status != OPEN or self.now_ms < campaign.ends_ms:
            return Decision(Rejected("NOT_DUE"))
        return Decision(
            Accepted({"left": campaign.free}),
            changes={key: Change(campaign._replace(status=CLOSED), note="close")},
            events=[Event("campaign.closed", key, {"campaign": self.campaign, "left": campaign.free})],
        )
