"""One background job per provider renews its leases in batches, and marks those that have ended as lost.

The job ends when no lease is left and starts again with the next one. It repeats a failed renewal until the lease's own
deadline, marks a lease as lost when the server no longer knows it, and never acquires a lock. An error of one lease
does not affect the others. The batch follows Redisson's watchdog. The weak references avoid two of its open issues:
renewals that outlive the release, or the holder.

No mutex guards the list, because a signal handler may run at any point. A lease is listed before the job is woken, and
the job makes its wake-up before it looks at the list.
"""

import math
import weakref
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from stockade.locks.engine.background_job import BackgroundJob
from stockade.locks.engine.lock_request import Backend, LockRequest
from stockade.locks.engine.reporter import Reporter
from stockade.locks.errors import LockUnavailable
from stockade.locks.events import log
from stockade.locks.runtime.runtime import Runtime

_IDLE_S = 10.0  # how long the job waits for a new lease before it ends
_RETRY_SHARE = 30.0  # after an error: again after lease / 30
_RETRY_LEAST_S = 0.01
_CALL_S = 5.0  # of one call at most
_CALL_LEAST_S = 0.1  # a lease that is about to end must not cost the others of its batch their answer
_AFTER_ERROR_S = 0.1  # pause after an unexpected error


class Renewable(Protocol):
    """What renewal needs to know of a lease."""

    request: LockRequest
    deadline: float

    def mark_lost(self, reason: str) -> None:
        """Record and report the loss."""
        ...


RenewableT = TypeVar("RenewableT", bound=Renewable)


class _Entry(Generic[RenewableT]):
    __slots__ = ("due", "lease", "request")

    def __init__(self, lease: RenewableT, due: float) -> None:
        self.lease = weakref.ref(lease)
        self.request = lease.request  # to release it once its lease object is gone
        self.due = due  # monotonic second of the next renewal


