"""Counters that a store keeps: what the lab and the metrics report as effort."""

from dataclasses import dataclass, fields


@dataclass(slots=True)
class Stats:
    """Monotone counters of one store in one process. Written by one thread at a time, read by anyone.

    Attributes:
        commands: commands given to `transact`.
        transactions: transactions begun (attempts).
        commits: transactions committed.
        conflicts: transactions rolled back because a guarded row had changed.
        deadlocks: transactions that the database chose as deadlock victims.
        lock_timeouts: transactions that waited for a lock or a connection until their deadline.
        replays: recorded outcomes that were returned again.
        unknown: commits whose reply was lost.
        foreseen: batches that PostgreSQL carried out as one statement, because the expected rows proved right. The
            field names are labels of a metric, so they stay.
    """

    commands: int = 0
    transactions: int = 0
    commits: int = 0
    conflicts: int = 0
    deadlocks: int = 0
    lock_timeouts: int = 0
    replays: int = 0
    unknown: int = 0
    foreseen: int = 0

    def as_dict(self) -> dict[str, int]:
        """The counters by name."""
        return {f.name: getattr(self, f.name) for f in fields(self)}

    def add(self, other: "Stats") -> None:
        """Add another store's counters, e.g. of another process."""
        for f in fields(self):
            setattr(self, f.name, getattr(self, f.name) + getattr(other, f.name))
