"""One background task per provider keeps its leases alive, in batches, and notices the lost ones.

It ends when nothing is left to keep and starts again with the next lease. A transient error is retried until the
lease's own deadline; "not mine" means lost at once; it never takes a lock anew. What a server refuses for one lease
costs the others nothing. Redisson's watchdog is the model for the batch, its open issues (renewal outliving release or
owner) are the reason for the weak references here. Neighbours: `job.py` (what keeps the task alive), `keeper.py`.
"""

import math
import weakref
from typing import TYPE_CHECKING, Any

from stockade.locks.engine.job import Job
from stockade.locks.engine.lease import BaseLease
from stockade.locks.engine.lock_request import RetriesReleases
from stockade.locks.errors import LockError, LockUnavailable
from stockade.locks.events import LockEvent, log

if TYPE_CHECKING:
    from stockade.locks.engine.lock_request import LockRequest
    from stockade.locks.engine.manager import LockManager

_IDLE_S = 10.0  # how long the task waits for a new lease before it ends
_RETRY_SHARE = 30.0  # after an error: again after lease / 30
_RETRY_LEAST_S = 0.01
_CALL_S = 5.0  # of one call at most
_CALL_LEAST_S = 0.1  # a lease that ends at once must not cost the others of its batch their answer
_AFTER_TROUBLE_S = 0.1  # pause after an error that no code expected


