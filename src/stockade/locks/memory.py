"""Fair locks inside one process: first come, first served per name, nothing left behind when nobody uses a name.

This is also the mutex of the in-process strategy. Threads and tasks use it alike, each over its own port.

A signal handler may use the same locks while its thread is at any point in here. So the guard lets its own thread in
again, what is written together stands in lines without a call (Python runs handlers at calls, loops and entries only),
and what was decided before such lines is looked at again by the version of the cell.
"""

import itertools
import math
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, TypeAlias

from stockade.locks.engine.identity import reset_after_fork
from stockade.locks.engine.lock_request import Grant, Holder, Kind, LockInfo, LockRequest
from stockade.locks.errors import ProviderClosed
from stockade.locks.runtime.runtime import Runtime, Wakeup


class _Waiter:
    __slots__ = ("granted", "notice", "request")

    def __init__(self, request: LockRequest, notice: Wakeup) -> None:
        self.request = request
        self.notice = notice
        self.granted: Grant | None = None


class _Cell:
    """One name: who holds it, until when, and who waits.

    Attributes:
        used: units taken; for a moment too many while a holder is being dropped, never too few.
        version: grows with every grant, every new waiter and the end of the cell.
        ended: nobody used the name any more, and the cell has been forgotten.
    """

    __slots__ = ("ended", "holders", "queue", "used", "version")

    def __init__(self) -> None:
        self.holders: dict[str, tuple[LockRequest, Grant, float]] = {}  # and the monotonic second of the grant
        self.used = 0
        self.queue: OrderedDict[str, _Waiter] | None = None  # made by the first waiter: most names never have one
        self.version = 0
        self.ended = False


_CellKey: TypeAlias = tuple[str, str]


