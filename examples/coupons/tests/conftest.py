"""Where the tests run: SQLite always, PostgreSQL where COUPONS_TEST_POSTGRES_URL names a server."""

import os

import pytest

from coupons.application import APPLICATION
from stockade.testing import fresh_database

STRATEGIES = ("sequencer", "pessimistic", "optimistic")
URLS = ("sqlite", *filter(None, [os.environ.get("COUPONS_TEST_POSTGRES_URL")]))


@pytest.fixture(params=URLS, ids=["sqlite", "postgres"][: len(URLS)])
async def database(request, tmp_path):
    """An empty database with the schema of this project."""
    url = f"sqlite:///{tmp_path / 'coupons.db'}" if request.param == "sqlite" else request.param
    async with fresh_database(APPLICATION, url) as opened:
        yield opened
