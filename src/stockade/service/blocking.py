"""An application for synchronous programs: an event loop in a thread of its own, and calls that wait for it.

Neighbours: `service` has the asynchronous form. Django's synchronous views, Celery tasks and scripts use this one.
"""

import asyncio
import concurrent.futures
import logging
import os
import threading
from collections.abc import Callable, Coroutine, Mapping
from functools import partial
from types import TracebackType
from typing import Any, Self, TypeVar

from sqlalchemy import Connection

from stockade.core import Busy, Command, Outcome, Unknown
from stockade.service.application import Application
from stockade.service.background import Background
from stockade.service.service import DEFAULT_STRATEGY, Service, open_service
from stockade.strategies.options import Options

log = logging.getLogger(__name__)
T = TypeVar("T")
START_WAIT_S = 60.0
STOP_WAIT_S = 10.0
GRACE_S = 2.0  # beyond the deadline of a command, which the strategy itself keeps


class BlockingService:
    """An open application whose calls block. Any number of threads may call at the same time.

    Make it in the process that uses it: it does not survive a fork. A context manager; or call `start` and `close`.

    Args:
        application: see `Application`.
        database: its URL.
        strategy: as for `open_service`.
        options: of the strategies.
        background: as for `open_service`.
        allow_overselling: as for `open_service`.
    """

    def __init__(
        self,
        application: Application,
        database: str,
        strategy: str | Mapping[str, str] = DEFAULT_STRATEGY,
        options: Options | None = None,
        *,
        background: Background | None = None,
        allow_overselling: bool = False,
    ) -> None:
        self._options = options or Options()
        self._open = partial(
            open_service,
            application,
            database,
            strategy,
            self._options,
            background=background,
            allow_overselling=allow_overselling,
        )
        self._pid = 0
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._service: Service | None = None
        self._stop: asyncio.Event | None = None

    def start(self) -> None:
        """Open the application; a second call does nothing.

        Raises:
            Busy: it was not open within `START_WAIT_S` seconds (DEPENDENCY_DOWN).
            Exception: what `open_service` raises.
        """
        if self._thread is not None:
            return
        ready: concurrent.futures.Future[None] = concurrent.futures.Future()
        self._pid = os.getpid()
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._run(ready)), name="stockade-service", daemon=True
        )
        self._thread.start()
        try:
            ready.result(START_WAIT_S)
        except TimeoutError as error:
            raise Busy(f"the application was not open within {START_WAIT_S:.0f} s", "DEPENDENCY_DOWN") from error
        except BaseException:
            self._thread = None
            raise

    def close(self) -> None:
        """End the background work and close the connections; at most `STOP_WAIT_S` seconds."""
        thread, self._thread, self._service = self._thread, None, None
        if thread is None or self._loop is None or self._stop is None or os.getpid() != self._pid:
            return
        self._loop.call_soon_threadsafe(self._stop.set)
        thread.join(STOP_WAIT_S)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def execute(self, command: Command) -> Outcome:
        """Carry out one command, and wait for its outcome.

        Raises:
            Busy, Conflict, Unknown, IdempotencyKeyReused, ValueError, TypeError: as `Service.execute`.
            RuntimeError: it is not started, was made before a fork, or is called on an event loop.
        """
        service = self._require()
        return self._wait(service.execute(command), self._options.wait_s + GRACE_S)

    def read(self, query: Callable[[Connection], T], *, timeout_s: float = 5.0) -> T:
        """Run a query, and wait for its result; see `Service.read`, whose errors it raises.

        Args:
            query: a synchronous function that only reads; it runs on the thread of the event loop.
            timeout_s: the longest it may take, in seconds.
        """
        service = self._require()
        return self._wait(service.read(query, timeout_s=timeout_s), timeout_s + GRACE_S)

    def _wait(self, work: Coroutine[Any, Any, T], limit_s: float) -> T:
        assert self._loop is not None
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result(limit_s)
        except concurrent.futures.TimeoutError as error:
            future.cancel()
            raise Unknown(f"no outcome within {limit_s:g} s; send the same request id again") from error

    def _require(self) -> Service:
        try:
            asyncio.get_running_loop()
        except RuntimeError:  # as it must be: this thread has no event loop, so it may wait
            pass
        else:
            raise RuntimeError("BlockingService would block this event loop: use `await` on open_service's Service")
        if self._pid and os.getpid() != self._pid:
            raise RuntimeError("this BlockingService was started before a fork: make and start it in the child process")
        if self._service is None:
            raise RuntimeError("this BlockingService is not started: call start(), or use it in a `with` block")
        return self._service

    async def _run(self, ready: "concurrent.futures.Future[None]") -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        try:
            async with self._open() as self._service:
                ready.set_result(None)
                await self._stop.wait()
        except Exception as error:  # noqa: BLE001 - `start` raises it, or there is nobody left to whom it could be raised
            if ready.done():
                log.warning("the application did not close cleanly: %r", error)
            else:
                ready.set_exception(error)
