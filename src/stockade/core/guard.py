"""Guards: what protects the row itself. Locks buy efficiency, guards buy correctness."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import ClassVar

from stockade.core.key import Key


class GuardKind(Enum):
    """How a transaction makes sure that the rows it decided on are still the rows it writes."""

    NONE = "none"  # not at all: right only under a lock that every writer takes, else the negative control
    ROW = "row"  # SELECT … FOR UPDATE, all keys in one order
    VERSION = "version"  # UPDATE … WHERE version = the one read
    TIMESTAMP = "timestamp"  # the same with the time of the last change (the Java project's report)
    DELTA = "delta"  # UPDATE … SET n = n - d WHERE n >= d
    FENCE = "fence"  # fencing token installed before the read
    ADVISORY = "advisory"  # database advisory locks, then VERSION
    SERIALIZABLE = "serializable"  # isolation level, retry on failure


@dataclass(frozen=True, slots=True)
class Guard:
    """A guard and its parameters. Use the constants (`Guard.ROW`, …) unless a parameter is needed.

    Attributes:
        kind: the protection.
        fences: FENCE only: per key the (token, owner) to install before reading.
        bare_clock: TIMESTAMP only, for experiments: the stamp is the wall clock in ms, so two writes of one millisecond
            go unnoticed. Off: the stamp always moves forward.
        fail_on_extra_keys: answer MoreKeys to a command that needs more rows, instead of loading them. For strategies
            whose lock is the only protection: they have to lock those rows first.
        nowait: ROW only: answer Busy at once where another transaction holds a row, instead of waiting for it.
        keep_request_order: ROW only, for deadlock experiments: lock row by row in the order the command names its keys.
    """

    kind: GuardKind
    fences: Mapping[Key, tuple[int, str]] = field(default_factory=dict)
    bare_clock: bool = False
    keep_request_order: bool = False
    fail_on_extra_keys: bool = False
    nowait: bool = False

    NONE: ClassVar["Guard"]
    ROW: ClassVar["Guard"]
    VERSION: ClassVar["Guard"]
    TIMESTAMP: ClassVar["Guard"]
    DELTA: ClassVar["Guard"]
    ADVISORY: ClassVar["Guard"]
    SERIALIZABLE: ClassVar["Guard"]

    @property
    def composes(self) -> bool:
        """Whether commands under this guard stay right beside commands under other guards on the same rows."""
        return self.kind in (GuardKind.ROW, GuardKind.VERSION, GuardKind.DELTA, GuardKind.SERIALIZABLE)


Guard.NONE = Guard(GuardKind.NONE)
Guard.ROW = Guard(GuardKind.ROW)
Guard.VERSION = Guard(GuardKind.VERSION)
Guard.TIMESTAMP = Guard(GuardKind.TIMESTAMP)
Guard.DELTA = Guard(GuardKind.DELTA)
Guard.ADVISORY = Guard(GuardKind.ADVISORY)
Guard.SERIALIZABLE = Guard(GuardKind.SERIALIZABLE)
