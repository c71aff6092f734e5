"""Repeats releases that a server did not answer, in the background, until it answers or the lease has ended.

A server that is silent for a moment may still carry out an acquire that it has received. Without a repeated release it
would keep that key until the lease ends. Neighbours: `background_job.py` (runs this), the backends that use it.
"""

import contextlib
import math
from collections import deque
from collections.abc import Callable, Coroutine, Iterator, Sequence
from typing import Any, Generic, NamedTuple, TypeAlias, TypeVar

from stockade.locks.engine.background_job import BackgroundJob
from stockade.locks.engine.lock_request import LockRequest
from stockade.locks.errors import LockError, LockUnavailable
from stockade.locks.events import log
from stockade.locks.runtime.identity import reset_after_fork
from stockade.locks.runtime.runtime import Runtime

ServerT = TypeVar("ServerT")
Together: TypeAlias = Callable[[Sequence[Coroutine[Any, Any, Any]]], Coroutine[Any, Any, list[Any]]]

_MOST = 10_000  # releases for each server; beyond that the oldest is dropped, and its key stays until its lease ends
_PAUSE_S, _LONGEST_PAUSE_S = 0.05, 1.0  # between two rounds
_ROUND_S = 0.5  # of one server's time in a round
_LAST_CALL_S = 0.05  # at least, of a call in the round that closes
_POLL_S = 0.005  # how often `cancel` looks whether a release was answered


class _Release(NamedTuple):
    request: LockRequest
    until: float  # monotonic second at which its lease has ended


class _ServerReleases:
    """The unanswered releases of one server, oldest first; `by_owner` decides which of `queue` still count."""

    def __init__(self) -> None:
        self.by_owner: dict[str, _Release] = {}
        self.queue: deque[_Release] = deque()

    def add(self, release: _Release) -> None:
        if len(self.by_owner) >= _MOST and self.queue:
            self.remove(self.queue.popleft())
        self.by_owner[release.request.owner_id] = release
        self.queue.append(release)

    def remove(self, release: _Release) -> None:
        if self.by_owner.get(release.request.owner_id) is release:
            self.by_owner.pop(release.request.owner_id, None)

    def next(self, now: float) -> _Release | None:
        """Take the oldest whose lease has not ended."""
        while self.queue:
            release = self.queue.popleft()
            if release.until <= now:
                self.remove(release)
            if self.by_owner.get(release.request.owner_id) is release:
                return release
        return None


