"""One background task per provider keeps its leases alive, in batches, and notices the lost ones.

It ends when nothing is left to keep and starts again with the next lease. A transient error is retried until the
lease's own deadline; "not mine" means lost at once; it never takes a lock anew. Redisson's watchdog is the model
for the batch, its open issues (renewal outliving release or owner) are the reason for the weak references here.
"""

import math
import threading
import weakref
from typing import TYPE_CHECKING, Any

from stockade.locks.errors import LockError, LockUnavailable
from stockade.locks.events import LockEvent
from stockade.locks.lease import BaseLease

if TYPE_CHECKING:
    from stockade.locks.ask import Ask
    from stockade.locks.keeper import Keeper

_IDLE_S = 10.0  # how long the task waits for a new lease before it ends
_RETRY_SHARE = 30.0  # after an error: again after lease / 30


class Renewer:
    """The renewal of one provider.

    Leases are referenced weakly: one that nobody can release any more (its task ended, the object was dropped) is
    given back instead of being renewed for ever.
    """

    def __init__(self, keeper: "Keeper[Any]") -> None:
        self._keeper = keeper
        self._guard = threading.Lock()
        self._leases: dict[str, tuple[weakref.ref[BaseLease], Ask]] = {}
        self._job: Any = None
        self._notice: Any = None
        self._wake_at = -math.inf  # the task looks at its list no later than this
        self._closed = False

    def add(self, lease: BaseLease) -> None:
        """Look after this lease from now on."""
        spec = lease.ask.spec
        lease.due = lease.deadline - spec.lease_s * 2 / 3 if spec.renew else lease.deadline
        with self._guard:
            self._leases[lease.ask.owner] = (weakref.ref(lease), lease.ask)
            if self._job is None and not self._closed:
                self._job = self._keeper.port.spawn(self._run(), "stockade-lock-renewal")
            elif lease.due < self._wake_at:
                self._wake_at = lease.due
                self._keeper.port.publish(self._notice)

    def remove(self, lease: BaseLease) -> None:
        """Look after it no more; before a release is sent, so that no renewal can follow it."""
        self._leases.pop(lease.ask.owner, None)

    def forget_the_parent(self) -> None:
        """In the child of a fork: begin anew."""
        self._guard = threading.Lock()
        self._leases.clear()
        self._job, self._notice, self._wake_at = None, None, -math.inf

    def lease_of(self, owner: str) -> BaseLease | None:
        """The lease of this owner, if it is looked after here."""
        entry = self._leases.get(owner)
        return None if entry is None else entry[0]()

    async def close(self) -> None:
        """End the task and wait for its end."""
        with self._guard:
            self._closed = True
            job = self._job
            if self._notice is not None:
                self._keeper.port.publish(self._notice)
        if job is not None:
            await self._keeper.port.join(job)

    async def _run(self) -> None:
        port = self._keeper.port
        while True:
            due = self._due(port.now())
            if due:
                await self._renew(due)
                continue
            with self._guard:
                if self._closed:
                    self._job = None
                    return
                self._notice = port.notice()
                now = port.now()
                unless_due = self._wake_at if self._wake_at > now else now + _IDLE_S  # short holds need not wake it
                self._wake_at = min((lease.due for lease in self._living()), default=unless_due)
            if not await port.wait_notice(self._notice, max(self._wake_at - now, 0.0)) and self._idle():
                return

    def _idle(self) -> bool:
        with self._guard:
            if self._leases:
                return False
            self._job = None
            return True

    def _living(self) -> list[BaseLease]:
        return [lease for ref, _ in list(self._leases.values()) if (lease := ref()) is not None]

    def _due(self, now: float) -> list[BaseLease]:
        """What must be renewed now; gives up on what has ended, ran out or was abandoned."""
        due = []
        for owner, (ref, ask) in list(self._leases.items()):
            lease = ref()
            if lease is None:
                self._abandoned(owner, ask)
            elif lease.due <= now and not lease.lost:  # `lost` tells the holder when the deadline has passed
                if not self._keeper.port.is_alive(lease.me) and lease.me is not None:
                    self._keeper.forget(lease)  # only the object itself can release it now
                    lease.me = None
                    self._leases[owner] = (ref, ask)
                due.append(lease)
        return due

    def _abandoned(self, owner: str, ask: "Ask") -> None:
        self._leases.pop(owner, None)
        keeper = self._keeper
        keeper.events.emit(LockEvent("abandoned", ask.spec.name, owner, detail="nobody could release it any more"))
        keeper.port.finish(self.give_back(ask))

    def give_back_later(self, lease: BaseLease) -> None:
        """A release that could not be sent: repeat it in the background until the lease runs out by itself."""
        self._keeper.forget(lease)
        lease.released = True
        self._repeat(lease.ask, lease.deadline)

    async def give_back(self, ask: "Ask") -> None:
        """Release what nobody else will: once now; if that is not answered, in the background, as above."""
        if not await self._released(ask):
            self._repeat(ask, self._keeper.port.now() + ask.spec.lease_s)

    def _repeat(self, ask: "Ask", deadline: float) -> None:
        if not self._keeper.backend.repeats_release:
            self._keeper.port.spawn(self._give_back_until(ask, deadline), "stockade-lock-release")

    async def _give_back_until(self, ask: "Ask", deadline: float) -> None:
        port = self._keeper.port
        pause_s = 0.05
        while not self._closed and port.now() < deadline:
            await port.sleep(pause_s)
            if ask.owner in self._leases or await self._released(ask):  # a caller's own token may be in use again
                return
            pause_s = min(pause_s * 2, 1.0)

    async def _released(self, ask: "Ask") -> bool:
        """Whether asking again is of no use: the answer came, or never will."""
        try:
            await self._keeper.backend.release(ask)
        except LockError as error:  # nobody waits for it: whoever listens is told
            self._keeper.events.emit(LockEvent("failed", ask.spec.name, ask.owner, detail=str(error)))
            return not isinstance(error, LockUnavailable)
        return True

    def _again_soon(self, lease: BaseLease, why: str) -> None:
        keeper = self._keeper
        lease.due = min(lease.deadline, keeper.port.now() + lease.ask.spec.lease_s / _RETRY_SHARE)
        keeper.events.emit(LockEvent("renew_failed", lease.name, lease.token, detail=why))

    async def _renew(self, leases: list[BaseLease]) -> None:
        """One batch: extend all, move their deadlines, tell the losers."""
        keeper, sent = self._keeper, self._keeper.port.now()
        asks = [lease.ask for lease in leases]
        patience_s = min(max(lease.deadline - sent, 0.001) for lease in leases)
        try:
            kept = await keeper.backend.extend(asks, min(patience_s, 5.0))
        except LockUnavailable as error:
            for lease in leases:
                self._again_soon(lease, str(error))
            return
        for lease, ask, held in zip(leases, asks, kept, strict=True):
            if lease.released or lease.ask.owner not in self._leases:
                continue  # given back meanwhile
            if held is None:
                self._again_soon(lease, "its server did not answer")
            elif not held:
                keeper.lose(lease, "the server no longer knew it")
            elif lease.ask is ask:  # otherwise `extend` has set a newer deadline
                lease.deadline = sent + ask.spec.lease_s
                lease.due = sent + ask.spec.lease_s / 3
                keeper.events.emit(LockEvent("renewed", lease.name, lease.token))
