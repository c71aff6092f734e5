"""Everything that is not a decision. A refusal by the rules is a value (`Rejected`), never one of these.

`outcome` is what is known about the effect ("none": nothing happened; "unknown": send the same request id again),
`retryable` whether the same request may be sent again.
"""

from typing import ClassVar


class StockadeError(Exception):
    """Base class of the errors of this library."""

    code: ClassVar[str] = "ERROR"
    outcome: ClassVar[str] = "none"
    retryable: ClassVar[bool] = False


class Busy(StockadeError):
    """The command waited until its deadline, or a bounded queue is full. Nothing happened.

    `code` names the wait: LOCK_TIMEOUT, POOL_EXHAUSTED, TOO_MANY_REQUESTS (a full queue),
    DEPENDENCY_DOWN (a server could not be reached), NOT_READY (another strategy may be in use on this database).
    """

    retryable = True

    def __init__(self, message: str, code: str = "LOCK_TIMEOUT", retry_after_s: float = 1.0) -> None:
        super().__init__(message)
        self.code = code  # type: ignore[misc]  # per instance on purpose: one class for every wait that ran out
        self.retry_after_s = retry_after_s


class Conflict(StockadeError):
    """Another writer changed a row between the read and the write, and the strategy's retries are spent."""

    code = "CONFLICT_RETRY"
    retryable = True


class LockLost(StockadeError):
    """The lease ended before the work did; `outcome` is "none" only where a fence or a rollback proves it."""

    code = "LOCK_LOST"
    outcome = "unknown"
    retryable = True


class FenceRefused(LockLost):
    """A row has seen a newer lock holder than this one: nothing was read or written under the old lock.

    Attributes:
        key: the row, e.g. `stock:42`.
        fence: the token that the row holds. A lock server that lost its counter has to go on above it.
    """

    outcome = "none"

    def __init__(self, key: str, fence: int) -> None:
        super().__init__(f"{key} has seen fencing token {fence}: another holder of its lock came later")
        self.key = key
        self.fence = fence


class Unknown(StockadeError):
    """The reply to the commit was lost. Send the same request id again: that is safe, and returns the outcome."""

    code = "OUTCOME_UNKNOWN"
    outcome = "unknown"
    retryable = True


class Pending(StockadeError):
    """The command is queued durably and will be decided; the wait for its outcome ended first.

    Not a failure: HTTP answers 202 with the place to look. The same request id, sent again, waits again.

    Attributes:
        request_id: of the command, which is also the id of what it makes.
    """

    code = "PENDING"
    outcome = "unknown"
    retryable = True

    def __init__(self, request_id: str) -> None:
        super().__init__(f"{request_id} is queued and not decided yet")
        self.request_id = request_id


class StaleOffset(StockadeError):
    """The partition was taken by another reader since, or its position was moved: nothing of the batch was written."""

    code = "STALE_POSITION"
    retryable = True


class IdempotencyKeyReused(StockadeError):
    """The request id was used before with another content."""

    code = "IDEMPOTENCY_KEY_REUSED"


class MoreKeys(StockadeError):
    """A command needs rows that its caller has to protect first; see `Guard.fail_on_extra_keys`.

    Attributes:
        keys: the rows, as (kind, id) pairs.
    """

    code = "MORE_KEYS"
    retryable = True

    def __init__(self, keys: tuple[tuple[str, str], ...]) -> None:
        super().__init__(f"needs {', '.join(':'.join(key) for key in keys)} as well")
        self.keys = keys


class LockInTransaction(StockadeError):
    """A lock was requested inside an open transaction of the store.

    The order is lock, transaction, commit, release: a lock taken inside protects a snapshot that is already old,
    and is released before the commit that it should cover.
    """

    code = "LOCK_IN_TRANSACTION"


class NotSupported(StockadeError):
    """This database or provider cannot do this; the message names those that can."""

    code = "NOT_SUPPORTED"
