"""How many requests are at work in this process, and whether it is stopping.

The bound is what keeps memory and waiting times finite when more arrives than can be done. Neighbours: `endpoint`
enters and leaves; `server` says when the process is stopping, and `/readyz` tells the outside.
"""

from stockade.shop.http.responses.problems import Refusal, retry_after


class Gate:
    """Counts requests at work, refuses those above `limit`.

    Attributes:
        at_work: requests inside now.
        stopping: set once; readiness then says no.
    """

    __slots__ = ("_limit", "at_work", "stopping")

    def __init__(self, limit: int) -> None:
        self.at_work = 0
        self.stopping = False
        self._limit = limit

    def enter(self) -> None:
        """Count one request in.

        Raises:
            Refusal: TOO_MANY_REQUESTS, `limit` requests are inside.
        """
        if self.at_work >= self._limit:
            raise Refusal("TOO_MANY_REQUESTS", "too many requests are at work", retry_after(1))
        self.at_work += 1

    def leave(self) -> None:
        """Count one request out."""
        self.at_work -= 1
