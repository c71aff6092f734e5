"""The offsets that a reader of an ordered log has consumed, stored beside the rows that its messages changed."""

from typing import NamedTuple


class OffsetCommit(NamedTuple):
    """A move of one reader in one partition of a log, carried out by compare-and-set.

    The offset moves in the transaction that the messages caused, so no crash can come between the two. The epoch counts
    the readers that took the partition. A move under an older epoch is refused: a paused reader that wakes up after its
    partition went to another reader writes nothing.

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
