"""Acquires locks for the tasks or threads of one provider, and closes or moves what belongs to it.

It knows which locks are held in this process, and refuses a call that could never end (a second acquire by the same
task) or would be wrong (inside a transaction of the store). An acquisition walks through `lock_request.py` (what is
wanted), the backend (`memory.py`, `redis/backend.py`, …), `held_lock.py` (what was granted), `renewal.py` and
`release.py`.
"""

import math
import re
from collections.abc import Callable
from typing import Generic, cast

from stockade.core import in_transaction, refuse_in_transaction
from stockade.locks.checks import text
from stockade.locks.engine.calls import BackendCalls
from stockade.locks.engine.held_leases import HeldLeases, LeaseT
from stockade.locks.engine.held_lock import HeldLock
from stockade.locks.engine.lock_request import (
    CLOSING_PARTS,
    Backend,
    CancelsWaits,
    ChangesLoop,
    Grant,
    LockRequest,
    Spec,
)
from stockade.locks.engine.release import Releaser
from stockade.locks.engine.renewal import Renewer
from stockade.locks.engine.reporter import Reporter
from stockade.locks.errors import LockNotOwned, LockReentry, ProviderClosed, WrongLoop
from stockade.locks.events import Events
from stockade.locks.runtime.identity import reset_after_fork
from stockade.locks.runtime.runtime import Runtime

_WORD = re.compile(r"[^\s.]{1,32}")
_POLL_S = 0.005  # how often `close` looks whether all callers have gone


