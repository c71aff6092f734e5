"""Servers of sites: those that do not start leave nothing behind, and one accepts what a recording opens."""

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


async def test_a_server_accepts_as_many_connections_as_a_recording_opens(monkeypatch):
    """The usual server takes 200; a large recording gets one of its own, which takes those of the lab, too."""
    made = []

    class Server:
        def __init__(self, kind, **options):
            made.append(options["connections"])

        async def nothing(self):
            """It is a stand-in."""

        open = begin = end = restore = close = nothing

    monkeypatch.setattr(site_servers, "DatabaseServer", Server)
    async with SiteServers() as servers:
        for connections in (10, 252, 20):
            async with servers.database("postgres", connections=connections):
                pass
    assert made == [200, 272]
