"""The coupons example over a fresh database of every kind, and commands for it."""

from itertools import count

import pytest

from coupons.application import APPLICATION
from coupons.commands import CreateCampaign, GiveCoupon
from stockade.service.ids import derived_id
from stockade.store import Database

NOW_MS = 1_700_000_000_000
ENDS_IN_S = 60.0
END_MS = NOW_MS + 60_000
_numbers = count()


def campaign(size=100, *, name="spring"):
    """A command that creates a campaign."""
    return CreateCampaign(derived_id("campaign", next(_numbers)), name, size, ENDS_IN_S, NOW_MS)


def give(user, *, name="spring", now_ms=NOW_MS):
    """A command that gives a coupon, with a request id of its own."""
    return GiveCoupon(derived_id("give", next(_numbers)), name, user, now_ms)


@pytest.fixture
async def database(database_url):
    """The schema of the example on every kind of database."""
    opened = await Database.open(database_url, tables=APPLICATION.tables)
    try:
        await APPLICATION.schema.migrate(opened)
        yield opened
    finally:
        await opened.close()


@pytest.fixture
async def small(tmp_path):
    """The schema of the example on SQLite, for what does not differ between databases."""
    opened = await Database.open(f"sqlite:///{tmp_path / 'coupons.db'}", tables=APPLICATION.tables)
    try:
        await APPLICATION.schema.migrate(opened)
        yield opened
    finally:
        await opened.close()
