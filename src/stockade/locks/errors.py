"""The errors of the lock library. `LockLost` is also a `stockade.core.LockLost`, so callers need to know only one.

Every error has `lock_name`. "Not acquired in time" is a result (`None`, or LockTimeout where a lease is needed). "The
server cannot be reached" is always LockUnavailable, never a result that means "somebody else holds it".
"""

from stockade import core


class LockError(core.StockadeError):
    """Base class of all errors of the lock library.

    Attributes:
        lock_name: of the requested lock, or several names joined by commas.
    """

    code = "LOCK_ERROR"

    def __init__(self, message: str, lock_name: str = "") -> None:
        super().__init__(message)
        self.lock_name = lock_name


class LockTimeout(LockError, TimeoutError):
    """The lock was not granted before the deadline; nothing is held, and the request has left the queue."""

    code = "LOCK_TIMEOUT"
    retryable = True


class LockNotOwned(LockError, RuntimeError):
    """The caller does not hold this lock."""

    code = "LOCK_NOT_OWNED"


class LockLost(LockNotOwned, core.LockLost):
    """The lease ended before it was released: it expired, somebody broke it, or the server lost its data."""

    code = "LOCK_LOST"
    outcome = "unknown"
    retryable = True


class LockReentry(LockError, RuntimeError):
    """The caller already holds this lock, which is not reentrant; waiting would never end."""

    code = "LOCK_REENTRY"


class LockUnavailable(LockError, ConnectionError):
    """The lock server cannot be reached or does not answer in time. What was sent is withdrawn, or expires.

    Attributes:
        sent: False if nothing of the failed call can have reached the server, so that nothing has to be withdrawn.
    """

    code = "DEPENDENCY_DOWN"
    retryable = True
    sent = True

    def name_server(self, where: str) -> None:
        """Add the server to the message, unless it is there already."""
        if where and where not in str(self):
            self.args = (f"{self} ({where})",)

    @classmethod
    def unsent(cls, message: str) -> "LockUnavailable":
        """The error of a call that ended before anything was sent."""
        error = cls(message)
        error.sent = False
        return error


class ProviderClosed(LockError, RuntimeError):
    """The provider was closed, before the call or while it waited. It cannot be opened again: make a new one."""

    code = "DEPENDENCY_DOWN"

    def __init__(self, message: str = "the provider is closed: make a new one", lock_name: str = "") -> None:
        super().__init__(message, lock_name)


class WrongLoop(LockError, RuntimeError):
    """The provider holds or awaits something in another event loop; the call in this loop did nothing."""

    code = "NOT_SUPPORTED"


class MissingExtra(LockError, ImportError):
    """A provider's driver is not installed; the message names the extra that brings it."""

    code = "NOT_SUPPORTED"


def missing(extra: str, module: str) -> MissingExtra:
    """The error for a driver that cannot be imported.

    Args:
        extra: name of the extra that installs it, e.g. `redis`.
        module: the module that could not be imported.
    """
    return MissingExtra(f"{module} is not installed: pip install 'stockade[{extra}]'")
