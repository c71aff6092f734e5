"""The callers of one process that wait for locks of a server, and how a notice finds its waiter.

One subscription per process serves all waiters. A notice is `<owner id> <fencing token>`: that owner became the holder.
"""

from typing import Any

from stockade.locks.engine.lock_request import LockRequest
from stockade.locks.errors import LockUnavailable
from stockade.locks.events import Events, LockEvent, log
from stockade.locks.redis.script import translated
from stockade.locks.redis.transport.transport import ServerError, Transport
from stockade.locks.runtime.identity import reset_after_fork
from stockade.locks.runtime.runtime import Runtime

_REFUSED_S = 60.0  # how long a refused subscription is not tried again; the user may get the right meanwhile


class NoticeWaiter:
    """One request that may have to wait.

    Attributes:
        fencing_token: of its notice; 0: none came.
        recheck: it must query the server at once.
    """

    __slots__ = ("_waiters", "_wakeup", "fencing_token", "queue", "recheck", "request")

    def __init__(self, waiters: "NoticeWaiters", request: LockRequest) -> None:
        self._waiters = waiters
        self._wakeup: Any = None
        self.request = request
        self.queue: NoticeQueue | None = None  # until the server has replied that it must wait
        self.fencing_token = 0
        self.recheck = False

    @property
    def is_first(self) -> bool:
        """Whether it has waited longest for this lock in this process. The first one watches the server's queue."""
        return self.queue is not None and next(iter(self.queue.waiters.values()), None) is self

    def needs_heartbeat(self, poll_s: float) -> bool:
        """Whether this process has sent no heartbeat for this lock for half of `poll_s` seconds."""
        queue = self._waiters.queue_of(self.request)
        return queue is None or self._waiters.runtime.now() - queue.heartbeat_at >= poll_s / 2

    async def sleep(self, seconds: float) -> None:
        """Sleep until `wake`, at most that long."""
        self._wakeup = self._waiters.runtime.new_wakeup()
        if not self.fencing_token and not self.recheck and not self._waiters.closed:
            await self._waiters.runtime.wait_for(self._wakeup, max(seconds, 0.0))

    def wake(self) -> None:
        """End its sleep."""
        if self._wakeup is not None:
            self._waiters.runtime.wake(self._wakeup)


class NoticeQueue:
    """The waiters of one lock in this process, in order of arrival.

    Attributes:
        waiters: by owner id.
        heartbeat_at: the monotonic second at which the last heartbeat of this process was sent.
    """

    __slots__ = ("heartbeat_at", "waiters")

    def __init__(self) -> None:
        self.waiters: dict[str, NoticeWaiter] = {}
        self.heartbeat_at = float("-inf")

    def record_heartbeat(self, sent_at: float) -> None:
        """The server has received a heartbeat. Called after the reply: a call that overtakes it sends its own."""
        self.heartbeat_at = max(self.heartbeat_at, sent_at)


class NoticeWaiters:
    """All waiters of one provider in this process.

    Attributes:
        closed: the provider is being closed.
        was_refused: the server has refused the subscription once, and that was logged.
    """

    def __init__(self, runtime: Runtime, transport: Transport, channel: str, events: Events) -> None:
        self.runtime = runtime
        self.channel = channel
        self._transport = transport
        self._events = events
        self._refused_until = float("-inf")
        self.closed = False
        self.was_refused = False
        self._begin()
        reset_after_fork(self)

    def _begin(self) -> None:
        self._queues: dict[tuple[str, str], NoticeQueue] = {}
        self._waiters: dict[str, NoticeWaiter] = {}
        self._process = ""  # that has subscribed

    def reset_in_child(self) -> None:
        """In the child of a fork: the parent's threads wait in the parent."""
        self._begin()

    def change_loop(self) -> None:
        """In another event loop: the waiters and the subscription of the old one are gone."""
        self._begin()

    @property
    def must_poll(self) -> bool:
        """Whether the server has lately refused the subscription: no notice reaches this process."""
        return self.was_refused and self._refused_until > self.runtime.now()

    @property
    def subscribed(self) -> bool:
        """Whether notices can reach this process; false again in the child after a fork."""
        return self._process == self.runtime.process()

    async def listen(self, timeout_s: float) -> None:
        """Subscribe, before the first waiter joins the server's queue. Afterwards `subscribed` or `must_poll` is true.

        Raises:
            LockUnavailable: the server does not answer, or cannot serve now.
        """
        process = self.runtime.process()
        try:
            await self._transport.listen(self.channel + process, self._receive, self._recheck_all, timeout_s)
        except ServerError as error:
            if isinstance(refused := translated(error), LockUnavailable):
                raise refused from error
            self._poll_for_a_while(str(error))
        else:
            self._process = process

    def _poll_for_a_while(self, why: str) -> None:
        self._refused_until = self.runtime.now() + _REFUSED_S
        if self.was_refused:
            return
        self.was_refused = True
        pattern = f"{self.channel}*"
        log.warning("waiters of locks poll: the server refuses the channels %s to this user: %s", pattern, why)
        self._events.emit(LockEvent("polling", "", self.runtime.process(), detail=f"{pattern}: {why}"))

    def add(self, request: LockRequest) -> NoticeWaiter:
        """A waiter that notices can find. Called before the server receives the request."""
        waiter = self._waiters[request.owner_id] = NoticeWaiter(self, request)
        return waiter

    def queue_of(self, request: LockRequest) -> NoticeQueue | None:
        """The waiters of this process for the lock that `request` wants."""
        return self._queues.get((request.spec.kind, request.spec.name))

    def enqueue(self, waiter: NoticeWaiter) -> NoticeQueue:
        """The server has replied that this request must wait."""
        key = (waiter.request.spec.kind, waiter.request.spec.name)
        queue = self._queues.setdefault(key, NoticeQueue())
        queue.waiters[waiter.request.owner_id] = waiter
        self._queues[key] = queue  # another thread may have removed it as empty
        waiter.queue = queue
        return queue

    def remove(self, waiter: NoticeWaiter) -> None:
        """It waits no more."""
        self._waiters.pop(waiter.request.owner_id, None)
        queue = waiter.queue
        if queue is None:
            return
        queue.waiters.pop(waiter.request.owner_id, None)
        key = (waiter.request.spec.kind, waiter.request.spec.name)
        if not queue.waiters and self._queues.get(key) is queue:
            self._queues.pop(key, None)  # another thread may have removed it since

    def _receive(self, message: bytes) -> None:
        try:
            owner_id, _, text = message.decode().partition(" ")
            fencing_token = int(text)
        except ValueError:  # another program publishes on this channel; a notice only saves time, so it may be skipped
            return
        waiter = self._waiters.get(owner_id)
        if waiter is not None:
            waiter.fencing_token = fencing_token
            waiter.wake()

    def cancel_waits(self) -> None:
        """The provider is being closed: every waiter leaves."""
        self.closed = True
        for waiter in list(self._waiters.values()):
            waiter.wake()

    def _recheck_all(self) -> None:
        """The subscription was interrupted and notices may be lost: every waiter queries the server."""
        for waiter in list(self._waiters.values()):
            waiter.recheck = True
            waiter.wake()
