"""What servers are owed: releases that they did not answer, asked again in the background until they do.

A server that is silent for a moment may still carry out what it was sent; unless it is asked again, it keeps a key that
nobody wants until the lease ends. Neighbours: `redisbackend.py` and `quorum.py` (who owe), `job.py` (the background).
"""

import contextlib
import math
from collections import deque
from collections.abc import Callable, Coroutine, Iterator, Sequence
from typing import Any, NamedTuple, TypeAlias

from stockade.locks.engine.identity import reset_after_fork
from stockade.locks.engine.job import Job
from stockade.locks.engine.lock_request import LockRequest
from stockade.locks.errors import LockError, LockUnavailable
from stockade.locks.events import log
from stockade.locks.runtime.runtime import Runtime, Server

Pay: TypeAlias = Callable[[Server, LockRequest, float], Coroutine[Any, Any, Any]]
Together: TypeAlias = Callable[[Sequence[Coroutine[Any, Any, Any]]], Coroutine[Any, Any, list[Any]]]

_MOST = 10_000  # for each server; beyond that the oldest is left to the end of its lease
_PAUSE_S, _LONGEST_PAUSE_S = 0.05, 1.0
_ROUND_S = 0.5  # of one server's time in a round
_LAST_CALL_S = 0.05  # at least, of a call in the round that closes


class _Debt(NamedTuple):
    request: LockRequest
    until: float


class _Account:
    """What one server is owed, oldest first; an entry of the line that `owed` does not know has been forgotten."""

    def __init__(self) -> None:
        self.owed: dict[str, _Debt] = {}
        self.line: deque[_Debt] = deque()

    def add(self, debt: _Debt) -> None:
        if len(self.owed) >= _MOST and self.line:
            self.drop(self.line.popleft())
        self.owed[debt.request.owner_id] = debt
        self.line.append(debt)

    def drop(self, debt: _Debt) -> None:
        if self.owed.get(debt.request.owner_id) is debt:
            self.owed.pop(debt.request.owner_id, None)

    def next(self, now: float) -> _Debt | None:
        """Take the oldest that is still owed."""
        while self.line:
            debt = self.line.popleft()
            if debt.until <= now:
                self.drop(debt)
            if self.owed.get(debt.request.owner_id) is debt:
                return debt
        return None