class ReleaseRetry(Generic[ServerT]):
    """One background job for all servers of a backend; it ends when no release is left.

    Args:
        runtime: time, waiting and background work.
        release: sends one release to one server, within so many seconds; LockUnavailable when it does not answer.
        together: runs several calls, at once or one after another; an error is a result.
    """

    def __init__(
        self,
        runtime: Runtime,
        release: Callable[[ServerT, LockRequest, float], Coroutine[Any, Any, Any]],
        together: Together,
    ) -> None:
        self._runtime = runtime
        self._release = release
        self._together = together
        self._servers: dict[ServerT, _ServerReleases] = {}
        self._sending: dict[object, str] = {}  # owner ids of the releases that were sent and not answered yet
        self._job = BackgroundJob(runtime, "stockade-lock-release-retry", self._run, self._needed)
        self._closed = False
        self._end = math.inf  # of the round that closes
        reset_after_fork(self)

    def reset_in_child(self) -> None:
        """In the child of a fork: the parent repeats its own releases, and its job does not run here."""
        self._servers, self._sending = {}, {}
        self._job.reset_in_child()

    def change_loop(self) -> None:
        """Go on in another event loop."""
        self._sending = {}
        self._job.change_loop()

    def _needed(self) -> bool:
        return self.busy and not self._closed

    @property
    def busy(self) -> bool:
        """Whether a release is left to repeat."""
        return any(each.by_owner for each in list(self._servers.values()))

    def retry(self, request: LockRequest, silent: Sequence[ServerT], until: float) -> None:
        """Repeat the release of `request` at these servers, and no others, until the monotonic second `until`."""
        if not silent and not self._servers:
            return
        self._remove(request.owner_id)
        if self._closed:
            return
        for server in silent:
            releases = self._servers.get(server) or self._servers.setdefault(server, _ServerReleases())
            releases.add(_Release(request, until))
        if silent:
            self._job.start()

    def is_pending(self, owner_id: str) -> bool:
        """Whether a release of this owner is left to repeat, or was sent and not answered yet."""
        if not self._servers and not self._sending:
            return False
        servers = list(self._servers.values())
        return any(owner_id in each.by_owner for each in servers) or owner_id in list(self._sending.values())

    async def cancel(self, owner_id: str, timeout_s: float) -> None:
        """Repeat no release of this owner, who acquires again. Waits for one that was sent.

        Raises:
            LockUnavailable: that one was not answered within `timeout_s` seconds.
        """
        self._remove(owner_id)
        end = self._runtime.now() + timeout_s
        while owner_id in list(self._sending.values()):
            if self._runtime.now() >= end:
                raise LockUnavailable("a release of the same owner has not been answered yet")
            await self._runtime.sleep(_POLL_S)

    @contextlib.contextmanager
    def sending(self, owner_id: str) -> Iterator[None]:
        """While a release of this owner is sent; `cancel` waits for its end."""
        key = object()
        self._sending[key] = owner_id
        try:
            yield
        finally:
            self._sending.pop(key, None)

    async def close(self, timeout_s: float) -> None:
        """Repeat each once more, then end, after `timeout_s` seconds at most."""
        self._end = self._runtime.now() + timeout_s
        self._closed = True
        await self._job.close(timeout_s)

    async def _run(self, ticket: object) -> None:
        pause_s = _PAUSE_S
        while self._job.is_current(ticket):
            wakeup = self._job.new_wakeup()
            last = self._closed
            if not self._job.is_current(ticket):
                return
            if not last:
                await self._runtime.wait_for(wakeup, pause_s)
                if not self._job.is_current(ticket):  # left in the previous loop: a round would use its connections
                    return
                last = self._closed
            try:
                answered = await self._round()
            except Exception:  # noqa: BLE001 - unexpected: the other releases are repeated all the same
                log.exception("the release of locks goes on after an error")
                answered = False
            if last or not self.busy:
                return
            pause_s = _PAUSE_S if answered else min(2 * pause_s, _LONGEST_PAUSE_S)

    async def _round(self) -> bool:
        """Send to all servers that have unanswered releases. True: one of them answered."""
        waiting = [(server, releases) for server, releases in list(self._servers.items()) if releases.by_owner]
        answers = await self._together([self._send_to(server, releases) for server, releases in waiting])
        for answer in answers:
            if isinstance(answer, BaseException):
                raise answer
        return any(answers)

    async def _send_to(self, server: ServerT, releases: _ServerReleases) -> bool:
        """Send one release after another, as long as the server answers. True: it answered one."""
        end, answered = min(self._runtime.now() + _ROUND_S, self._end), False
        while (now := self._runtime.now()) < end and (release := releases.next(now)) is not None:
            request = release.request
            with self.sending(request.owner_id):
                if releases.by_owner.get(request.owner_id) is not release:  # cancelled just now, by another thread
                    continue
                try:
                    await self._release(server, request, max(self._end - now, _LAST_CALL_S))
                except LockUnavailable:  # the next round begins with another: of a cluster, some masters are alive
                    releases.queue.append(release)
                    break
                except LockError as refused:  # it would be refused again
                    log.warning("lock %r is left to the end of its lease: %s", request.spec.name, refused)
                except BaseException:
                    releases.queue.append(release)
                    raise
            answered = True
            releases.remove(release)
        return answered

    def _remove(self, owner_id: str) -> None:
        for releases in list(self._servers.values()):
            releases.by_owner.pop(owner_id, None)
