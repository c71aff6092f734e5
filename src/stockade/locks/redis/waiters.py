"""Who waits in this process for locks of a server, and how a notice finds its waiter.

One subscription per process serves all waiters. A notice says "<owner> <token>": that owner was made the holder.
"""

from typing import Any

from stockade.locks.engine.lock_request import LockRequest
from stockade.locks.errors import LockUnavailable
from stockade.locks.events import Events, LockEvent, log
from stockade.locks.redis.script import translated
from stockade.locks.redis.transport.transport import Transport
from stockade.locks.runtime.identity import reset_after_fork
from stockade.locks.runtime.runtime import Runtime, ServerError

_DEAF_S = 60.0  # after a refused subscription: ask again after so long, the right may have been given meanwhile


class Wait:
    """One request that may have to wait. `token` is set by its notice; `recheck` asks it to look for itself."""

    __slots__ = ("_notice", "_room", "line", "recheck", "request", "token")

    def __init__(self, room: "WaitRoom", request: LockRequest) -> None:
        self._room = room
        self._notice: Any = None
        self.request = request
        self.line: Line | None = None  # until the server has said that it must wait
        self.token = 0
        self.recheck = False

    @property
    def is_first(self) -> bool:
        """Whether nobody in this process has waited longer for this lock: that one looks after the line."""
        return self.line is not None and next(iter(self.line.waits.values()), None) is self

    def needs_beat(self, poll_s: float) -> bool:
        """Whether the server has not been told for half of `poll_s` that this process lives."""
        line = self._room.line_of(self.request)
        return line is None or self._room.runtime.now() - line.beat_at >= poll_s / 2

    async def pause(self, seconds: float) -> None:
        """Sleep until woken, at most that long."""
        self._notice = self._room.runtime.new_wakeup()
        if not self.token and not self.recheck and not self._room.closed:
            await self._room.runtime.wait_for(self._notice, max(seconds, 0.0))

    def wake(self) -> None:
        """Let it look at once."""
        if self._notice is not None:
            self._room.runtime.wake(self._notice)


class Line:
    """Waiters of one lock in this process, in order of arrival."""

    __slots__ = ("beat_at", "waits")

    def __init__(self) -> None:
        self.waits: dict[str, Wait] = {}
        self.beat_at = float("-inf")

    def was_beat(self, sent: float) -> None:
        """It has been told, by a call sent at that second; noted only now, lest a quicker call come without."""
        self.beat_at = max(self.beat_at, sent)


class WaitRoom:
    """All waiters of one provider in this process."""

    def __init__(self, runtime: Runtime, transport: Transport, channel: str, events: Events) -> None:
        self.runtime = runtime
        self.channel = channel
        self._transport = transport
        self._events = events
        self._deaf_until = float("-inf")
        self.closed = False
        self.refused = False  # whether that has ever happened, and been told
        self._begin()
        reset_after_fork(self)

    def _begin(self) -> None:
        self._lines: dict[tuple[str, str], Line] = {}
        self._waits: dict[str, Wait] = {}
        self._process = ""

    def reset_in_child(self) -> None:
        """In the child of a fork: the parent's threads wait in the parent."""
        self._begin()

    def change_loop(self) -> None:
        """In another event loop: nobody waits in the one of before any more, and nobody listens there."""
        self._begin()

    @property
    def deaf(self) -> bool:
        """Whether the server has lately refused to let this process hear notices: its waiters must ask again."""
        return self.refused and self._deaf_until > self.runtime.now()

    @property
    def listening(self) -> bool:
        """Whether notices can reach this process; false again in the child after a fork."""
        return self._process == self.runtime.process()

    async def listen(self, timeout_s: float) -> None:
        """Subscribe, before the first waiter stands in line. Afterwards this room is `listening` or `deaf`.

        Raises:
            LockUnavailable: the server does not answer, or cannot serve now.
        """
        process = self.runtime.process()
        try:
            await self._transport.listen(self.channel + process, self._heard, self._gap, timeout_s)
        except ServerError as error:
            if isinstance(refused := translated(error), LockUnavailable):
                raise refused from error
            self._be_deaf(str(error))
        else:
            self._process = process

    def _be_deaf(self, why: str) -> None:
        self._deaf_until = self.runtime.now() + _DEAF_S
        if self.refused:
            return
        self.refused = True
        pattern = f"{self.channel}*"
        log.warning("waiters of locks poll: the server refuses the channels %s to this user: %s", pattern, why)
        self._events.emit(LockEvent("polling", "", self.runtime.process(), detail=f"{pattern}: {why}"))

    def enter(self, request: LockRequest) -> Wait:
        """From now on a notice finds this request: before the server is asked."""
        wait = self._waits[request.owner_id] = Wait(self, request)
        return wait

    def line_of(self, request: LockRequest) -> Line | None:
        """Those who wait in this process for the lock that is asked for."""
        return self._lines.get((request.spec.kind, request.spec.name))

    def stand_in_line(self, wait: Wait) -> Line:
        """The server has said that this request must wait."""
        key = (wait.request.spec.kind, wait.request.spec.name)
        line = self._lines.setdefault(key, Line())
        line.waits[wait.request.owner_id] = wait
        self._lines[key] = line  # another thread may have removed it as empty
        wait.line = line
        return line

    def leave(self, wait: Wait) -> None:
        """Wait no more."""
        self._waits.pop(wait.request.owner_id, None)
        line = wait.line
        if line is None:
            return
        line.waits.pop(wait.request.owner_id, None)
        key = (wait.request.spec.kind, wait.request.spec.name)
        if not line.waits and self._lines.get(key) is line:
            del self._lines[key]

    def _heard(self, message: bytes) -> None:
        try:
            owner, _, text = message.decode().partition(" ")
            token = int(text)
        except ValueError:  # somebody else speaks on this channel; a notice is a hint, and who waits asks anyway
            return
        wait = self._waits.get(owner)
        if wait is not None:
            wait.token = token
            wait.wake()

    def cancel_waits(self) -> None:
        """The provider is being closed: who waits leaves."""
        self.closed = True
        for wait in list(self._waits.values()):
            wait.wake()

    def _gap(self) -> None:
        """The subscription was interrupted: notices may be lost, so everybody looks for himself."""
        for wait in list(self._waits.values()):
            wait.recheck = True
            wait.wake()