class ReleaseRetry:
    """One background job for all servers of a backend; it ends when nothing is owed.

    Args:
        port: time, waiting and background work.
        pay: asks one server to release, within so many seconds; LockUnavailable when it does not answer.
        together: runs several calls, at once or in turn; an error is an answer.
    """

    def __init__(self, runtime: Runtime, pay: Pay, together: Together) -> None:
        self._runtime = runtime
        self._pay = pay
        self._together = together
        self._accounts: dict[Server, _Account] = {}
        self._on_the_way: dict[object, str] = {}
        self._job = Job(runtime, "stockade-lock-debts", self._run, needed=self._needed, wake=self._wake)
        self._notice: Any = None
        self._closed = False
        self._end = math.inf  # of the round that closes
        reset_after_fork(self)

    def reset_in_child(self) -> None:
        """In the child of a fork: what the parent owes is the parent's, and its job is not here."""
        self._accounts, self._on_the_way = {}, {}
        self._notice = None
        self._job.forget()

    def change_loop(self) -> None:
        """In another event loop: go on there."""
        self._job.forget()
        self._wake()  # in the loop of before, so that it ends
        self._notice = None
        self._on_the_way = {}
        if self.busy and not self._closed:
            self._runtime.call_later(0.0, self._job.begin)

    def _needed(self) -> bool:
        return self.busy and not self._closed

    def _wake(self) -> None:
        notice = self._notice
        if notice is not None:
            self._runtime.wake(notice)

    @property
    def busy(self) -> bool:
        """Whether anything is owed."""
        return any(account.owed for account in list(self._accounts.values()))

    def retry(self, request: LockRequest, silent: Sequence[Server], until: float) -> None:
        """These servers, and no others, are owed the release of `ask`, until the monotonic second `until`."""
        if not silent and not self._accounts:
            return
        self._drop(request.owner_id)
        if self._closed:
            return
        for server in silent:
            account = self._accounts.get(server) or self._accounts.setdefault(server, _Account())
            account.add(_Debt(request, until))
        if silent:
            self._job.begin()

    def is_pending(self, owner: str) -> bool:
        """Whether a release of this owner is owed, or on its way."""
        if not self._accounts and not self._on_the_way:
            return False
        accounts = list(self._accounts.values())
        return any(owner in each.owed for each in accounts) or owner in list(self._on_the_way.values())

    async def cancel(self, owner: str, timeout_s: float) -> None:
        """This owner asks anew: no release of before may follow. Waits for one on its way.

        Raises:
            LockUnavailable: that one has not been answered within `timeout_s` seconds.
        """
        self._drop(owner)
        end = self._runtime.now() + timeout_s
        while owner in list(self._on_the_way.values()):
            if self._runtime.now() >= end:
                raise LockUnavailable("a release of the same owner has not been answered yet")
            await self._runtime.sleep(0.005)

    @contextlib.contextmanager
    def sending(self, owner: str) -> Iterator[None]:
        """While a release of this owner is sent; `forget` waits for its end."""
        key = object()
        self._on_the_way[key] = owner
        try:
            yield
        finally:
            self._on_the_way.pop(key, None)

    async def close(self, timeout_s: float) -> None:
        """Ask once more where something is owed, then end: after `timeout_s` seconds at most."""
        self._end = self._runtime.now() + timeout_s
        self._closed = True
        self._wake()
        await self._job.join(timeout_s)

    async def _run(self, ticket: object) -> None:
        pause_s = _PAUSE_S
        while self._job.is_current(ticket):
            notice = self._notice = self._runtime.new_wakeup()
            last = self._closed
            if not self._job.is_current(ticket):
                return
            if not last:
                await self._runtime.wait_for(notice, pause_s)
                if not self._job.is_current(ticket):  # what `move` left behind: a round here would take the connections
                    return
                last = self._closed
            try:
                paid = await self._round()
            except Exception:  # noqa: BLE001 - no code expects it: the other debts are paid all the same
                log.exception("the release of locks goes on after an error")
                paid = False
            if last or not self.busy:
                return
            pause_s = _PAUSE_S if paid else min(2 * pause_s, _LONGEST_PAUSE_S)

    async def _round(self) -> bool:
        """Ask all who are owed; whether anybody answered."""
        owing = [(server, account) for server, account in list(self._accounts.items()) if account.owed]
        answers = await self._together([self._pay_off(server, account) for server, account in owing])
        for answer in answers:
            if isinstance(answer, BaseException):
                raise answer
        return any(answers)

    async def _pay_off(self, server: Server, account: _Account) -> bool:
        """All that this server is owed, one after another, as long as it answers; whether it did."""
        end, answered = min(self._runtime.now() + _ROUND_S, self._end), False
        while (now := self._runtime.now()) < end and (debt := account.next(now)) is not None:
            with self.sending(debt.request.owner_id):
                if account.owed.get(debt.request.owner_id) is not debt:  # forgotten just now, by another thread
                    continue
                try:
                    await self._pay(server, debt.request, max(self._end - now, _LAST_CALL_S))
                except LockUnavailable:  # another debt is first in the next round: a cluster has live masters too
                    account.line.append(debt)
                    break
                except LockError as refused:  # and will refuse again
                    log.warning("lock %r is left to the end of its lease: %s", debt.request.spec.name, refused)
                except BaseException:
                    account.line.append(debt)
                    raise
            answered = True
            account.drop(debt)
        return answered

    def _drop(self, owner: str) -> None:
        for account in list(self._accounts.values()):
            account.owed.pop(owner, None)
