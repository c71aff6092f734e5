"""What a workload of a recording is: a seeded source of requests, and the rows that they are about.

A burst of a preset sends everything at once and ends; a workload goes on for as long as the recording lasts.
Neighbours: each workload is one file here and one line in `registry.py`; `recording/` sends the requests.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from stockade.core import Command, Key
from stockade.lab.model.burst import RepeatNames


class Request(NamedTuple):
    """A command to send, and what it changes if it is accepted.

    Attributes:
        command: what is sent.
        deltas: by row, as `stock:42`, what it adds to the first counter; only where that is known beforehand.
        takes: by row, what must be free there, also for a reservation; only where too little of one of these rows is
            the only reason to refuse it.
        reuse: another command with the same request id and other content, which is sent once this one is decided, and
            must be refused.
    """

    command: Command
    deltas: Mapping[str, int] = {}
    takes: Mapping[str, int] = {}
    reuse: Command | None = None


@dataclass(frozen=True, slots=True)
class Load:
    """How a workload is sent unless options say otherwise.

    Attributes:
        clients: that send one request after the other.
        duplicate_share: of the requests that are sent twice.
        one_row: whether all requests at a time want one row, so that a strategy that serves in turn lets all wait for
            about the same time.
    """

    clients: int = 16
    duplicate_share: float = 0.0
    one_row: bool = False


class Workload(Protocol):
    """The interface of every workload; also of those of users.

    Attributes:
        name: in options and reports.
        summary: what is sent and what is right, in one line.
        load: how it is sent.
        must_break: whether a strategy that protects nothing must be seen to break a rule.
    """

    @property
    def name(self) -> str: ...
    @property
    def summary(self) -> str: ...
    @property
    def load(self) -> Load: ...
    @property
    def must_break(self) -> bool: ...

    def setup(self, names: RepeatNames) -> Sequence[Command]:
        """Commands that make the rows, before anything is recorded."""
        ...

    def rows(self, names: RepeatNames) -> Sequence[Key]:
        """The rows that clients read now and then: those that many requests share."""
        ...

    def requests(self, names: RepeatNames, seed: int) -> Iterator[Request]:
        """The requests, in the order in which they are sent; without end.

        Args:
            names: makes ids that no other recording uses; `names.stock` is not used by most.
            seed: decides every choice: equal names and seeds give equal requests.
        """
        ...
