"""The interface of strategies: where to wait, and the guarantees that the contract suite and the lab check."""

from dataclasses import dataclass
from typing import ClassVar, Protocol, runtime_checkable

from stockade.core.command import Command
from stockade.core.decision import Outcome
from stockade.core.guard import Guard


@dataclass(frozen=True, slots=True)
class Guarantees:
    """What a strategy claims; checked by the contract suite and by every lab run.

    Attributes:
        processes: "many", or "one": right only while a single process takes orders.
        databases: names of the databases it runs on.
        faults: names of faults it stays right under (`crash`, `pause`, `failover`, …).
        order: who is served first among waiters: "none", "fifo" (per key), "database".
        may_oversell: True for negative controls, which must be seen to fail.
        needs: what must run beside the database, e.g. `redis`; empty for nothing.
    """

    processes: str = "many"
    databases: tuple[str, ...] = ("sqlite", "postgres", "mariadb", "mysql")
    faults: tuple[str, ...] = ("crash", "pause")
    order: str = "none"
    may_oversell: bool = False
    needs: tuple[str, ...] = ()


class Strategy(Protocol):
    """Where to wait. Start it before the first command, stop it after the last."""

    name: ClassVar[str]
    guarantees: ClassVar[Guarantees]

    @property
    def guard(self) -> Guard:
        """The guard its transactions run under."""
        ...

    @property
    def depth(self) -> int:
        """Commands that wait in its own queue or in the log; 0 where it has none."""
        ...

    async def start(self) -> None: ...
    async def stop(self) -> None: ...

    async def execute(self, command: Command) -> Outcome:
        """Carry out one command.

        Raises:
            Busy: the wait ended without a turn, or the queue is full; nothing happened.
            Conflict: other writers won every attempt; nothing happened.
            Unknown: the commit's reply was lost; send the same request id again.
            IdempotencyKeyReused: the request id was used with other content.
        """
        ...


@runtime_checkable
class SupportsSubmit(Protocol):
    """What a strategy over a log can besides: take a command now and decide it later."""

    async def submit(self, command: Command) -> float:
        """Wait only until the command is safe in the log; how many seconds that took. It will be decided.

        Raises:
            Unknown: that was not confirmed in time; send the same request id again.
            Busy: too much is in flight, or the log cannot be reached; nothing happened.
        """
        ...


@runtime_checkable
class SupportsReadiness(Protocol):
    """What a strategy can besides that needs another server than the database: say whether it can be used now."""

    async def missing_server(self, wait_s: float) -> str:
        """Why its server cannot be used now, in words without names of hosts; empty where it can.

        Args:
            wait_s: the longest that it may take, in seconds.
        """
        ...
