"""Runs the application in this process: uvicorn on a socket that is bound already, until SIGINT or SIGTERM.

The order of a stop: /readyz answers 503; after `drain_s` no new connections; requests in flight are finished within
`stop_wait_s`; jobs and strategies end; the connections to the database close. Neighbours: `serving_process` runs it in
each of several processes; the command line runs it alone.
"""

import asyncio
import math
import signal
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, contextmanager
from functools import partial
from types import FrameType

import uvicorn
import uvloop

from stockade.shop.bootstrap import open_shop
from stockade.shop.config.settings import Settings
from stockade.shop.database_checks import ensure_schema
from stockade.shop.http.routing.app import create_app
from stockade.shop.http.routing.app_state import AppState
from stockade.shop.http.server.connection_limits import ConnectionLimits, LimitedProtocol
from stockade.shop.http.server.open_files import connection_limit
from stockade.shop.http.server.sockets import BACKLOG, bind_all
from stockade.shop.operations import logs
from stockade.shop.shop import Shop

_TICKS_PER_REFRESH = 10  # uvicorn ticks ten times a second


class ShopServer(uvicorn.Server):
    """uvicorn's server, with the order of a stop above.

    Args:
        config: of uvicorn.
        state: of the application.
        ready: called once when connections are accepted.
    """

    def __init__(self, config: uvicorn.Config, state: AppState, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._state = state
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._ready()

    async def on_tick(self, counter: int) -> bool:
        if counter % _TICKS_PER_REFRESH == 0:
            self._state.refresh_metrics()
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._state.concurrency.stopping = True
        logs.logger().info("stopping", at_work=self._state.concurrency.in_flight)
        if self._state.settings.drain_s and not self.force_exit:
            await asyncio.sleep(self._state.settings.drain_s)
        await super().shutdown(sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._state.concurrency.stopping = True
        super().handle_exit(sig, frame)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """As uvicorn's, but the signal is not raised again afterwards: the shop has still to be closed."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {sig: signal.signal(sig, self.handle_exit) for sig in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for sig, handler in before.items():
                signal.signal(sig, handler)


async def serve(
    settings: Settings,
    listen: Callable[[], Sequence[socket.socket]],
    ready: Callable[[socket.socket], None],
    stop: asyncio.Event | None = None,
    *,
    process: str | None = None,
) -> None:
    """Serve until SIGINT or SIGTERM arrives or `stop` is set.

    Args:
        settings: those in force.
        listen: returns the bound socket of the API, and behind it that of the metrics where they have an address of
            their own; both are closed at the end. Called after the shop is open: a wrong setting is reported before a
            port is bound.
        ready: called once with the socket of the API, when connections are accepted.
        stop: ends the serving from inside the process.
        process: name of the process in messages to others, see `Registration`.

    Raises:
        BadSetting, Busy, NotSupported: the shop cannot be opened, or the port cannot be bound.
    """
    async with _shop(settings, process=process) as shop, AsyncExitStack() as stack:
        listening = [stack.enter_context(each) for each in listen()]
        app, state = create_app(shop, metrics_port=listening[1].getsockname()[1] if listening[1:] else None)
        config = uvicorn.Config(
            app,
            http=partial(LimitedProtocol, limits=_limits(settings, connection_limit(settings))),  # type: ignore[arg-type]  # it is only called
            timeout_keep_alive=settings.keep_alive_s,  # type: ignore[arg-type]  # handed to `call_later`
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            backlog=BACKLOG,
            timeout_graceful_shutdown=math.ceil(settings.stop_wait_s),
        )
        server = ShopServer(config, state, lambda: ready(listening[0]))
        watch = asyncio.create_task(_watch(stop, server)) if stop is not None else None
        try:
            await server.serve(listening)
        finally:
            if watch is not None:
                watch.cancel()
    logs.logger().info("stopped")


def _limits(settings: Settings, connections: int) -> ConnectionLimits:
    return ConnectionLimits(connections, settings.header_wait_s, settings.max_header_kib * 1024, settings.max_headers)


def _shop(settings: Settings, *, jobs: bool = True, process: str | None = None) -> AbstractAsyncContextManager[Shop]:
    # The supervisor has checked the schema before it starts processes. One that replaces a crashed one may meet the
    # schema that a newer version has made meanwhile.
    before = partial(ensure_schema, settings, newer_ok=process is not None)
    return open_shop(settings, jobs=jobs, before=before, process=process)


def run(settings: Settings, ready: Callable[[socket.socket], None]) -> None:
    """`serve` at the settings' host and port, on a new uvloop event loop. Raises what `serve` raises."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(settings, lambda: bind_all(settings), ready))


def try_settings(settings: Settings) -> None:
    """Open the shop and close it again: several processes would find a wrong setting only after the port is bound.

    The registration of the guard is removed again. Another process may register before these do; then they are refused,
    with a message.

    Raises:
        BadSetting, Busy, NotSupported: it cannot be opened.
    """

    async def once() -> None:
        async with _shop(settings, jobs=False):
            pass

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(once())


async def _watch(stop: asyncio.Event, server: ShopServer) -> None:
    await stop.wait()
    server.should_exit = True
