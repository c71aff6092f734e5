"""The state machine of acquire, hold and release, shared by both faces and all backends.

It knows who holds what in this process, refuses what could never end (a second acquire by the same task) or would
be wrong (inside a transaction), and brings losses to the holder. Neighbours: `ask.py` (values), `renewal.py`
(keeps leases alive), the backends (`memory.py`, `redisbackend.py`, …).
"""

import math
import re
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any, Generic, TypeAlias, TypeVar, cast

from stockade.core import in_transaction, refuse_in_transaction
from stockade.locks.checks import seconds
from stockade.locks.engine.identity import reset_after_fork
from stockade.locks.engine.lease import BaseLease
from stockade.locks.engine.lock_request import (
    CLOSING_PARTS,
    Backend,
    CancelsWaits,
    ChangesLoop,
    Grant,
    LockRequest,
    Spec,
)
from stockade.locks.engine.renewal import Renewer
from stockade.locks.errors import (
    LockLost,
    LockNotOwned,
    LockReentry,
    LockTimeout,
    LockUnavailable,
    ProviderClosed,
    WrongLoop,
)
from stockade.locks.events import EventKind, Events, LockEvent
from stockade.locks.runtime.runtime import Runtime

LeaseT = TypeVar("LeaseT", bound=BaseLease)
T = TypeVar("T")
_WORD = re.compile(r"[^\s.]{1,32}")
HeldKey: TypeAlias = tuple[str, str, object]
_LOOK_S = 0.005  # how often `close` looks whether all callers have gone
_EXTEND_S = 5.0  # of one call that extends, at most


class _Calls:
    """How many calls are under way in one event loop or process."""

    under_way = 0


