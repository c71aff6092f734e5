"""The interface of the store for strategies: one function."""

from collections.abc import Callable, Sequence
from typing import Protocol

from stockade.core.command import Command
from stockade.core.decision import CommandResult
from stockade.core.guard import Guard, GuardKind
from stockade.core.offset_commit import OffsetCommit
from stockade.core.stats import Stats


class Store(Protocol):
    """The only way to change a protected row."""

    @property
    def stats(self) -> Stats:
        """What this store has counted since it was opened."""
        ...

    @property
    def supports_pipelining(self) -> bool:
        """Whether two batches at a time are faster than one: the next is handed over when the one before is decided."""
        ...

    @property
    def unsettled(self) -> bool:
        """Whether a transaction whose caller has his answer (Unknown, cancelled) may still be committed."""
        ...

    def supports(self, kind: GuardKind) -> bool:
        """Whether this database can carry out the guard."""
        ...

    async def settle(self) -> None:
        """Wait until the connections of such transactions are ended, which is bounded.

        Where the server does not answer in time the socket is closed without its word. What stands in a slow network
        may then still be committed: only a guard on the rows protects from that.

        Whoever protects rows by a lock of its own keeps it until then.
        """
        ...

    async def transact(
        self,
        commands: Sequence[Command],
        guard: Guard,
        *,
        deadline: float,
        offsets: Sequence[OffsetCommit] = (),
        on_decided: Callable[[], None] | None = None,
    ) -> list[CommandResult]:
        """Decide and write all commands, in one transaction where that is possible; the answers come in command order.

        A command that needs more rows, or that makes the batch fail, runs in a transaction of its own.

        Args:
            commands: the batch; later commands see what earlier ones decided. The same request id may occur twice.
            guard: what protects the rows.
            deadline: on the monotonic clock (`time.monotonic()`), in seconds; every wait inside ends there.
            offsets: where the commands were read from. They move in the same transaction if every command has an
                outcome. If one has an exception instead, they stay, and the caller moves them after it has handled the
                exception. A stale one rolls the batch back: `StaleOffset` for every command.
            on_decided: called once at most, when the batch is decided, before it is committed; the caller can hand over
                the next batch then. Not called if the batch fails before, or if a record replaces another one.

        Returns:
            Per command its outcome, or the exception that concerns it: `Conflict`, `Busy`, `Unknown`,
            `IdempotencyKeyReused`, `StaleOffset`, what `decide` raised, or the error of the database for data that it
            refuses. Only cancellation is raised.
        """
        ...
