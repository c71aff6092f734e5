"""The errors of this package. None of them holds a token, a secret or a claim's value."""

from collections.abc import Callable

from stockade.core import Busy


class BadToken(ValueError):
    """The token is malformed, not signed by a known key, not for this service, or its time is over or has not come."""


class BadKeys(ValueError):
    """A key, a document of keys or its address cannot be used; the message says why."""


class KeysUnavailable(Busy):
    """The keys could not be loaded, or were loaded too long ago, so no token can be checked now."""

    def __init__(self, message: str, retry_after_s: float) -> None:
        super().__init__(message, "DEPENDENCY_DOWN", retry_after_s)


def require_kind(
    value: object, kind: type | tuple[type, ...], what: str, error: Callable[[str], ValueError] = BadKeys
) -> None:
    """Refuse a value of another type, such as the None of an environment variable that is not set.

    Args:
        value: never shown, it may be a secret.
        kind: the types that it may have.
        what: beginning of the message, e.g. `the issuer must be a text`.
        error: makes what is raised.

    Raises:
        ValueError: it is of another type.
    """
    if not isinstance(value, kind):
        raise error(f"{what}, not {'None' if value is None else f'a value of the type {type(value).__name__}'}")
