"""What can go wrong with a lock. `LockLost` is also `stockade.core.LockLost`, so callers need to know only one.

Every error carries `lock_name`. "Not acquired in time" is an answer (`None`, or LockTimeout where a value is
needed); "the server cannot be reached" is always LockUnavailable and never reads as "somebody else has it".
"""

from stockade import core


class LockError(core.StockadeError):
    """Base class of everything the lock library raises.

    Attributes:
        lock_name: the lock that was asked for, or several names joined by commas.
    """

    code = "LOCK_ERROR"

    def __init__(self, message: str, lock_name: str = "") -> None:
        super().__init__(message)
        self.lock_name = lock_name


class LockTimeout(LockError, TimeoutError):
    """The lock was not granted before the deadline; nothing is held and nobody is queued."""

    code = "LOCK_TIMEOUT"
    retryable = True


class LockNotOwned(LockError, RuntimeError):
    """The caller does not hold this lock."""

    code = "LOCK_NOT_OWNED"


class LockLost(LockNotOwned, core.LockLost):
    """The lease ended before it was released: expired, broken, or forgotten by the server."""

    code = "LOCK_LOST"
    outcome = "unknown"
    retryable = True


class LockReentry(LockError, RuntimeError):
    """The caller already holds this lock and did not ask for a reentrant one; waiting would never end."""

    code = "LOCK_REENTRY"


class LockUnavailable(LockError, ConnectionError):
    """The lock server cannot be reached or does not answer in time. Whatever was sent is withdrawn or expires.

    Attributes:
        sent: False when nothing of the failed call can have reached the server, so that nothing has to be withdrawn.
    """

    code = "DEPENDENCY_DOWN"
    retryable = True
    sent = True

    def name_server(self, where: str) -> None:
        """Say which server it was, unless the message does so already."""
        if where and where not in str(self):
            self.args = (f"{self} ({where})",)

    @classmethod
    def unsent(cls, message: str) -> "LockUnavailable":
        """The error of a call that ended before anything was sent."""
        error = cls(message)
        error.sent = False
        return error


class ProviderClosed(LockError, RuntimeError):
    """The provider was closed, before the call or while it waited; it is not opened again: make a new one."""

    code = "DEPENDENCY_DOWN"

    def __init__(self, message: str = "the provider is closed: make a new one", lock_name: str = "") -> None:
        super().__init__(message, lock_name)


class WrongLoop(LockError, RuntimeError):
    """The provider holds or awaits something in another event loop; nothing was asked for in this one."""

    code = "NOT_SUPPORTED"


class MissingExtra(LockError, ImportError):
    """A provider's driver is not installed; the message names the extra that brings it."""

    code = "NOT_SUPPORTED"


def missing(extra: str, module: str) -> MissingExtra:
    """The error for a driver that cannot be imported.

    Args:
        extra: name of the extra that installs it, e.g. `redis`.
        module: the module that was wanted.
    """
    return MissingExtra(f"{module} is not installed: pip install 'stockade[{extra}]'")
