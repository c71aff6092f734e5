"""What every layer shares: keys, commands, decisions, guards, outcomes, guarantees, errors.

Standard library only. Neighbours: `locks` and `store` build on this; nothing here imports another layer.
"""

from stockade.core.clock import now_ms
from stockade.core.command import Command, Rows, WithExtraKeys, merged_keys
from stockade.core.decision import (
    Accepted,
    Change,
    CommandResult,
    Decision,
    Delete,
    Event,
    Insert,
    JsonValue,
    Outcome,
    Rejected,
)
from stockade.core.errors import (
    Busy,
    Conflict,
    FenceRefused,
    IdempotencyKeyReused,
    LockInTransaction,
    LockLost,
    MoreKeys,
    NotSupported,
    Pending,
    StaleOffset,
    StockadeError,
    Unknown,
)
from stockade.core.guard import Guard, GuardKind
from stockade.core.key import Key, Row
from stockade.core.offset_commit import OffsetCommit
from stockade.core.open_transaction import in_transaction, refuse_in_transaction
from stockade.core.retry import Backoff
from stockade.core.stats import Stats
from stockade.core.store import Store
from stockade.core.strategy import Guarantees, Strategy, SupportsReadiness, SupportsSubmit

__all__ = [
    "Accepted",
    "Backoff",
    "Busy",
    "Change",
    "Command",
    "CommandResult",
    "Conflict",
    "Decision",
    "Delete",
    "Event",
    "FenceRefused",
    "Guarantees",
    "Guard",
    "GuardKind",
    "IdempotencyKeyReused",
    "Insert",
    "JsonValue",
    "Key",
    "LockInTransaction",
    "LockLost",
    "MoreKeys",
    "NotSupported",
    "OffsetCommit",
    "Outcome",
    "Pending",
    "Rejected",
    "Row",
    "Rows",
    "StaleOffset",
    "Stats",
    "StockadeError",
    "Store",
    "Strategy",
    "SupportsReadiness",
    "SupportsSubmit",
    "Unknown",
    "WithExtraKeys",
    "in_transaction",
    "merged_keys",
    "now_ms",
    "refuse_in_transaction",
]
