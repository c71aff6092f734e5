"""How many requests this process works on at once, and whether it is stopping.

The limit keeps memory and waiting times finite under overload. Neighbours: `endpoint` enters and leaves; `server` sets
`stopping`, which `/readyz` reports.
"""

from stockade.shop.http.responses.problems import ProblemError, retry_after


class ConcurrencyLimit:
    """Counts the requests in flight and refuses those above `limit`.

    Attributes:
        in_flight: requests in flight now.
        stopping: set once, when the process begins to stop.
    """

    __slots__ = ("_limit", "in_flight", "stopping")

    def __init__(self, limit: int) -> None:
        self.in_flight = 0
        self.stopping = False
        self._limit = limit

    def enter(self) -> None:
        """Count a request in.

        Raises:
            ProblemError: TOO_MANY_REQUESTS, `limit` requests are in flight.
        """
        if self.in_flight >= self._limit:
            raise ProblemError("TOO_MANY_REQUESTS", "too many requests are at work", retry_after(1))
        self.in_flight += 1

    def leave(self) -> None:
        """Count a request out."""
        self.in_flight -= 1
