"""What strategies know of the store: one function."""

from collections.abc import Callable, Sequence
from typing import Protocol

from stockade.core.command import Command
from stockade.core.decision import Accepted, Rejected
from stockade.core.guard import Guard, GuardKind
from stockade.core.offset_commit import OffsetCommit
from stockade.core.stats import Stats


class Store(Protocol):
    """The only way to change a protected row."""

    @property
    def stats(self) -> Stats: ...

    @property
    def supports_pipelining(self) -> bool:
        """Whether two batches at once are faster than one: the next is decided while the database writes the first."""
        ...

    def supports(self, kind: GuardKind) -> bool:
        """Whether this database can carry out the guard."""
        ...

    async def transact(
        self,
        commands: Sequence[Command],
        guard: Guard,
        *,
        deadline: float,
        offsets: Sequence[OffsetCommit] = (),
        on_decided: Callable[[], None] | None = None,
    ) -> list[Accepted | Rejected | Exception]:
        """Decide and write all commands, in one transaction where that is possible; the answers come in command order.

        A command that asks for more rows, or that spoils the batch of the others, gets a transaction of its own.

        Args:
            commands: the batch; later commands see what earlier ones decided. The same request id may occur twice.
            guard: what protects the rows.
            deadline: on the monotonic clock (`time.monotonic()`), in seconds; every wait inside ends there.
            positions: where the commands were read from. They move in the same transaction when every command has an
                outcome; when one has an exception instead, they stay, and the caller moves them once it has dealt
                with that. A stale one undoes the batch: `StaleOffset` for every command.
            decided: called once at most, when the batch is decided; its hot row may not be held yet. It is not called
                when the batch never gets so far. Who hands over batches in order can hand over the next one now.

        Returns:
            Per command its outcome, or the exception that concerns it: `Conflict`, `Busy`, `Unknown`,
            `IdempotencyKeyReused`, `StaleOffset`, what `decide` raised, or the database's own error for
            data that it refuses. Only cancellation is raised.
        """
        ...
