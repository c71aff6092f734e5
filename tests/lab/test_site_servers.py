"""Servers of sites that do not start leave nothing behind."""

import asyncio

import pytest

from stockade.devservers import ServerFailed
from stockade.lab.errors import LabError
from stockade.lab.site import site_servers
from stockade.lab.site.site_servers import SiteServers


class Half:
    """A server that opens a part and fails then."""

    def __init__(self, error):
        self.error, self.parts = error, []

    async def open(self):
        self.parts.append("disk")
        raise self.error

    async def close(self):
        self.parts.clear()


@pytest.mark.parametrize("error", [ServerFailed("no port"), asyncio.CancelledError()])
async def test_what_was_opened_before_a_failure_is_closed(monkeypatch, error):
    """Whatever the failure is; one of the server is said in one line."""
    half = Half(error)
    monkeypatch.setattr(site_servers, "KafkaBroker", lambda **options: half)
    raised = LabError if isinstance(error, ServerFailed) else asyncio.CancelledError
    async with SiteServers() as servers:
        with pytest.raises(raised):
            async with servers.kafka():
                pass
    assert half.parts == []
