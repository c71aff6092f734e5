"""Where the tests run: SQLite always, PostgreSQL where COUPONS_TEST_POSTGRES_URL names a server."""

import os

from coupons.application import APPLICATION
from stockade.testing.fixtures import database_fixture

STRATEGIES = ("sequencer", "pessimistic", "optimistic")
database = database_fixture(APPLICATION, ("sqlite", *filter(None, [os.environ.get("COUPONS_TEST_POSTGRES_URL")])))
