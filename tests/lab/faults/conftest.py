"""Servers that the tests of a module share."""

import pytest_asyncio

from stockade.lab.site.site_servers import SiteServers


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site_servers():
    """Servers that the tests of a module use one after the other, as the recordings of a ring do."""
    async with SiteServers() as kept:
        yield kept
