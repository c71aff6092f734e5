"""The deadline of the call that is in flight in this thread or task. Every connection of a copied client reads it."""

import time
from contextvars import ContextVar

LEAST_S = 0.001


class CallDeadline:
    """`with CallDeadline.after(timeout_s)`: copied connections that are used inside end in time.

    Args:
        end: monotonic second.

    Attributes:
        sent: whether anything but a greeting was sent.
    """

    __slots__ = ("_token", "end", "sent")

    def __init__(self, end: float) -> None:
        self.end = end
        self.sent = False

    @classmethod
    def after(cls, timeout_s: float) -> "CallDeadline":
        """The deadline in so many seconds."""
        return cls(time.monotonic() + timeout_s)

    def left_s(self) -> float:
        """Seconds that the call may still take."""
        return max(self.end - time.monotonic(), LEAST_S)

    def __enter__(self) -> "CallDeadline":
        self._token = current_deadline.set(self)
        return self

    def __exit__(self, *_: object) -> None:
        try:
            current_deadline.reset(self._token)
        except ValueError:  # in another context: its task's loop has ended, and the garbage collector closes it
            return


current_deadline: "ContextVar[CallDeadline | None]" = ContextVar("stockade_lock_call", default=None)
