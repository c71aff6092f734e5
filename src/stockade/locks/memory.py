"""Fair locks inside one process: first come, first served for each name; an unused name takes no memory.

The `in-process` strategy uses them too. Threads and tasks use the same code, each over its own runtime.

A signal handler may use the same locks while its thread is at any point in here. So the guard is reentrant. Writes that
belong together stand in lines without a call, because Python runs handlers only at calls, loops and function entries. A
decision made before such lines is checked again there, by the version of the cell.
"""

import itertools
import math
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, TypeAlias

from stockade.locks.engine.lock_request import Grant, Holder, Kind, LockInfo, LockRequest
from stockade.locks.errors import ProviderClosed
from stockade.locks.runtime.identity import reset_after_fork
from stockade.locks.runtime.runtime import Runtime, Wakeup


class _Waiter:
    __slots__ = ("grant", "request", "wakeup")

    def __init__(self, request: LockRequest, wakeup: Wakeup) -> None:
        self.request = request
        self.wakeup = wakeup
        self.grant: Grant | None = None


class _Cell:
    """The state of one name: who holds it, until when, and who waits.

    Attributes:
        used: units taken; briefly too many while a holder is being removed, never too few.
        version: grows with every grant, every new waiter and the end of the cell.
        ended: nobody used the name any more, and the cell is no longer listed.
    """

    __slots__ = ("ended", "holders", "queue", "used", "version")

    def __init__(self) -> None:
        self.holders: dict[str, tuple[LockRequest, Grant, float]] = {}  # by owner id; the last: second of the grant
        self.used = 0
        self.queue: OrderedDict[str, _Waiter] | None = None  # by owner id; most names never have a waiter
        self.version = 0
        self.ended = False


_CellKey: TypeAlias = tuple[str, str]


