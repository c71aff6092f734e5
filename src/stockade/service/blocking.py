"""An application for synchronous programs: an event loop in a thread of its own, and calls that wait for it.

Neighbours: `service` has the asynchronous form. Django's synchronous views, Celery tasks and scripts use this one.
"""

import asyncio
import concurrent.futures
import logging
import os
import threading
from collections.abc import Callable, Mapping
from functools import partial
from types import TracebackType
from typing import NamedTuple, Self, TypeAlias, TypeVar

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
ANSWER_WAIT_S = 2.0  # beyond the deadline of a command or query, for which the strategy and the database have a grace


class _Opened(NamedTuple):
    """An application that is open, the loop of its thread, and what ends it."""

    service: Service
    loop: asyncio.AbstractEventLoop
    stop: asyncio.Event


_Ready: TypeAlias = "concurrent.futures.Future[_Opened]"


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
        self._changing = threading.Lock()  # held by `start` and `close`
        self._thread: threading.Thread | None = None
        self._opened: _Opened | None = None

    def start(self) -> None:
        """Open the application; a second call does nothing, or waits for the first. After an error call it again.

        Raises:
            Busy: it was not open within `START_WAIT_S` seconds (DEPENDENCY_DOWN). What was opened so far is closed.
            Exception: what `open_service` raises.
        """
        if self._thread is not None and self._opened is not None:
            return
        with self._changing:
            if self._thread is None:
                self._start()

    def _start(self) -> None:
        ready: _Ready = concurrent.futures.Future()
        self._pid = os.getpid()
        thread = self._thread = threading.Thread(
            target=self._serve, args=(ready,), name="stockade-service", daemon=True
        )
        thread.start()
        try:
            self._opened = _result(ready, START_WAIT_S)
        except _NotInTime as error:
            self._thread = None
            thread.join(STOP_WAIT_S)
            raise Busy(f"the application was not open within {START_WAIT_S:g} s", "DEPENDENCY_DOWN") from error
        except BaseException:
            self._thread = None
            ready.cancel()
            raise

    def close(self) -> None:
        """End the background work and close the connections; at most `STOP_WAIT_S` seconds, after a `start` that runs.

        What takes longer is logged, and ends with the process.
        """
        if os.getpid() != self._pid:  # not started; or a child of a fork, whose lock another thread may have held
            return
        with self._changing:
            thread, opened, self._thread, self._opened = self._thread, self._opened, None, None
            if thread is None or opened is None:
                return
            opened.loop.call_soon_threadsafe(opened.stop.set)
            thread.join(STOP_WAIT_S)
        if thread.is_alive():
            log.warning("the application did not close within %g s", STOP_WAIT_S)

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
        opened, limit_s = self._require(), self._options.wait_s + ANSWER_WAIT_S
        future = asyncio.run_coroutine_threadsafe(opened.service.execute(command), opened.loop)
        try:
            return _result(future, limit_s)
        except _NotInTime as error:
            raise Unknown(f"no outcome {error}; send the same request id again") from error

    def read(self, query: Callable[[Connection], T], *, timeout_s: float = 5.0) -> T:
        """Run a query, and wait for its result; see `Service.read`.

        Args:
            query: a synchronous function that only reads; it runs on the thread of the event loop.
            timeout_s: the longest wait for a connection, and then for the answer, in seconds each.

        Raises:
            Busy: as `Service.read`; or the event loop did not answer in time (DEPENDENCY_DOWN).
            RuntimeError: as `execute`.
        """
        opened, limit_s = self._require(), 2 * timeout_s + ANSWER_WAIT_S
        future = asyncio.run_coroutine_threadsafe(opened.service.read(query, timeout_s=timeout_s), opened.loop)
        try:
            return _result(future, limit_s)
        except _NotInTime as error:
            raise Busy(f"the query had no result {error}", "DEPENDENCY_DOWN") from error

    def _require(self) -> _Opened:
        try:
            asyncio.get_running_loop()
        except RuntimeError:  # as it must be: this thread has no event loop, so it may wait
            pass
        else:
            raise RuntimeError("BlockingService would block this event loop: use `await` on open_service's Service")
        if self._pid and os.getpid() != self._pid:
            raise RuntimeError("this BlockingService was started before a fork: make and start it in the child process")
        if self._opened is None:
            raise RuntimeError("this BlockingService is not started: call start(), or use it in a `with` block")
        return self._opened

    def _serve(self, ready: _Ready) -> None:
        """The thread: it opens the application, and ends when `close` or a `start` that gives up says so."""
        try:
            asyncio.run(self._run(ready))
        except asyncio.CancelledError:  # by `start`, which gave up and raises its own error
            log.warning("the application was not open in time; what was opened is closed")

    async def _run(self, ready: _Ready) -> None:
        loop, task, stop = asyncio.get_running_loop(), asyncio.current_task(), asyncio.Event()
        assert task is not None

        def give_up(done: _Ready) -> None:
            if done.cancelled():
                loop.call_soon_threadsafe(lambda: stop.is_set() or task.cancel())

        ready.add_done_callback(give_up)
        try:
            async with self._open() as service:
                if ready.set_running_or_notify_cancel():  # from here on nobody can cancel it
                    ready.set_result(_Opened(service, loop, stop))
                else:
                    stop.set()  # `start` gave up in this moment: close, and let nothing interrupt that
                await stop.wait()
        except Exception as error:  # noqa: BLE001 - `start` raises it, or there is nobody left to whom it could be raised
            if ready.done() or not ready.set_running_or_notify_cancel():
                log.warning("the application did not close cleanly: %r", error)
            else:
                ready.set_exception(error)


class _NotInTime(Exception):
    """What was waited for was not done in time, and is cancelled; the message says which time was over."""


def _result(future: "concurrent.futures.Future[T]", limit_s: float) -> T:
    """The result of a future; a TimeoutError of the work itself is raised as it is.

    Raises:
        _NotInTime: the limit is over, or the service was closed.
    """
    concurrent.futures.wait([future], limit_s)
    if future.cancelled():
        raise _NotInTime("before the service was closed")
    if future.cancel():
        raise _NotInTime(f"within {limit_s:g} s")
    return future.result(ANSWER_WAIT_S)  # it is done, or about to be
