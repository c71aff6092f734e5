"""Whether a call ends when a server is silent or refuses: the table of faults, and runs that a hang cannot outlive.

A test makes a `Site`, prepares what it needs, then tries a call under each of `FAULTS`:

    with site.broken("stopped"):
        ended = ends_within(1.0, lambda: lock.release())
    assert isinstance(ended.error, LockUnavailable)

Used by the matrices of the rules, of the Redis connections and of the database sessions.
"""

import asyncio
import contextlib
import os
import select
import signal
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from stockade.devservers.process import Server
from stockade.devservers.tcp_proxy import TcpProxy

FAULTS = ("stopped", "blackholed", "refused")
SLACK_S = 0.5  # what a call may take beyond its own bound
_HANG_S = 10.0  # beyond the bound: from here on it counts as a hang, not as a slow machine
_ANSWER_BYTES = 4000


class Link:
    """A proxy before a server, in a thread of its own, so that both faces and forked children may go through it."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="test-link", daemon=True)
        self._thread.start()
        self._proxy = TcpProxy(target)
        self._do(self._proxy.open())

    def _do(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    @property
    def port(self) -> int:
        """Where clients connect."""
        return self._proxy.port

    def swallow(self) -> None:
        """Nothing passes from now on; connections stay open and new ones are accepted."""
        self._proxy.swallow()

    def restore(self) -> None:
        """Pass everything again; the connections that lost bytes end."""

        async def point() -> None:
            self._proxy.passing = True
            self._proxy.retarget(self._target)

        self._do(point())

    def close(self) -> None:
        """Hang up, and end the thread."""
        self._do(self._proxy.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()


@dataclass
class Site:
    """One server, the link to it, and how it is made to refuse.

    Args:
        server: the real server.
        link: the proxy before it.
        refuse: makes the server answer every later command of the provider with an error.
        allow: ends that.
    """

    server: Server
    link: Link
    refuse: Callable[[], object] = lambda: None
    allow: Callable[[], object] = lambda: None

    @property
    def url(self) -> str:
        """The server's URL, through the link."""
        return self.server.url.replace(f":{self.server.port}", f":{self.link.port}")

    @contextlib.contextmanager
    def broken(self, fault: str) -> Iterator[None]:
        """One of `FAULTS`, from here to the end of the block."""
        begin, end = {
            "stopped": (self.server.pause, self.server.resume),
            "blackholed": (self.link.swallow, self.link.restore),
            "refused": (self.refuse, self.allow),
        }[fault]
        begin()
        try:
            yield
        finally:
            end()


@dataclass
class Ended:
    """How a call ended: after how many seconds, with which value or error."""

    took_s: float
    value: Any = None
    error: BaseException | None = None


def ends_within(bound_s: float, work: Callable[[], Any]) -> Ended:
    """Run `work` in a thread of its own; the test fails unless it ends `bound_s` + `SLACK_S` seconds later at most.

    A call that hangs is left in its daemon thread, and the place where it hangs is in the message.
    """
    ended: list[Ended] = []

    def body() -> None:
        started = time.monotonic()
        try:
            value, error = work(), None
        except BaseException as trouble:  # noqa: BLE001 - the test looks at it
            value, error = None, trouble
        ended.append(Ended(time.monotonic() - started, value, error))

    thread = threading.Thread(target=body, name="bounded-call", daemon=True)
    thread.start()
    thread.join(bound_s + _HANG_S)
    if not ended:
        frame = sys._current_frames().get(thread.ident or 0)
        where = "".join(traceback.format_stack(frame)) if frame is not None else "ended just now"
        raise AssertionError(f"a hang: not ended {bound_s + _HANG_S} s after it began\n{where}")
    assert ended[0].took_s <= bound_s + SLACK_S, f"{ended[0].took_s:.2f} s of {bound_s} s, then {ended[0].error!r}"
    return ended[0]


def in_child(bound_s: float, work: Callable[[], Any]) -> str:
    """Run `work` as the main thread of a forked child: what it returns, or its error, as text.

    For signal handlers, forks and whatever else must not happen to the test's own process. A child that has not ended
    after `bound_s` seconds is killed, and the test fails.
    """
    read, write = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # a fork beside threads: that is what is tested
        pid = os.fork()
    if pid == 0:
        _answer(write, work)
    os.close(write)
    try:
        ready, _, _ = select.select([read], [], [], bound_s)
        text = os.read(read, _ANSWER_BYTES).decode() if ready else ""
    finally:
        os.close(read)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    assert ready, f"a hang: the child has not ended after {bound_s} s"
    return text


def _answer(write: int, work: Callable[[], Any]) -> None:
    try:
        text = repr(work())
    except BaseException as error:  # noqa: BLE001 - it is the answer
        text = f"{type(error).__name__}: {error}"
    os.write(write, text.encode()[:_ANSWER_BYTES])
    os._exit(0)
