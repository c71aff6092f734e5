"""The tables, their states, and what each kind of key means in SQL."""

from typing import NamedTuple

from sqlalchemy import BigInteger, CheckConstraint, Column, Index, MetaData, Table

from stockade.store import Resource, guarded, text, text_id

OPEN, CLOSED = "OPEN", "CLOSED"

metadata = MetaData()

campaigns = Table(
    "campaigns",
    metadata,
    Column("id", text_id(), primary_key=True),
    Column("size", BigInteger, nullable=False),
    Column("free", BigInteger, nullable=False),
    Column("ends_ms", BigInteger, nullable=False),
    Column("status", text(16), nullable=False),
    *guarded(),
    CheckConstraint("free >= 0", name="ck_campaigns_free"),
    Index("ix_campaigns_status_ends_ms_id", "status", "ends_ms", "id"),
)

# No unique constraint on campaign and user: the row of a key is unique, and the negative control must be able to fail.
coupons = Table(
    "coupons",
    metadata,
    Column("id", text_id(), primary_key=True),
    Column("campaign_id", text_id(), nullable=False),
    Column("user_id", text_id(255), nullable=False),
    Column("number", BigInteger, nullable=False),
    Column("given_ms", BigInteger, nullable=False),
    *guarded(),
    Index("ix_coupons_user_id_id", "user_id", "id"),
)


class CampaignState(NamedTuple):
    """A campaign: how many coupons it has, how many are free, when it ends (milliseconds since 1970)."""

    size: int
    free: int
    ends_ms: int
    status: str


class CouponState(NamedTuple):
    """A coupon of one user; its number counts from 1."""

    campaign_id: str
    user_id: str
    number: int
    given_ms: int


CAMPAIGN = Resource("campaign", campaigns, CampaignState, counters=("free",), fixed=("size", "ends_ms"))
COUPON = Resource("coupon", coupons, CouponState, fixed=CouponState._fields)
