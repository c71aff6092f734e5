"""Serves the live page until it is told to end, and ends every run with it.

Its own small server: Starlette on uvicorn, one process, no log of requests, because their addresses have the token.
Neighbours: `cli/lab/live.py` calls it, `session.py` has what runs.
"""

import asyncio
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import uvicorn

from stockade.lab.errors import LabError
from stockade.lab.live.app import Pages
from stockade.lab.live.choices import choices
from stockade.lab.live.security import Guarded, new_token
from stockade.lab.live.session import Session

MOST_CONNECTIONS: Final = 64
CLOSE_S: Final = 5  # for requests that are open at the end
KEEP_ALIVE_S: Final = 30


@dataclass(frozen=True, slots=True)
class Serving:
    """A server that has begun.

    Attributes:
        url: of the page, with the token.
        stop: ends it, as SIGTERM does.
        session: of its runs.
    """

    url: str
    stop: Callable[[], None]
    session: Session


class _Server(uvicorn.Server):
    """uvicorn's, without its handlers of signals: the streams of events must end before the server can."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """See `uvicorn.Server`."""
        yield


async def serve(host: str, port: int, begun: Callable[[Serving], None], *, signals: bool = True) -> None:
    """Serve until SIGINT, SIGTERM or `Serving.stop`.

    Args:
        host: address or name to listen on.
        port: 0: a free one.
        begun: called when it listens.
        signals: whether SIGINT and SIGTERM end it.

    Raises:
        LabError: it cannot listen there.
    """
    listening = bind(host, port)
    with listening:
        session, token = Session(choices()), new_token()
        pages = Pages(session, token)
        config = uvicorn.Config(
            Guarded(pages.app(), token, (host,)),
            lifespan="off",
            access_log=False,
            log_config=None,
            server_header=False,
            timeout_graceful_shutdown=CLOSE_S,
            timeout_keep_alive=KEEP_ALIVE_S,
            limit_concurrency=MOST_CONNECTIONS,
        )
        server = _Server(config)

        def stop() -> None:
            session.feed.close()
            server.should_exit = True

        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM) if signals else ():
            loop.add_signal_handler(number, stop)
        begun(Serving(address(listening, host, token), stop, session))
        try:
            await server.serve([listening])
        finally:
            pages.close()
            await session.close()


def bind(host: str, port: int) -> socket.socket:
    """A socket that listens.

    Args:
        host: address or name.
        port: 0: a free one.

    Raises:
        LabError: it cannot; the message says what to do.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, place = found[0]
        listening = socket.socket(family, kind, protocol)
    except OSError as error:
        raise LabError(f"--host {host}: {error.strerror}") from None
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(place)
        listening.listen()
    except OSError as error:
        listening.close()
        raise LabError(f"--host {host} --port {port}: {error.strerror}; --port 0 takes a free one") from None
    return listening


def address(listening: socket.socket, host: str, token: str) -> str:
    """The address of the page: on this machine where it listens everywhere."""
    port = listening.getsockname()[1]
    shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)  # noqa: S104
    return f"http://{shown}:{port}/{token}/"
