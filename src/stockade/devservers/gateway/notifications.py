"""Delivers the test gateway's notifications, some times over, in the background or before the reply."""

import asyncio
from http.client import HTTPException
from urllib.error import URLError
from urllib.request import Request, urlopen

from stockade.devservers.gateway.behaviour import Behaviour
from stockade.devservers.gateway.dialect import Message

TIMEOUT_S = 10.0
MAX_WAITING = 1_000


class Notifications:
    """Sends notifications to the URL of the behaviour.

    Attributes:
        lost: deliveries that failed, which are not repeated, and those that found `MAX_WAITING` others waiting.
    """

    def __init__(self, behaviour: Behaviour) -> None:
        self._behaviour = behaviour
        self._tasks: set[asyncio.Task[None]] = set()
        self.lost = 0

    async def send(self, message: Message) -> None:
        """Deliver it before the reply, or begin to, as the behaviour says."""
        if not self._behaviour.webhook_url:
            return
        if len(self._tasks) >= MAX_WAITING:
            self.lost += self._behaviour.webhook_copies
            return
        task = asyncio.create_task(self._deliver(message), name="gateway-notification")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        if self._behaviour.webhook_early:
            await task

    async def _deliver(self, message: Message) -> None:
        url = self._behaviour.webhook_url
        for _ in range(self._behaviour.webhook_copies):
            try:
                await asyncio.to_thread(_post, url, message)
            except (URLError, HTTPException, OSError):
                self.lost += 1


def _post(url: str, message: Message) -> None:
    with urlopen(Request(url, message.body, message.headers), timeout=TIMEOUT_S) as reply:  # noqa: S310 - tests name it
        reply.read(1_000)
