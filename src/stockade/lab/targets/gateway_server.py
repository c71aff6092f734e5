"""The test gateway of a run: what it counts is the judge of the payment presets. It ends with the run.

Without a key it charges as often as it is asked, also for one page: that is what the reports' schemes are about.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from stockade.devservers import ServerFailed, Servers
from stockade.devservers.gateway import Count, GatewayClient
from stockade.lab.errors import LabError

LOST_REPLY = "lost-reply"


class GatewayServer:
    """A running test gateway at a URL."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._client = GatewayClient(url)

    async def behave(self, *, latency_s: float, lost_replies: bool) -> None:
        """How long every answer takes, in seconds, and whether the buyer is charged and the reply is lost."""
        faults = {LOST_REPLY: 1.0} if lost_replies else {}
        await asyncio.to_thread(self._client.behave, latency_s=latency_s, faults=faults)

    async def count(self) -> Count:
        """What it has done until now."""
        return await asyncio.to_thread(self._client.count)


@asynccontextmanager
async def open_gateway(*, wanted: bool) -> AsyncIterator[GatewayServer | None]:
    """Start a gateway, if a variant of the run needs one.

    Raises:
        LabError: it did not start.
    """
    if not wanted:
        yield None
        return
    with Servers() as servers:
        try:
            server = await asyncio.to_thread(servers.gateway, once_per_payment_key=False)
        except ServerFailed as error:
            raise LabError(str(error)) from error
        yield GatewayServer(server.url)