class Renewer(Generic[RenewableT]):
    """The renewal of one provider.

    Args:
        runtime: the clock, and what runs the job.
        backend: extends leases.
        reporter: receives what happens.
        release_holder: called before a renewal. If the holder of the lease has ended, it stops to list the lease as
            held, so that the weak reference here dies with the last other reference.
        abandoned: releases a request whose lease object is gone, so that it is not renewed for ever.
    """

    def __init__(
        self,
        runtime: Runtime,
        backend: Backend,
        *,
        reporter: Reporter,
        release_holder: Callable[[RenewableT], None],
        abandoned: Callable[[LockRequest], None],
    ) -> None:
        self._runtime = runtime
        self._backend = backend
        self._reporter = reporter
        self._release_holder = release_holder
        self._abandoned = abandoned
        self._entries: dict[str, _Entry[RenewableT]] = {}  # by owner id
        self._job = BackgroundJob(runtime, "stockade-lock-renewal", self._run, self._needed)
        self._wake_at = -math.inf  # the job looks at its list no later than this
        self._closed = False

    def _needed(self) -> bool:
        return bool(self._entries) and not self._closed

    def add(self, lease: RenewableT) -> None:
        """Renew this lease from now on; one with the option `renew=False` is only watched until its end."""
        spec = lease.request.spec
        due = lease.deadline - spec.lease_s * 2 / 3 if spec.renew else lease.deadline
        self._entries[lease.request.owner_id] = _Entry(lease, due)
        if not self._job.running:
            if not self._closed:
                self._job.start()
        elif due < self._wake_at:
            self._wake_at = due
            self._job.wake()

    def remove(self, lease: Renewable) -> None:
        """Renew it no more."""
        self._entries.pop(lease.request.owner_id, None)

    def lease_of(self, owner_id: str) -> RenewableT | None:
        """The lease of this owner, if it is renewed here."""
        entry = self._entries.get(owner_id)
        return None if entry is None else entry.lease()

    def leases(self) -> list[RenewableT]:
        """Every lease whose object still exists."""
        return [lease for entry in list(self._entries.values()) if (lease := entry.lease()) is not None]

    def reset_in_child(self) -> None:
        """Start anew in the child of a fork."""
        self._entries, self._wake_at = {}, -math.inf
        self._job.reset_in_child()

    def change_loop(self) -> None:
        """Go on in another event loop, with the leases of the previous one."""
        self._wake_at = -math.inf
        self._job.change_loop()

    async def close(self, timeout_s: float) -> None:
        """End the job and wait for its end, `timeout_s` seconds at most; a call that runs ends by itself."""
        self._closed = True
        await self._job.close(timeout_s)

    async def _run(self, ticket: object) -> None:
        while self._job.is_current(ticket):
            try:
                if await self._step(ticket):
                    return
            except (Exception, SystemExit):  # noqa: BLE001 - of a listener, a callback, a backend: the leases must be kept
                log.exception("the renewal of locks goes on after an error")
                await self._runtime.sleep(_AFTER_ERROR_S)

    async def _step(self, ticket: object) -> bool:
        """Renew what is due, or wait until something is; True when no lease is left."""
        runtime = self._runtime
        due = [] if self._closed else self._due(runtime.now())
        if due:
            await self._renew(due)
            return False
        planned, self._wake_at = self._wake_at, math.inf  # from here on every new lease wakes the job
        wakeup = self._job.new_wakeup()
        if self._closed or not self._job.is_current(ticket):
            return True
        now = runtime.now()
        unless_due = planned if now < planned < math.inf else now + _IDLE_S  # short holds need not wake it
        dues = [entry.due for entry in list(self._entries.values()) if entry.lease() is not None]
        wake_at = self._wake_at = min(dues, default=unless_due)
        return not await runtime.wait_for(wakeup, max(wake_at - now, 0.0)) and not self._entries

    def _due(self, now: float) -> list[RenewableT]:
        """The leases to renew now. Marks those that have ended as lost, and releases the abandoned ones."""
        due = []
        for owner_id, entry in list(self._entries.items()):
            lease = entry.lease()
            if lease is None:
                self._entries.pop(owner_id, None)
                self._abandoned(entry.request)
            elif lease.deadline <= now:
                self._entries.pop(owner_id, None)
                lease.mark_lost("the lease ran out")
            elif entry.due <= now:
                self._release_holder(lease)
                due.append(lease)
        return due

    def _retry_soon(self, lease: RenewableT, why: str) -> None:
        pause_s = max(lease.request.spec.lease_s / _RETRY_SHARE, _RETRY_LEAST_S)
        if (entry := self._entries.get(lease.request.owner_id)) is not None:
            entry.due = min(lease.deadline, self._runtime.now() + pause_s)
        self._reporter.emit("renew_failed", lease.request, detail=why)

    async def _renew(self, leases: list[RenewableT]) -> None:
        """Renew one batch; if it is refused, lease by lease, so that only the refused one is tried again."""
        try:
            await self._renew_together(leases)
        except LockUnavailable as error:
            for lease in leases:
                self._retry_soon(lease, str(error))
        except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever it is, the others must be kept
            if len(leases) == 1:
                self._retry_soon(leases[0], f"refused: {error}")
                return
            await self._renew_one_by_one(leases)

    async def _renew_one_by_one(self, leases: list[RenewableT]) -> None:
        """Once the server does not answer, the rest waits for the next round: each call may take long."""
        no_answer = ""
        for lease in leases:
            try:
                if not no_answer:
                    await self._renew_together([lease])
            except LockUnavailable as error:
                no_answer = str(error)
            except (Exception, SystemExit) as error:  # noqa: BLE001 - as above
                self._retry_soon(lease, f"refused: {error}")
            if no_answer:
                self._retry_soon(lease, no_answer)

    async def _renew_together(self, leases: list[RenewableT]) -> None:
        """Extend all in one call, and move their deadlines or mark them as lost."""
        sent = self._runtime.now()
        requests = [lease.request for lease in leases]
        left_s = min(lease.deadline - sent for lease in leases)
        kept = await self._backend.extend(requests, min(max(left_s, _CALL_LEAST_S), _CALL_S))
        for lease, request, held in zip(leases, requests, kept, strict=True):
            entry = self._entries.get(request.owner_id)
            if entry is None or entry.lease() is not lease:
                continue  # released meanwhile
            if held is None:
                self._retry_soon(lease, "its server did not answer")
            elif not held:
                lease.mark_lost("the server no longer knew it")
            elif lease.request is request:  # otherwise `extend` has set a newer deadline
                lease.deadline = sent + request.spec.lease_s
                entry.due = sent + request.spec.lease_s / 3
                self._reporter.emit("renewed", request)