class MemoryBackend:
    """Locks in a dictionary. Leases, if asked for, end by the monotonic clock."""

    needs_lease = False
    where = ""
    patience_s = 3.0  # nothing here takes long; it bounds the end of the renewal

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._closed = False
        self._begin()
        reset_after_fork(self)

    def _begin(self) -> None:
        self._guard: Any = threading.RLock()
        self._cells: dict[_CellKey, _Cell] = {}
        self._tokens = itertools.count(1)

    def reset_in_child(self) -> None:
        """In the child of a fork: the parent's threads hold and wait in the parent; one of them may have the guard."""
        self._guard, self._cells = threading.RLock(), {}

    def change_loop(self) -> None:
        """In another event loop: nobody can wait in the one of before any more."""
        for key, cell in list(self._cells.items()):
            cell.queue = None
            self._hand_on(key, cell)

    async def acquire(self, request: LockRequest, deadline: float) -> Grant | None:
        key = (request.spec.kind, request.spec.name)
        with self._guard:
            cell, waiter, granted = self._enter(key, request, deadline)
        if waiter is None:
            return granted
        if not self._guard._is_owned():  # noqa: SLF001 - what threading.Condition uses
            return await self._wait(key, cell, waiter, deadline)
        outer = self._guard._release_save()  # noqa: SLF001 - of whom this signal handler interrupted: others must go on
        try:
            return await self._wait(key, cell, waiter, deadline)
        finally:
            self._guard._acquire_restore(outer)  # noqa: SLF001 - as above

    def _enter(
        self, key: _CellKey, request: LockRequest, deadline: float
    ) -> tuple[_Cell, _Waiter | None, Grant | None]:
        """Take it, stand in line, or neither. Begins again only if a signal handler has changed the cell meanwhile."""
        waiter = None
        while True:
            cell = self._cells.get(key)
            if cell is None:
                cell = self._cells.setdefault(key, _Cell())
            else:
                self._drop_expired(key, cell)
                if (mine := cell.holders.get(request.owner_id)) is not None:
                    return cell, None, mine[1]
            version = cell.version
            if not cell.queue and self._fits(cell, request):
                granted, now = self._granted(request)
                if cell.version == version and not cell.ended:
                    cell.holders[request.owner_id] = (request, granted, now)
                    cell.used += request.spec.weight
                    cell.version += 1
                    return cell, None, granted
                continue
            if deadline <= self._runtime.now():
                return cell, None, None
            waiter = waiter or _Waiter(request, self._runtime.new_wakeup())
            queue = cell.queue if cell.queue is not None else OrderedDict()
            if cell.version == version and not cell.ended:
                cell.queue = queue
                queue[request.owner_id] = waiter
                cell.version += 1
                return cell, waiter, None

    async def _wait(self, key: _CellKey, cell: _Cell, waiter: _Waiter, deadline: float) -> Grant | None:
        try:
            while waiter.granted is None and not self._closed and (pause_s := self._pause_s(cell, deadline)) > 0:
                await self._runtime.wait_for(waiter.notice, None if pause_s == math.inf else pause_s)
                with self._guard:
                    self._drop_expired(key, cell)
        except BaseException:
            self._leave(key, cell, waiter, keep_grant=False)
            raise
        granted = self._leave(key, cell, waiter, keep_grant=True)
        if granted is None and self._closed:
            raise ProviderClosed(lock_name=waiter.request.spec.name)
        return granted

    def _pause_s(self, cell: _Cell, deadline: float) -> float:
        """Until the deadline, or until a holder's lease ends: then somebody must look."""
        now = self._runtime.now()
        if deadline <= now:
            return 0.0
        with self._guard:
            ends = min((granted.valid_until for _, granted, _ in list(cell.holders.values())), default=math.inf)
        return min(deadline, ends) - now if ends > now else 0.001

    def _leave(self, key: _CellKey, cell: _Cell, waiter: _Waiter, *, keep_grant: bool) -> Grant | None:
        """End a wait: with its grant, or without leaving anything behind."""
        with self._guard:
            if cell.queue is not None:
                cell.queue.pop(waiter.request.owner_id, None)  # from here on nobody can grant it
            if waiter.granted is not None and keep_grant:
                return waiter.granted
            if waiter.granted is not None:
                self._drop_holder(cell, waiter.request.owner_id)
            self._hand_on(key, cell)
            return None

    @staticmethod
    def _fits(cell: _Cell, request: LockRequest) -> bool:
        return cell.used + request.spec.weight <= request.spec.capacity

    def _granted(self, request: LockRequest) -> tuple[Grant, float]:
        now = self._runtime.now()
        return Grant(next(self._tokens), now + request.spec.lease_s), now

    @staticmethod
    def _drop_holder(cell: _Cell, owner: str) -> bool:
        held = cell.holders.pop(owner, None)
        if held is None:
            return False
        cell.used -= held[0].spec.weight
        return True

    def _hand_on(self, key: _CellKey, cell: _Cell) -> None:
        """Grant to the head of the queue as long as it fits; forget a name that nobody uses."""
        while True:  # ends: each turn shortens the queue, or a signal handler has done so
            version, queue = cell.version, cell.queue
            if not queue:
                break
            try:
                waiter = next(iter(queue.values()))
            except (RuntimeError, StopIteration):  # a handler has changed it just now
                continue
            if not self._fits(cell, waiter.request):
                return
            owner, weight = waiter.request.owner_id, waiter.request.spec.weight
            granted, now = self._granted(waiter.request)
            if cell.version == version and owner in queue:
                del queue[owner]
                cell.holders[owner] = (waiter.request, granted, now)
                cell.used += weight
                cell.version += 1
                waiter.granted = granted
                self._runtime.wake(waiter.notice)
        known = self._cells.get(key) is cell
        if known and not cell.holders and not cell.queue and not cell.ended:
            cell.ended = True
            cell.version += 1
            del self._cells[key]

    def _drop_expired(self, key: _CellKey, cell: _Cell) -> None:
        now = self._runtime.now()
        ended = [owner for owner, (_, granted, _) in list(cell.holders.items()) if granted.valid_until <= now]
        for owner in ended:
            self._drop_holder(cell, owner)
        if ended:
            self._hand_on(key, cell)

    async def release(self, request: LockRequest) -> bool:
        key = (request.spec.kind, request.spec.name)
        with self._guard:
            cell = self._cells.get(key)
            if cell is None or not self._drop_holder(cell, request.owner_id):
                return False
            self._hand_on(key, cell)
            return True

    async def extend(self, requests: Sequence[LockRequest], timeout_s: float) -> list[bool]:
        with self._guard:
            return [self._extend(request) for request in requests]

    def _extend(self, request: LockRequest) -> bool:
        key = (request.spec.kind, request.spec.name)
        cell = self._cells.get(key)
        if cell is None:
            return False
        self._drop_expired(key, cell)
        held = cell.holders.get(request.owner_id)
        if held is None:
            return False
        longer = replace(held[1], valid_until=self._runtime.now() + request.spec.lease_s)
        cell.holders[request.owner_id] = (request, longer, held[2])
        return True

    async def inspect(self, name: str, kind: Kind) -> LockInfo:
        with self._guard:
            cell = self._cells.get((kind, name))
            if cell is not None:
                self._drop_expired((kind, name), cell)
            if cell is None:
                return LockInfo(name, (), ())
            now = self._runtime.now()
            holders = tuple(
                Holder(owner, granted.fencing_token, granted.valid_until - now, request.spec.metadata, now - since)
                for owner, (request, granted, since) in list(cell.holders.items())
            )
            return LockInfo(name, holders, tuple(cell.queue or ()))

    async def break_(self, name: str, kind: Kind) -> bool:
        with self._guard:
            cell = self._cells.get((kind, name))
            if cell is None or not cell.holders:
                return False
            for owner in list(cell.holders):
                self._drop_holder(cell, owner)
            self._hand_on((kind, name), cell)
            return True

    async def raise_fence(self, name: str, at_least: int) -> None:
        with self._guard:
            self._tokens = itertools.count(max(next(self._tokens), at_least + 1))

    def cancel_waits(self) -> None:
        self._closed = True
        with self._guard:
            waiters = [waiter for cell in list(self._cells.values()) for waiter in list((cell.queue or {}).values())]
        for waiter in waiters:
            self._runtime.wake(waiter.notice)

    async def close(self) -> None:
        return None

    @property
    def names_in_use(self) -> int:
        """How many names have a holder or a waiter: 0 when all is given back."""
        return len(self._cells)