class MemoryBackend:
    """Locks in a dictionary. Leases end by the monotonic clock."""

    needs_lease = False
    where = ""
    patience_s = 3.0  # only `close` needs it: it bounds the wait for the end of the renewal

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
        """In the child of a fork: holders and waiters are the parent's, and one of its threads may hold the guard."""
        self._guard, self._cells = threading.RLock(), {}

    def change_loop(self) -> None:
        """In another event loop: no waiter of the previous one can be woken any more."""
        for key, cell in list(self._cells.items()):
            cell.queue = None
            self._grant_next(key, cell)

    async def acquire(self, request: LockRequest, deadline: float) -> Grant | None:
        key = (request.spec.kind, request.spec.name)
        with self._guard:
            cell, waiter, grant = self._enter(key, request, deadline)
        if waiter is None:
            return grant
        if not self._guard._is_owned():  # noqa: SLF001 - what threading.Condition uses
            return await self._wait(key, cell, waiter, deadline)
        outer = self._guard._release_save()  # noqa: SLF001 - held by the code that this signal handler interrupted: others must go on
        try:
            return await self._wait(key, cell, waiter, deadline)
        finally:
            self._guard._acquire_restore(outer)  # noqa: SLF001 - as above

    def _enter(
        self, key: _CellKey, request: LockRequest, deadline: float
    ) -> tuple[_Cell, _Waiter | None, Grant | None]:
        """Take the lock, join the queue, or neither. Repeats only if a signal handler changed the cell meanwhile."""
        waiter = None
        while True:
            cell = self._cells.get(key)
            if cell is None:
                cell = self._cells.setdefault(key, _Cell())
            else:
                self._remove_expired(key, cell)
                if (mine := cell.holders.get(request.owner_id)) is not None:
                    return cell, None, mine[1]
            version = cell.version
            if not cell.queue and self._fits(cell, request):
                grant, now = self._new_grant(request)
                if cell.version == version and not cell.ended:
                    cell.holders[request.owner_id] = (request, grant, now)
                    cell.used += request.spec.weight
                    cell.version += 1
                    return cell, None, grant
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
            while waiter.grant is None and not self._closed and (pause_s := self._pause_s(cell, deadline)) > 0:
                await self._runtime.wait_for(waiter.wakeup, None if pause_s == math.inf else pause_s)
                with self._guard:
                    self._remove_expired(key, cell)
        except BaseException:
            self._leave(key, cell, waiter, keep_grant=False)
            raise
        grant = self._leave(key, cell, waiter, keep_grant=True)
        if grant is None and self._closed:
            raise ProviderClosed(lock_name=waiter.request.spec.name)
        return grant

    def _pause_s(self, cell: _Cell, deadline: float) -> float:
        """Seconds until the deadline, or until the first lease ends: a waiter must look then."""
        now = self._runtime.now()
        if deadline <= now:
            return 0.0
        with self._guard:
            ends = min((grant.valid_until for _, grant, _ in list(cell.holders.values())), default=math.inf)
        return min(deadline, ends) - now if ends > now else 0.001

    def _leave(self, key: _CellKey, cell: _Cell, waiter: _Waiter, *, keep_grant: bool) -> Grant | None:
        """End a wait with its grant, or leave queue and lock."""
        with self._guard:
            if cell.queue is not None:
                cell.queue.pop(waiter.request.owner_id, None)  # from here on it cannot be granted
            if waiter.grant is not None and keep_grant:
                return waiter.grant
            if waiter.grant is not None:
                self._remove_holder(cell, waiter.request.owner_id)
            self._grant_next(key, cell)
            return None

    @staticmethod
    def _fits(cell: _Cell, request: LockRequest) -> bool:
        return cell.used + request.spec.weight <= request.spec.capacity

    def _new_grant(self, request: LockRequest) -> tuple[Grant, float]:
        now = self._runtime.now()
        return Grant(next(self._tokens), now + request.spec.lease_s), now

    @staticmethod
    def _remove_holder(cell: _Cell, owner_id: str) -> bool:
        held = cell.holders.pop(owner_id, None)
        if held is None:
            return False
        cell.used -= held[0].spec.weight
        return True

    def _grant_next(self, key: _CellKey, cell: _Cell) -> None:
        """Grant to the head of the queue as long as it fits; drop the cell of a name that nobody uses."""
        while True:  # ends: each pass shortens the queue, or a signal handler has done so
            version, queue = cell.version, cell.queue
            if not queue:
                break
            try:
                waiter = next(iter(queue.values()))
            except (RuntimeError, StopIteration):  # a handler has changed it just now
                continue
            if not self._fits(cell, waiter.request):
                return
            owner_id, weight = waiter.request.owner_id, waiter.request.spec.weight
            grant, now = self._new_grant(waiter.request)
            if cell.version == version and owner_id in queue:
                del queue[owner_id]
                cell.holders[owner_id] = (waiter.request, grant, now)
                cell.used += weight
                cell.version += 1
                waiter.grant = grant
                self._runtime.wake(waiter.wakeup)
        known = self._cells.get(key) is cell
        if known and not cell.holders and not cell.queue and not cell.ended:
            cell.ended = True
            cell.version += 1
            del self._cells[key]

    def _remove_expired(self, key: _CellKey, cell: _Cell) -> None:
        now = self._runtime.now()
        ended = [owner_id for owner_id, (_, grant, _) in list(cell.holders.items()) if grant.valid_until <= now]
        for owner_id in ended:
            self._remove_holder(cell, owner_id)
        if ended:
            self._grant_next(key, cell)

    async def release(self, request: LockRequest) -> bool:
        key = (request.spec.kind, request.spec.name)
        with self._guard:
            cell = self._cells.get(key)
            if cell is None or not self._remove_holder(cell, request.owner_id):
                return False
            self._grant_next(key, cell)
            return True

    async def extend(self, requests: Sequence[LockRequest], timeout_s: float) -> list[bool]:
        with self._guard:
            return [self._extend(request) for request in requests]

    def _extend(self, request: LockRequest) -> bool:
        key = (request.spec.kind, request.spec.name)
        cell = self._cells.get(key)
        if cell is None:
            return False
        self._remove_expired(key, cell)
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
                self._remove_expired((kind, name), cell)
            if cell is None:
                return LockInfo(name, (), ())
            now = self._runtime.now()
            holders = tuple(
                Holder(owner_id, grant.fencing_token, grant.valid_until - now, request.spec.metadata, now - since)
                for owner_id, (request, grant, since) in list(cell.holders.items())
            )
            return LockInfo(name, holders, tuple(cell.queue or ()))

    async def break_(self, name: str, kind: Kind) -> bool:
        with self._guard:
            cell = self._cells.get((kind, name))
            if cell is None or not cell.holders:
                return False
            for owner_id in list(cell.holders):
                self._remove_holder(cell, owner_id)
            self._grant_next((kind, name), cell)
            return True

    async def raise_fence(self, name: str, at_least: int) -> None:
        with self._guard:
            self._tokens = itertools.count(max(next(self._tokens), at_least + 1))

    def cancel_waits(self) -> None:
        self._closed = True
        with self._guard:
            waiters = [waiter for cell in list(self._cells.values()) for waiter in list((cell.queue or {}).values())]
        for waiter in waiters:
            self._runtime.wake(waiter.wakeup)

    async def close(self) -> None:
        return None

    @property
    def names_in_use(self) -> int:
        """How many names have a holder or a waiter: 0 when all is released."""
        return len(self._cells)
