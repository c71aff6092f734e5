"""What stockade must know of this project, as one value."""

from collections.abc import Sequence
from pathlib import Path

from sqlalchemy import Connection, and_, or_, select

from coupons.audit import RULES
from coupons.commands import CloseCampaign, CreateCampaign, GiveCoupon
from coupons.tables import CAMPAIGN, COUPON, OPEN, campaigns, metadata
from stockade.core import Command
from stockade.service import Application, CommandCodec, Sweep
from stockade.store import STORE, History, Schema, StoreTables

HISTORY = History("coupons", metadata, Path(__file__).parent / "migrations", "coupons_schema")
SCHEMA = Schema(STORE, HISTORY)
TABLES = StoreTables(prefix="stockade_")  # this project may have tables named requests or outbox one day

APPLICATION = Application(
    name="coupons",
    resources=(CAMPAIGN, COUPON),
    codec=CommandCodec(CreateCampaign, GiveCoupon, CloseCampaign),
    schema=SCHEMA,
    tables=TABLES,
    partition_kind="campaign",
    rules=RULES,
    presets="coupons.lab:PRESETS",
)

Due = tuple[int, str]


def find_ended(connection: Connection, *, now_ms: int, behind: Due | None, limit: int) -> Sequence[Due]:
    """Open campaigns whose time is over, as (end, id), after the one given."""
    end, id_ = campaigns.c.ends_ms, campaigns.c.id
    last_ms, last_id = behind or (0, "")
    further = and_(end >= last_ms, or_(end > last_ms, id_ > last_id))
    due = select(end, id_).where(campaigns.c.status == OPEN, end <= now_ms, further).order_by(end, id_).limit(limit)
    return [(row.ends_ms, row.id) for row in connection.execute(due)]


def close(which: Due, now_ms: int) -> Command:
    """The command that ends a campaign."""
    return CloseCampaign(which[1], now_ms)


ENDED_CAMPAIGNS = Sweep("close campaigns", find_ended, close, done="closed", pause_s=1.0)
