"""Prints the address of the service once /readyz answers 200. Neighbour: `serve`."""

import asyncio
import contextlib
import socket
import time

import typer

from stockade.core.secrets import hide_password
from stockade.shop.config.settings import Settings
from stockade.shop.config.strategy_choice import STRATEGY_GROUPS, chosen_strategy
from stockade.shop.operations.logs import logger
from stockade.store.guards_in_use import process_name

WAIT_S = 30.0
_PAUSE_S = 0.05
_ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104  # addresses for our own client


class Announce:
    """To be called when connections are accepted: requests /readyz in the background and prints one line.

    Args:
        settings: the host.
        listening: the bound socket; its port may have been chosen by the system.
    """

    def __init__(self, settings: Settings, listening: socket.socket) -> None:
        self._settings, self._host = settings, settings.host
        self._port = int(listening.getsockname()[1])
        self._task: asyncio.Task[None] | None = None

    def __call__(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._announce())

    async def _announce(self) -> None:
        shown = f"[{self._host}]" if ":" in self._host else self._host
        answer = await wait_ready(_ANYWHERE.get(self._host, self._host), self._port)
        if " 200 " in answer:
            chosen = {name: chosen_strategy(self._settings, name) for name in STRATEGY_GROUPS}
            place = hide_password(self._settings.database_url)
            logger().info("serving", process=process_name(), workers=self._settings.workers, database=place, **chosen)
            with contextlib.suppress(OSError):  # stdout is closed; the log has the line too
                typer.echo(f"ready on http://{shown}:{self._port}")
        else:
            logger().warning("not ready", waited_s=WAIT_S, reason=answer or "no answer")


async def wait_ready(host: str, port: int) -> str:
    """The status line of /readyz: as soon as it is 200, else the last one within `WAIT_S`."""
    status = ""
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline and " 200 " not in status:
        try:
            async with asyncio.timeout(deadline - time.monotonic()):
                status = await _status(host, port)
        except (OSError, TimeoutError) as error:
            status = str(error)
        if " 200 " not in status:
            await asyncio.sleep(_PAUSE_S)
    return status


async def _status(host: str, port: int) -> str:
    reader, writer = await asyncio.open_connection(host, port)
    try:
        writer.write(b"GET /readyz HTTP/1.1\r\nHost: stockade\r\nConnection: close\r\n\r\n")
        return (await reader.readline()).decode("latin-1").strip()
    finally:
        writer.close()