class LockManager(Generic[LeaseT]):
    """All locks of one provider in one process.

    Args:
        port: time, waiting and background work.
        backend: where the locks live.
        lease_type: the face's lease class.
    """

    def __init__(self, runtime: Runtime, backend: Backend, lease_type: Callable[..., LeaseT]) -> None:
        self.runtime = runtime
        self.backend = backend
        self.events: Events = getattr(backend, "events", None) or Events()  # a backend may have something to tell
        self.renewer = Renewer(self)
        self._lease_type = lease_type
        self._held: dict[HeldKey, LeaseT] = {}
        self._calls = _Calls()
        self._closed = False
        reset_after_fork(self)

    async def acquire(self, spec: Spec, timeout_s: float | None, owner: str | None = None) -> LeaseT | None:
        """Take the lock, waiting at most `timeout_s` seconds (None: no limit; TRY_ONCE_S). None: not granted.

        Raises:
            LockInTransaction: the caller is inside a transaction of the store.
            LockReentry: the caller holds it already, and waiting could not end.
            ValueError: `owner` is no word.
            LockUnavailable: the server cannot be reached.
            ProviderClosed: the provider is closed, or was while the call waited.
            WrongLoop: the provider is in use in another event loop.
        """
        if in_transaction.get():
            refuse_in_transaction(f"lock {spec.name!r}")
        if self._closed:
            raise ProviderClosed(lock_name=spec.name)
        me = self.runtime.caller()
        held = self._held.get((spec.kind, spec.name, me)) if spec.kind != "semaphore" else None
        if held is not None and held.alive:
            return self._again(held, spec, timeout_s)
        request = LockRequest(spec, self.runtime.new_id() if owner is None else self._id_of(owner))
        started = self.runtime.now()
        deadline = math.inf if timeout_s is None else started + timeout_s
        self._tell("asked", request, started)
        granted, calls = None, self._calls
        calls.under_way += 1
        try:
            granted = await self.backend.acquire(request, deadline)
            self._tell("timeout" if granted is None else "acquired", request, started)
            return None if granted is None else self._keep(request, granted, me)
        except Exception as error:
            self._tell("failed", request, started, repr(error))
            self._explain(error, spec.name)
            raise
        except BaseException:
            if granted is not None:  # Ctrl-C in a thread may come at any point
                self._undo(request, me)
            self._tell("cancelled", request, started)
            raise
        finally:
            calls.under_way -= 1

    async def call(self, work: Coroutine[Any, Any, T]) -> T:
        """Any other question to the backend.

        Raises:
            ProviderClosed: the provider is closed.
            WrongLoop: it is in use in another event loop.
        """
        try:
            self._here()
        except BaseException:
            work.close()
            raise
        calls = self._calls
        calls.under_way += 1
        try:
            return await work
        except LockUnavailable as error:
            self._explain(error)
            raise
        finally:
            calls.under_way -= 1

    def _here(self, name: str = "") -> None:
        """Refuse a call with ProviderClosed or WrongLoop, unless it can be carried out from where the caller is."""
        if self._closed:
            raise ProviderClosed(lock_name=name)
        self.runtime.enter_loop()

    def _explain(self, error: Exception, name: str = "") -> None:
        """What ended because the provider was closed meanwhile says so; any other outage names its server."""
        if isinstance(error, LockUnavailable):
            if self._closed:
                raise ProviderClosed(lock_name=name) from error
            error.name_server(self.backend.where)

    def _id_of(self, word: str) -> str:
        """An owner id that ends in the caller's word; it begins as every id, for it tells the server whom to wake."""
        if not _WORD.fullmatch(word):
            raise ValueError(f"a token is a word of at most 32 characters without dots, got {word!r}")
        return f"{self.runtime.process()}.{word}"

    def reset_in_child(self) -> None:
        """In the child of a fork: what the parent holds is the parent's, and its renewal thread is not here."""
        for lease in self._living():
            lease.released = True  # the end of the parent's block, reached here, must not release the parent's lock
        self._held = {}
        self._calls = _Calls()
        self.renewer.reset_in_child()

    def change_loop(self, *, closed: bool, busy: bool) -> None:
        """Before the first call in another event loop: let go of what belongs to the one of before.

        Args:
            closed: whether that loop is closed: nothing goes on in it, and its leases are kept alive in the new one.
            busy: whether something is still being withdrawn there.

        Raises:
            WrongLoop: something is held or awaited there.
        """
        held = "" if closed else ", ".join(sorted({lease.name for lease in self._living() if lease.alive}))
        why = f"it holds {held} there" if held else "calls are under way there" if busy and not closed else ""
        if self._calls.under_way and not closed:
            why = why or "calls are under way there"
        if not isinstance(self.backend, ChangesLoop):
            why = "its connections belong to that loop"
        if why:
            raise WrongLoop(f"the provider was used in another event loop: {why}; make one for each loop", held)
        self._calls = _Calls()
        self.renewer.change_loop()
        cast(ChangesLoop, self.backend).change_loop()

    def _living(self) -> list[BaseLease]:
        return [*self._held.values(), *self.renewer.living()]

    def _undo(self, request: LockRequest, me: object) -> None:
        """A grant that its caller never saw."""
        lease = self._held.get((request.spec.kind, request.spec.name, me))
        if lease is not None and lease.request is request:
            self.forget(lease)
        self.runtime.run_to_end(self.renewer.give_back(request))

    async def acquire_unowned(self, spec: Spec, timeout_s: float | None) -> LeaseT | None:
        """As `acquire`, for locks that belong to nobody in particular, as `threading.Lock`: the caller may wait for
        himself, and the lease is held by its object alone.
        """
        request = LockRequest(spec, self.runtime.new_id())
        deadline = math.inf if timeout_s is None else self.runtime.now() + timeout_s
        granted = await self.call(self.backend.acquire(request, deadline))
        if granted is None:
            return None
        lease = self._lease_type(self, request, granted, None)
        if lease.deadline != math.inf:
            self.renewer.add(lease)
        return lease

    def _again(self, held: LeaseT, spec: Spec, timeout_s: float | None) -> LeaseT | None:
        if spec.reentrant and held.request.spec.weight >= spec.weight:
            held.count += 1
            return held
        if timeout_s is not None and timeout_s <= 0:
            return None
        raise LockReentry(
            f"lock {spec.name!r} is already held by this task or thread; ask for reentrant=True", spec.name
        )

    def _keep(self, request: LockRequest, granted: Grant, me: object) -> LeaseT:
        lease = self._lease_type(self, request, granted, me)
        key = (request.spec.kind, request.spec.name, me)
        lease.outer = self._held.get(key)
        self._held[key] = lease
        if lease.deadline != math.inf:
            self.renewer.add(lease)
        return lease

    async def adopt(self, spec: Spec, owner: str, fencing_token: int) -> LeaseT:
        """Take over a lease that was detached elsewhere.

        Raises:
            LockNotOwned: `owner` does not hold the lock any more.
        """
        request = LockRequest(spec, owner)
        sent = self.runtime.now()
        if (await self.call(self.backend.extend([request], min(spec.lease_s, _EXTEND_S)))) != [True]:
            raise LockNotOwned(f"lock {spec.name!r} is not held by {owner}", spec.name)
        return self._keep(request, Grant(fencing_token, sent + spec.lease_s), self.runtime.caller())

    def held_by_me(self, spec: Spec) -> LeaseT | None:
        """The caller's lease of this lock, if it holds one."""
        return self._held.get((spec.kind, spec.name, self.runtime.caller()))

    def mine(self, spec: Spec) -> LeaseT:
        """The caller's lease of this lock.

        Raises:
            LockNotOwned: it holds none.
        """
        lease = self._held.get((spec.kind, spec.name, self.runtime.caller()))
        if lease is None:
            raise LockNotOwned(
                f"lock {spec.name!r} is not held by this task or thread; a lease taken elsewhere (asyncio.wait_for "
                "starts a task of its own) is released by its own release()",
                spec.name,
            )
        return lease

    async def release(self, lease: LeaseT) -> None:
        """Give the lease back; a second time is harmless.

        Raises:
            LockLost: it had ended before.
            LockUnavailable: the server did not answer; call again, or let the lease run out.
            ProviderClosed: the provider is closed; the lease runs out, or has ended with its session.
        """
        if lease.released:
            return
        self._here(lease.name)
        if lease.count > 1:
            lease.count -= 1
            return
        was_lost = lease.lost  # the server keeps it a little longer: give it back all the same
        again, lease.ended = lease.ended, True
        self.renewer.remove(lease)
        try:
            owned = await self.backend.release(lease.request)
        except Exception as error:
            self._explain(error, lease.name)
            raise
        except BaseException:
            self.runtime.run_to_end(self.renewer.give_back(lease.request))
            self._let_go(lease)
            raise
        if not owned and not was_lost and not again:  # a release that was not answered may have been carried out
            self.mark_lost(lease, "the server no longer knew it")
        self._let_go(lease)
        if lease.lost_reason and lease.request.spec.on_lost != "ignore":
            raise lease.lost_error()

    async def leave(self, lease: LeaseT, error: BaseException | None) -> bool:
        """Release at the end of a `with` block, without masking what the body raised. False: it was not answered, and
        goes on in the background.

        Raises:
            LockLost: the lease ended before the block did, and the body raised nothing.
        """
        try:
            await self.release(lease)
        except ProviderClosed:  # the caller has closed it inside the block: as at the end of the process
            self._let_go(lease)
            return False
        except LockUnavailable as trouble:
            self.renewer.give_back_later(lease)
            self._tell("failed", lease.request, lease.acquired_at, f"release is repeated in the background: {trouble}")
            return False
        except LockLost as lost:
            if error is None:
                raise
            error.add_note(str(lost))
        return True

    async def undo(self, lease: LeaseT) -> bool:
        """Release, briefly, what the caller never got. False: it was not answered, and goes on in the background."""
        if lease.count > 1:
            lease.count -= 1
            return True
        self.forget(lease)
        lease.released = True
        return await self.renewer.give_back(lease.request)

    def _let_go(self, lease: LeaseT) -> None:
        lease.released = True
        self.forget(lease)
        lease.wake_waiters()
        self._tell("released", lease.request, lease.acquired_at)

    async def extend(self, lease: LeaseT, lease_s: float) -> None:
        """Give the lease `lease_s` seconds from now on.

        Raises:
            LockLost: it is not held any more; it is never taken anew.
            ValueError: without end, where the provider needs a lease.
        """
        seconds("lease_s", lease_s, endless=not self.backend.needs_lease)
        lease.check()
        request = replace(lease.request, spec=replace(lease.request.spec, lease_s=lease_s))
        sent = self.runtime.now()
        if (await self.call(self.backend.extend([request], min(lease_s, _EXTEND_S)))) != [True]:
            self.mark_lost(lease, "the server no longer knew it")
        lease.check()
        lease.request, lease.deadline = request, sent + lease_s
        self.renewer.add(lease)

    def forget(self, lease: BaseLease) -> None:
        """Drop it from the list of what is held here; `detach` and `release` do so."""
        self.renewer.remove(lease)
        key = (lease.request.spec.kind, lease.request.spec.name, lease.me)
        top = self._held.get(key)
        if top is lease:
            if lease.outer is None:
                del self._held[key]
            else:
                self._held[key] = lease.outer
            return
        while top is not None and top.outer is not lease:
            top = top.outer
        if top is not None:
            top.outer = lease.outer  # type: ignore[assignment]  # same face, same lease type

    def mark_lost(self, lease: BaseLease, reason: str) -> None:
        """Mark it lost, once, and tell everybody who should know."""
        if lease.lost_reason or lease.released:
            return
        lease.lost_reason = reason
        self.renewer.remove(lease)
        self._tell("lost", lease.request, lease.acquired_at, reason)
        body, lease.body = lease.body, None
        if body is not None and body is not self.runtime.caller():  # who notices it himself needs no interruption
            lease.interrupted = self.runtime.interrupt(body)
        lease.notify_lost()

    def mark_owner_lost(self, owner: str, reason: str) -> None:
        """The same by owner id, for backends that hear of a loss themselves."""
        lease = self.renewer.lease_of(owner)
        if lease is None:  # one without a lease is not renewed
            lease = next((held for held in list(self._held.values()) if held.token == owner), None)
        if lease is not None:
            self.mark_lost(lease, reason)

    def timed_out(self, spec: Spec, timeout_s: float | None) -> LockTimeout:
        """The error for a wait that ended without a grant."""
        return LockTimeout(f"lock {spec.name!r} was not granted within {timeout_s} s", spec.name)

    def _tell(self, kind: EventKind, request: LockRequest, since: float, detail: str = "") -> None:
        if self.events.listeners:
            self.events.emit(LockEvent(kind, request.spec.name, request.owner_id, self.runtime.now() - since, detail))

    async def close(self) -> None:
        """Stop renewing, finish what was begun, close the backend: within the backend's patience, whatever its server
        does. Leases still held run out.
        """
        self.runtime.enter_loop()
        self._closed = True
        share_s = self.backend.patience_s / CLOSING_PARTS
        if isinstance(self.backend, CancelsWaits):
            await self._end_waits(self.backend, self.runtime.now() + share_s)
        await self.renewer.close(share_s)
        await self.runtime.drain(share_s)
        await self.backend.close()
        await self.runtime.drain(share_s)

    async def _end_waits(self, backend: CancelsWaits, end: float) -> None:
        """Who waits leaves the line while there is a connection to say so, until the monotonic second `end`."""
        backend.cancel_waits()
        while self._calls.under_way and self.runtime.now() < end:
            await self.runtime.sleep(_LOOK_S)
