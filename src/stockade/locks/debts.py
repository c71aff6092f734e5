"""What servers are owed: releases that they did not answer, asked again in the background until they do.

A server that is silent for a moment may still carry out what it was sent; unless it is asked again, it keeps a key that
nobody wants until the lease ends. Neighbours: `quorum.py` (who owes), `renewal.py` (the same for one server).
"""

import contextlib
import threading
from collections.abc import Callable, Coroutine, Iterator, Sequence
from typing import Any, NamedTuple, TypeAlias

from stockade.locks.ask import Ask
from stockade.locks.errors import LockError, LockUnavailable
from stockade.locks.events import log
from stockade.locks.port import Port, Server

Pay: TypeAlias = Callable[[Server, Ask], Coroutine[Any, Any, Any]]
Together: TypeAlias = Callable[[Sequence[Coroutine[Any, Any, Any]]], Coroutine[Any, Any, list[Any]]]

_MOST = 10_000  # for each server; beyond that the oldest is left to the end of its lease
_PAUSE_S, _LONGEST_PAUSE_S = 0.05, 1.0
_ROUND_S = 0.5  # of one server's time in a round


class _Debt(NamedTuple):
    ask: Ask
    until: float


class Debts:
    """One background job for all servers of a backend; it ends when nothing is owed.

    Args:
        port: time, waiting and background work.
        pay: asks one server to release; LockUnavailable when it does not answer. It bounds its own time.
        together: runs several calls, at once or in turn; an error is an answer.
    """

    def __init__(self, port: Port, pay: Pay, together: Together) -> None:
        self._port = port
        self._pay = pay
        self._together = together
        self._process = port.process()
        self._begin()

    def _begin(self) -> None:
        self._guard = threading.Lock()
        self._owed: dict[Server, dict[str, _Debt]] = {}
        self._on_the_way: dict[object, str] = {}
        self._job: Any = None
        self._notice: Any = None
        self._closed = False

    def _forget_the_parent(self) -> None:
        """In the child of a fork: what the parent owes is the parent's, and its job is not here."""
        if self._process != self._port.process():
            self._process = self._port.process()
            self._begin()

    def owe(self, ask: Ask, silent: Sequence[Server], until: float) -> None:
        """These servers, and no others, are owed the release of `ask`, until the monotonic second `until`."""
        self._forget_the_parent()
        if not silent and not self._owed:
            return
        with self._guard:
            self._drop(ask.owner)
            for server in () if self._closed else silent:
                owed = self._owed.setdefault(server, {})
                if len(owed) >= _MOST:
                    del owed[next(iter(owed))]
                owed[ask.owner] = _Debt(ask, until)
            if self._owed and self._job is None and not self._closed:
                self._job = self._port.spawn(self._run(), "stockade-lock-debts")

    async def forget(self, owner: str) -> None:
        """This owner asks anew: no release of before may follow. Waits for one on its way, two calls at most."""
        if not self._owed and not self._on_the_way:
            return
        self._forget_the_parent()
        with self._guard:
            self._drop(owner)
        while owner in tuple(self._on_the_way.values()):
            await self._port.sleep(0.005)

    @contextlib.contextmanager
    def on_the_way(self, owner: str) -> Iterator[None]:
        """While a release of this owner is sent; `forget` waits for its end."""
        key = object()
        self._on_the_way[key] = owner
        try:
            yield
        finally:
            self._on_the_way.pop(key, None)

    async def close(self) -> None:
        """Ask once more where something is owed, then end: two rounds at most, each of `_ROUND_S` and two calls."""
        self._forget_the_parent()
        with self._guard:
            self._closed = True
            job = self._job
            if self._notice is not None:
                self._port.publish(self._notice)
        if job is not None:
            await self._port.join(job)

    async def _run(self) -> None:
        pause_s = _PAUSE_S
        try:
            while True:
                with self._guard:
                    last, self._notice = self._closed, self._port.notice()
                if not last:
                    await self._port.wait_notice(self._notice, pause_s)
                    last = self._closed
                paid = await self._round()
                with self._guard:
                    if last or not self._owed:
                        self._job = None
                        return
                pause_s = _PAUSE_S if paid else min(2 * pause_s, _LONGEST_PAUSE_S)
        except BaseException:
            self._job = None
            raise

    async def _round(self) -> bool:
        """Ask all who are owed; whether anybody answered."""
        now = self._port.now()
        with self._guard:
            for owed in list(self._owed.values()):
                for debt in [debt for debt in owed.values() if debt.until <= now]:
                    self._drop(debt.ask.owner)
            servers = list(self._owed)
        answers = await self._together([self._pay_off(server) for server in servers])
        for answer in answers:
            if isinstance(answer, BaseException):
                raise answer
        return any(answers)

    async def _pay_off(self, server: Server) -> bool:
        """All that this server is owed, one after another, as long as it answers; whether it did."""
        end, answered = self._port.now() + _ROUND_S, False
        while self._port.now() < end and (debt := self._next(server)) is not None:
            try:
                await self._pay(server, debt.ask)
            except LockUnavailable:
                break
            except LockError as refused:  # and will refuse again
                log.warning("lock %r is left to the end of its lease: %s", debt.ask.spec.name, refused)
            finally:
                self._on_the_way.pop(server, None)
            answered = True
            with self._guard:
                if self._owed.get(server, {}).get(debt.ask.owner) is debt:
                    self._drop(debt.ask.owner, server)
        return answered

    def _next(self, server: Server) -> _Debt | None:
        with self._guard:
            debt = next(iter(self._owed.get(server, {}).values()), None)
            if debt is not None:
                self._on_the_way[server] = debt.ask.owner
            return debt

    def _drop(self, owner: str, of: Server | None = None) -> None:
        for server in list(self._owed) if of is None else [of]:
            self._owed[server].pop(owner, None)
            if not self._owed[server]:
                del self._owed[server]
