"""The errors of this package. None of them holds a token, a secret or a claim's value."""

from stockade.core import Busy


class BadToken(ValueError):
    """The token is malformed, not signed by a known key, not for this service, or its time is over or has not come."""


class BadKeys(ValueError):
    """A key, a document of keys or its address cannot be used; the message says why."""


class KeysUnavailable(Busy):
    """The keys could not be loaded, or were loaded too long ago, so no token can be checked now."""

    def __init__(self, message: str, retry_after_s: float) -> None:
        super().__init__(message, "DEPENDENCY_DOWN", retry_after_s)
