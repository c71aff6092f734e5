"""Releases leases and requests: for the holder, at the end of a block, or in the background for a caller that is gone.

Neighbours: `manager.py` (acquires), `release_retry.py` (repeats a release that the server did not answer).
"""

from stockade.locks.engine.calls import BackendCalls
from stockade.locks.engine.held_leases import HeldLeases, LeaseT
from stockade.locks.engine.held_lock import HeldLock
from stockade.locks.engine.lock_request import Backend, LockRequest, RetriesReleases
from stockade.locks.engine.renewal import Renewer
from stockade.locks.engine.reporter import Reporter
from stockade.locks.errors import LockError, LockLost, LockUnavailable, ProviderClosed
from stockade.locks.runtime.runtime import Runtime


class Releaser:
    """The releases of one provider."""

    def __init__(
        self,
        runtime: Runtime,
        backend: Backend,
        calls: BackendCalls,
        *,
        reporter: Reporter,
        held: "HeldLeases[LeaseT]",
        renewer: "Renewer[LeaseT]",
    ) -> None:
        self._runtime = runtime
        self._backend = backend
        self._calls = calls
        self._reporter = reporter
        self._held = held
        self._renewer = renewer

    async def release(self, lease: HeldLock) -> None:
        """Release the lease; a second call is harmless. Errors as for `Lease.release`, and ProviderClosed."""
        if lease.released:
            return
        self._calls.require_open(lease.name)
        if lease.count > 1:
            lease.count -= 1
            return
        was_lost = lease.lost  # released all the same: the server keeps it a little longer
        repeated, lease.release_begun = lease.release_begun, True
        self._renewer.remove(lease)  # before the release is sent, so that no renewal can follow it
        try:
            held = await self._backend.release(lease.request)
        except Exception as error:
            self._calls.explain(error, lease.name)
            raise
        except BaseException:
            self._runtime.run_to_end(self.release_request(lease.request))
            self._finish(lease)
            raise
        if not held and not was_lost and not repeated:  # an unanswered release may have been carried out
            lease.mark_lost("the server no longer knew it")
        self._finish(lease)
        if lease.lost_reason and lease.request.spec.on_lost != "ignore":
            raise lease.lost_error()

    async def exit(self, lease: HeldLock, error: BaseException | None) -> bool:
        """Release at the end of a `with` block, without masking `error`, which the body raised.

        Returns:
            False: the server did not answer; the release goes on in the background.

        Raises:
            LockLost: the lease ended before the block did, and the body raised nothing.
        """
        try:
            await self.release(lease)
        except ProviderClosed:  # the body has closed the provider: as at the end of the process
            self._finish(lease)
            return False
        except LockUnavailable as trouble:
            self.release_later(lease)
            detail = f"release is repeated in the background: {trouble}"
            self._reporter.emit("failed", lease.request, lease.acquired_at, detail)
            return False
        except LockLost as lost:
            if error is None:
                raise
            error.add_note(str(lost))
        return True

    async def release_unseen(self, lease: HeldLock) -> bool:
        """Release, briefly, a lease that its caller never received. False: as for `exit`."""
        if lease.count > 1:
            lease.count -= 1
            return True
        self.drop(lease)
        lease.released = True
        return await self.release_request(lease.request)

    def release_later(self, lease: HeldLock) -> None:
        """Release in the background what the server does not answer for now; the holder uses it no more."""
        if lease.count > 1:  # its holder has acquired it in an outer block too
            lease.count -= 1
            return
        self.drop(lease)
        lease.mark_released()
        self.release_request_later(lease.request)

    def release_request_later(self, request: LockRequest) -> None:
        """Release in the background a request that no lease object stands for any more."""
        if isinstance(self._backend, RetriesReleases):
            self._backend.release_later(request)
        else:
            self._runtime.spawn(self.release_request(request), "stockade-lock-release")

    async def release_request(self, request: LockRequest) -> bool:
        """Release it briefly, once. False: no answer; a backend that retries goes on in the background."""
        backend = self._backend
        try:
            if isinstance(backend, RetriesReleases):
                await backend.release_briefly(request)
            else:
                await backend.release(request)
        except LockError as error:  # no caller waits for it: the listeners learn of it
            self._reporter.emit("failed", request, detail=str(error))
            return not isinstance(error, LockUnavailable)
        return True

    def drop(self, lease: HeldLock) -> None:
        """Stop to list and to renew the lease."""
        self._renewer.remove(lease)
        self._held.remove(lease)

    def _finish(self, lease: HeldLock) -> None:
        self.drop(lease)
        lease.mark_released()
        self._reporter.emit("released", lease.request, lease.acquired_at)
