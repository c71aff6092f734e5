"""The words every room shares: keys, commands, decisions, guards, outcomes, promises, errors.

Standard library only. Neighbours: `locks` and `store` build on this; nothing here imports another room.
"""

from stockade.core.command import Command, Rows, Widened, merged_keys
from stockade.core.decision import Accepted, Change, Decision, Delete, Event, Insert, JsonValue, Outcome, Rejected
from stockade.core.errors import (
    Busy,
    Conflict,
    FenceRefused,
    LockInTransaction,
    LockLost,
    MoreKeys,
    NotSupported,
    Pending,
    RequestReused,
    StalePosition,
    StockadeError,
    Unknown,
)
from stockade.core.grant import Grant
from stockade.core.guard import Guard, GuardKind
from stockade.core.key import Key, Row
from stockade.core.position import Position
from stockade.core.retry import Backoff
from stockade.core.stats import Stats
from stockade.core.store import Store
from stockade.core.strategy import Promise, Queueing, Strategy
from stockade.core.transaction import in_transaction, refuse_in_transaction

__all__ = [
    "Accepted",
    "Backoff",
    "Busy",
    "Change",
    "Command",
    "Conflict",
    "Decision",
    "Delete",
    "Event",
    "FenceRefused",
    "Grant",
    "Guard",
    "GuardKind",
    "Insert",
    "JsonValue",
    "Key",
    "LockInTransaction",
    "LockLost",
    "MoreKeys",
    "NotSupported",
    "Outcome",
    "Pending",
    "Position",
    "Promise",
    "Queueing",
    "Rejected",
    "RequestReused",
    "Row",
    "Rows",
    "StalePosition",
    "Stats",
    "StockadeError",
    "Store",
    "Strategy",
    "Unknown",
    "Widened",
    "in_transaction",
    "merged_keys",
    "refuse_in_transaction",
]
