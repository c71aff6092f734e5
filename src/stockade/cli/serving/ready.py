"""Says where the service answers, and once /readyz answers 200 that it is ready. Neighbour: `serve`."""

import asyncio
import contextlib
import json
import socket
import time
from typing import NamedTuple

import typer

from stockade import __version__
from stockade.cli.serving.private_gateway import how_to_pay, report_to
from stockade.core.secrets import hide_password
from stockade.shop.config.settings import Settings
from stockade.shop.config.strategy_choice import STRATEGY_GROUPS, chosen_strategy
from stockade.shop.operations.logs import logger
from stockade.store.guards_in_use import process_name

WAIT_S = 30.0  # for the process to be ready; after that it serves on, and no line comes any more
PATIENCE_S = 2.0  # before it is said what a process that listens still lacks
_PAUSE_S = 0.05
_MAX_ANSWER_BYTES = 65_536
_ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104  # addresses for our own client


class Announce:
    """To be called when connections are accepted: requests /readyz in the background and prints a line or two.

    Args:
        settings: the host.
        listening: the bound socket; its port may have been chosen by the system.
        private_gateway: whether a gateway was started beside the service: then it is told where the service is, and the
            reader how to pay.
    """

    def __init__(self, settings: Settings, listening: socket.socket, *, private_gateway: bool = False) -> None:
        self._settings, self._host, self._private_gateway = settings, settings.host, private_gateway
        self._port = int(listening.getsockname()[1])
        self._task: asyncio.Task[None] | None = None

    def __call__(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._announce())

    async def _announce(self) -> None:
        host = _ANYWHERE.get(self._host, self._host)
        answer = await wait_ready(host, self._port, PATIENCE_S)
        if not answer.ready:
            logger().warning("not ready yet", waited_s=PATIENCE_S, reason=answer.reason)
            self._print("listening on", f", not ready: {answer.reason}")
            answer = await wait_ready(host, self._port, WAIT_S - PATIENCE_S)
        if answer.ready:
            logger().info("serving", **self._described())
            self._print("ready on")
            if self._settings.shop_front != "no":
                self._print("shop front on", path="/shop")
            if self._private_gateway:
                await self._with_gateway()
        else:
            logger().warning("not ready", waited_s=WAIT_S, reason=answer.reason, **self._described())

    def _described(self) -> dict[str, object]:
        settings = self._settings
        return {
            "version": __version__,
            "process": process_name(),
            "workers": settings.workers,
            "pool_size": settings.pool_size,
            "database": hide_password(settings.database_url),
            "gateway": settings.gateway,
            **{name: chosen_strategy(settings, name) for name in STRATEGY_GROUPS},
        }

    async def _with_gateway(self) -> None:
        own = self._url(_ANYWHERE.get(self._host, self._host))
        await asyncio.to_thread(report_to, self._settings, own)
        with contextlib.suppress(OSError):
            typer.echo("\n".join(how_to_pay(self._settings, own)))

    def _print(self, words: str, behind: str = "", path: str = "") -> None:
        with contextlib.suppress(OSError):  # stdout is closed; the log has the line too
            typer.echo(f"{words} {self._url(self._host)}{path}{behind}")

    def _url(self, host: str) -> str:
        return f"http://{f'[{host}]' if ':' in host else host}:{self._port}"


class Answer(NamedTuple):
    """What /readyz answered: whether it was 200, and else why."""

    ready: bool
    reason: str = ""


async def wait_ready(host: str, port: int, wait_s: float) -> Answer:
    """The answer of /readyz: as soon as it is 200, else the last one within `wait_s` seconds."""
    answer = Answer(False, "no answer")
    deadline = time.monotonic() + wait_s
    while time.monotonic() < deadline and not answer.ready:
        try:
            async with asyncio.timeout(deadline - time.monotonic()):
                answer = await _ask(host, port)
        except TimeoutError:  # what was answered before says more
            continue
        except OSError as error:
            answer = Answer(False, str(error))
        if not answer.ready:
            await asyncio.sleep(_PAUSE_S)
    return answer


async def _ask(host: str, port: int) -> Answer:
    reader, writer = await asyncio.open_connection(host, port)
    try:
        writer.write(b"GET /readyz HTTP/1.1\r\nHost: stockade\r\nConnection: close\r\n\r\n")
        head, _, body = (await reader.read(_MAX_ANSWER_BYTES)).partition(b"\r\n\r\n")
    finally:
        writer.close()
    status = head.partition(b"\r\n")[0].decode("latin-1")
    if " 200 " in status:
        return Answer(True)
    try:
        return Answer(False, str(json.loads(body)["detail"]))
    except (ValueError, KeyError, TypeError):  # no problem body, or a part of one
        return Answer(False, status or "no answer")