class Renewer:
    """The renewal of one provider.

    Leases are referenced weakly: one that nobody can release any more (its task ended, the object was dropped) is
    given back instead of being renewed for ever. Without a lock, so that a signal handler may come at any point: a
    lease is listed before the task is told of it, and the task asks to be told before it looks at the list.
    """

    def __init__(self, manager: "LockManager[Any]") -> None:
        self._manager = manager
        self._leases: dict[str, tuple[weakref.ref[BaseLease], LockRequest]] = {}
        self._job = Job(manager.runtime, "stockade-lock-renewal", self._run, needed=self._needed, wake=self._wake)
        self._notice: Any = None
        self._wake_at = -math.inf  # the task looks at its list no later than this
        self._closed = False

    def _needed(self) -> bool:
        return bool(self._leases) and not self._closed

    def add(self, lease: BaseLease) -> None:
        """Look after this lease from now on."""
        spec = lease.request.spec
        lease.due = lease.deadline - spec.lease_s * 2 / 3 if spec.renew else lease.deadline
        self._leases[lease.request.owner_id] = (weakref.ref(lease), lease.request)
        if not self._job.running:
            if not self._closed:
                self._job.begin()
        elif lease.due < self._wake_at:
            self._wake_at = lease.due
            self._wake()

    def _wake(self) -> None:
        notice = self._notice
        if notice is not None:
            self._manager.runtime.wake(notice)

    def remove(self, lease: BaseLease) -> None:
        """Look after it no more; before a release is sent, so that no renewal can follow it."""
        self._leases.pop(lease.request.owner_id, None)

    def reset_in_child(self) -> None:
        """In the child of a fork: begin anew."""
        self._leases = {}
        self._forget_job()

    def change_loop(self) -> None:
        """In another event loop: go on there with the leases of before."""
        self._job.forget()
        self._wake()  # in the loop of before, so that it ends
        self._forget_job()
        if self._leases and not self._closed:
            self._manager.runtime.call_later(0.0, self._job.begin)

    def _forget_job(self) -> None:
        self._job.forget()
        self._notice, self._wake_at = None, -math.inf

    def lease_of(self, owner: str) -> BaseLease | None:
        """The lease of this owner, if it is looked after here."""
        entry = self._leases.get(owner)
        return None if entry is None else entry[0]()

    def living(self) -> list[BaseLease]:
        """Every lease that somebody can still release."""
        return [lease for ref, _ in list(self._leases.values()) if (lease := ref()) is not None]

    async def close(self, timeout_s: float) -> None:
        """End the task and wait for its end, at most that long; a call that is under way ends by itself."""
        self._closed = True
        self._wake()
        await self._job.join(timeout_s)

    async def _run(self, ticket: object) -> None:
        while self._job.is_current(ticket):
            try:
                if await self._step(ticket):
                    return
            except (Exception, SystemExit):  # noqa: BLE001 - a listener's, a callback's, a backend's: the leases must be kept
                log.exception("the renewal of locks goes on after an error")
                await self._manager.runtime.sleep(_AFTER_TROUBLE_S)

    async def _step(self, ticket: object) -> bool:
        """Renew what is due, or wait until something is; True when there is nothing to keep any more."""
        runtime = self._manager.runtime
        due = [] if self._closed else self._due(runtime.now())
        if due:
            await self._renew(due)
            return False
        planned, self._wake_at = self._wake_at, math.inf  # from here on every new lease wakes us
        notice = self._notice = runtime.new_wakeup()
        if self._closed or not self._job.is_current(ticket):
            return True
        now = runtime.now()
        unless_due = planned if now < planned < math.inf else now + _IDLE_S  # short holds need not wake it
        wake_at = self._wake_at = min((lease.due for lease in self.living()), default=unless_due)
        return not await runtime.wait_for(notice, max(wake_at - now, 0.0)) and not self._leases

    def _due(self, now: float) -> list[BaseLease]:
        """What must be renewed now; gives up on what has ended, ran out or was abandoned."""
        due = []
        for owner, (ref, request) in list(self._leases.items()):
            lease = ref()
            if lease is None:
                self._abandoned(owner, request)
            elif lease.due <= now and not lease.lost:  # `lost` tells the holder when the deadline has passed
                if not self._manager.runtime.is_alive(lease.me) and lease.me is not None:
                    self._manager.forget(lease)  # only the object itself can release it now
                    lease.me = None
                    self._leases[owner] = (ref, request)
                due.append(lease)
        return due

    def _abandoned(self, owner: str, request: "LockRequest") -> None:
        self._leases.pop(owner, None)
        manager = self._manager
        manager.events.emit(LockEvent("abandoned", request.spec.name, owner, detail="nobody could release it any more"))
        self._release_later(request)

    def give_back_later(self, lease: BaseLease) -> None:
        """Release in the background what its server will not answer for now; its holder has let go of it."""
        if lease.count > 1:  # its holder has taken it once more, outside
            lease.count -= 1
            return
        self._manager.forget(lease)
        lease.released = True
        lease.wake_waiters()
        self._release_later(lease.request)

    def _release_later(self, request: "LockRequest") -> None:
        backend = self._manager.backend
        if isinstance(backend, RetriesReleases):
            backend.release_later(request)
        else:
            self._manager.runtime.spawn(self._given_back(request), "stockade-lock-release")

    async def _given_back(self, request: "LockRequest") -> None:
        await self.give_back(request)

    async def give_back(self, request: "LockRequest") -> bool:
        """Release what nobody else will: once now, briefly. False: not answered; it is repeated in the background."""
        backend = self._manager.backend
        try:
            await (backend.give_back(request) if isinstance(backend, RetriesReleases) else backend.release(request))
        except LockError as error:  # nobody waits for it: whoever listens is told
            self._manager.events.emit(LockEvent("failed", request.spec.name, request.owner_id, detail=str(error)))
            return not isinstance(error, LockUnavailable)
        return True

    def _again_soon(self, lease: BaseLease, why: str) -> None:
        manager = self._manager
        pause_s = max(lease.request.spec.lease_s / _RETRY_SHARE, _RETRY_LEAST_S)
        lease.due = min(lease.deadline, manager.runtime.now() + pause_s)
        manager.events.emit(LockEvent("renew_failed", lease.name, lease.token, detail=why))

    async def _renew(self, leases: list[BaseLease]) -> None:
        """One batch; when it is refused, lease by lease, so that the refused one alone is tried again."""
        try:
            await self._renew_together(leases)
        except LockUnavailable as error:
            for lease in leases:
                self._again_soon(lease, str(error))
        except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever it is, the others must be kept
            if len(leases) == 1:
                self._again_soon(leases[0], f"refused: {error}")
                return
            await self._renew_apart(leases)

    async def _renew_apart(self, leases: list[BaseLease]) -> None:
        """Each by itself, until the server is silent: each question may take long."""
        away = ""
        for lease in leases:
            try:
                if not away:
                    await self._renew_together([lease])
            except LockUnavailable as error:
                away = str(error)
            except (Exception, SystemExit) as error:  # noqa: BLE001 - as above
                self._again_soon(lease, f"refused: {error}")
            if away:
                self._again_soon(lease, away)

    async def _renew_together(self, leases: list[BaseLease]) -> None:
        """Extend all, move their deadlines, tell the losers."""
        manager, sent = self._manager, self._manager.runtime.now()
        requests = [lease.request for lease in leases]
        left_s = min(lease.deadline - sent for lease in leases)
        kept = await manager.backend.extend(requests, min(max(left_s, _CALL_LEAST_S), _CALL_S))
        for lease, request, held in zip(leases, requests, kept, strict=True):
            if lease.released or lease.request.owner_id not in self._leases:
                continue  # given back meanwhile
            if held is None:
                self._again_soon(lease, "its server did not answer")
            elif not held:
                manager.mark_lost(lease, "the server no longer knew it")
            elif lease.request is request:  # otherwise `extend` has set a newer deadline
                lease.deadline = sent + request.spec.lease_s
                lease.due = sent + request.spec.lease_s / 3
                manager.events.emit(LockEvent("renewed", lease.name, lease.token))