class LockManager(Generic[LeaseT]):
    """All locks of one provider in one process.

    Args:
        runtime: time, waiting and background work.
        backend: where the locks live.
        lease_type: makes the leases: that of the asyncio or of the thread API.
    """

    def __init__(self, runtime: Runtime, backend: Backend, lease_type: Callable[..., LeaseT]) -> None:
        self.runtime = runtime
        self.backend = backend
        self.events: Events = getattr(backend, "events", None) or Events()  # a backend may emit events of its own
        self.calls = BackendCalls(runtime, backend)
        self.held: HeldLeases[LeaseT] = HeldLeases(runtime)
        self.reporter = Reporter(runtime, self.events)
        self.renewer: Renewer[LeaseT] = Renewer(
            runtime,
            backend,
            reporter=self.reporter,
            release_holder=self._release_dead_holder,
            abandoned=self._release_abandoned,
        )
        self.releaser = Releaser(
            runtime, backend, self.calls, reporter=self.reporter, held=self.held, renewer=self.renewer
        )
        self._lease_type = lease_type
        reset_after_fork(self)

    # -- acquire --------------------------------------------------------------------------------------------------

    async def acquire(
        self, spec: Spec, timeout_s: float | None, *, blocking: bool = True, owner_word: str | None = None
    ) -> LeaseT | None:
        """Take the lock. None: it was not granted in time. Errors as for `Lock.acquire`.

        Args:
            spec: the lock.
            timeout_s: seconds to wait at most; None: no limit.
            blocking: False: try once; `timeout_s` does not count.
            owner_word: last part of the owner id; None: a number.
        """
        if in_transaction.get():
            refuse_in_transaction(f"lock {spec.name!r}")
        if self.calls.closed:
            raise ProviderClosed(lock_name=spec.name)
        caller = self.runtime.caller()
        held = self.held.of(spec, caller) if spec.kind != "semaphore" else None
        if held is not None and held.alive:
            return self._acquire_again(held, spec, can_wait=blocking and (timeout_s is None or timeout_s > 0))
        owner_id = self.runtime.new_id() if owner_word is None else self._owner_id(owner_word)
        request, started = LockRequest(spec, owner_id, blocking), self.runtime.now()
        self.reporter.emit("asked", request, started)
        grant, count = None, self.calls.count
        count.running += 1
        try:
            grant = await self.backend.acquire(request, _deadline(started, timeout_s, blocking))
            self.reporter.emit("timeout" if grant is None else "acquired", request, started)
            return None if grant is None else self._hold(request, grant, caller)
        except Exception as error:
            self.reporter.emit("failed", request, started, repr(error))
            self.calls.explain(error, spec.name)
            raise
        except BaseException:
            if grant is not None:  # in a thread, Ctrl-C may come at any point
                self._release_unseen_grant(request, caller)
            self.reporter.emit("cancelled", request, started)
            raise
        finally:
            count.running -= 1

    def _owner_id(self, word: str) -> str:
        """An owner id that ends in the caller's word; it starts with the process id, which the server notifies."""
        text("token", word)
        if not _WORD.fullmatch(word):
            raise ValueError(f"a token is a word of at most 32 characters without dots, got {word!r}")
        return f"{self.runtime.process()}.{word}"

    @staticmethod
    def _acquire_again(held: LeaseT, spec: Spec, *, can_wait: bool) -> LeaseT | None:
        """The caller holds the lock already."""
        if spec.reentrant and held.request.spec.weight >= spec.weight:
            held.count += 1
            return held
        if not can_wait:
            return None
        raise LockReentry(
            f"lock {spec.name!r} is already held by this task or thread; ask for reentrant=True", spec.name
        )

    def _hold(self, request: LockRequest, grant: Grant, holder: object) -> LeaseT:
        """Make the lease of a grant; list it, and renew it if it can end."""
        lease = self._lease_type(self, request, grant, holder)
        self.held.add(lease)
        if lease.deadline != math.inf:
            self.renewer.add(lease)
        return lease

    def _release_unseen_grant(self, request: LockRequest, caller: object) -> None:
        """Release a grant that its caller never received."""
        lease = self.held.of(request.spec, caller)
        if lease is not None and lease.request is request:
            self.releaser.drop(lease)
        self.runtime.run_to_end(self.releaser.release_request(request))

    async def acquire_unowned(self, spec: Spec, timeout_s: float | None, *, blocking: bool = True) -> LeaseT | None:
        """As `acquire`, for a lock that belongs to no task or thread, as `threading.Lock`.

        The caller may wait for itself, and only the lease object can release the lock.
        """
        request = LockRequest(spec, self.runtime.new_id(), blocking)
        deadline = _deadline(self.runtime.now(), timeout_s, blocking)
        grant = await self.calls.run(self.backend.acquire(request, deadline))
        if grant is None:
            return None
        lease = self._lease_type(self, request, grant, None)
        if lease.deadline != math.inf:
            self.renewer.add(lease)
        return lease

    async def adopt(self, spec: Spec, owner_id: str, fencing_token: int) -> LeaseT:
        """Take over a lease that was detached elsewhere. LockNotOwned: `owner_id` does not hold the lock any more."""
        request, sent = LockRequest(spec, owner_id), self.runtime.now()
        if not await self.calls.extend(request):
            raise LockNotOwned(f"lock {spec.name!r} is not held by {owner_id}", spec.name)
        return self._hold(request, Grant(fencing_token, sent + spec.lease_s), self.runtime.caller())

    # -- losses ---------------------------------------------------------------------------------------------------

    def mark_owner_lost(self, owner_id: str, reason: str) -> None:
        """Mark the lease of this owner as lost, for a backend that notices the loss itself."""
        lease = self.renewer.lease_of(owner_id)
        if lease is None:  # one without a lease is not renewed
            lease = next((held for held in self.held.all() if held.request.owner_id == owner_id), None)
        if lease is not None:
            lease.mark_lost(reason)

    def _release_dead_holder(self, lease: LeaseT) -> None:
        if lease.holder is not None and not self.runtime.is_alive(lease.holder):
            self.held.remove(lease)
            lease.holder = None  # only the lease object itself can release it now

    def _release_abandoned(self, request: LockRequest) -> None:
        self.reporter.emit("abandoned", request, detail="nobody could release it any more")
        self.releaser.release_request_later(request)

    # -- processes, event loops, the end -----------------------------------------------------------------------------

    def reset_in_child(self) -> None:
        """In the child of a fork: the parent holds its leases, and its renewal does not run here."""
        for lease in self._living():
            lease.released = True  # the end of the parent's block, reached here, must not release the parent's lock
        self.held.clear()
        self.calls.reset()
        self.renewer.reset_in_child()

    def change_loop(self, *, closed: bool, busy: bool) -> None:
        """Before the first call in another event loop: drop what belongs to the previous one.

        Args:
            closed: whether the previous loop is closed: nothing runs in it, and its leases are renewed in the new one.
            busy: whether a withdrawal still runs there.

        Raises:
            WrongLoop: something is held or awaited there.
        """
        names = "" if closed else ", ".join(sorted({lease.name for lease in self._living() if lease.alive}))
        why = ""
        if not isinstance(self.backend, ChangesLoop):
            why = "its connections belong to that loop"
        elif names:
            why = f"it holds {names} there"
        elif not closed and (busy or self.calls.count.running):
            why = "calls are under way there"
        if why:
            raise WrongLoop(f"the provider was used in another event loop: {why}; make one for each loop", names)
        self.calls.reset()
        self.renewer.change_loop()
        cast(ChangesLoop, self.backend).change_loop()

    def _living(self) -> list[HeldLock]:
        return [*self.held.all(), *self.renewer.leases()]

    async def close(self) -> None:
        """Stop the renewal, finish what was begun, close the backend; leases still held end by themselves.

        It takes `patience_s` of the backend at most, whatever its server does.
        """
        self.runtime.enter_loop()
        self.calls.closed = True
        share_s = self.backend.patience_s / CLOSING_PARTS
        if isinstance(self.backend, CancelsWaits):
            await self._cancel_waits(self.backend, self.runtime.now() + share_s)
        await self.renewer.close(share_s)
        await self.runtime.drain(share_s)
        await self.backend.close()
        await self.runtime.drain(share_s)

    async def _cancel_waits(self, backend: CancelsWaits, end: float) -> None:
        """Let waiting callers leave the queue while there is a connection, until the monotonic second `end`."""
        backend.cancel_waits()
        while self.calls.count.running and self.runtime.now() < end:
            await self.runtime.sleep(_POLL_S)


def _deadline(now: float, timeout_s: float | None, blocking: bool) -> float:
    if not blocking:
        return now
    return math.inf if timeout_s is None else now + timeout_s
