"""How far a reader of an ordered log has come, kept beside the rows that its messages changed."""

from typing import NamedTuple


class OffsetCommit(NamedTuple):
    """A move of one reader in one partition of a log, carried out by compare-and-set.

    The position is the truth about what was consumed: it moves in the transaction that the messages caused, so a crash
    between the two cannot be. The epoch counts the readers that took the partition; a move under an older epoch is
    refused, which is what stops a paused reader that wakes up after its partition was given away.

    Attributes:
        topic: of the log.
        part: number of the partition.
        old: the next offset to read before these messages.
        new: the next offset to read after them.
        epoch: of this reader, from when it took the partition.
    """

    topic: str
    part: int
    old: int
    new: int
    epoch: int
