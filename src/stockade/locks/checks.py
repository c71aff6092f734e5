"""Checks of arguments, before anything is sent. An error says in one line what would be right."""

import math
from typing import Any

MAX_NAME_BYTES = 4096
TOKEN_TTL_S = 600.0  # for how long the last token of a released lock is remembered
_LEAST_TOKEN_TTL_S = 1
MAX_TOKEN = 2**53 - 1_000_000  # a lock server counts in floating point
PREFIX = "stockade:"  # of every name, unless a provider is given another one


def seconds(name: str, value: Any, *, zero: bool = False, endless: bool = False) -> None:
    """Refuse what is no duration.

    Args:
        name: of the parameter.
        value: of the parameter.
        zero: whether 0 is allowed.
        endless: whether infinity is allowed.

    Raises:
        TypeError: it is no number.
        ValueError: it is not in the range.
    """
    _number(name, value, int | float, "seconds, such as 2.5")
    if not (value >= 0 if zero else value > 0):
        raise ValueError(f"{name} must be {'0 or more' if zero else 'above 0'} seconds, got {value}")
    if value == math.inf and not endless:
        raise ValueError(f"{name} must be a finite number of seconds, got {value}")


def count(name: str, value: Any, least: int) -> None:
    """Refuse what is no whole number of at least `least`. Errors as for `seconds`."""
    _number(name, value, int, f"a whole number, {least} or more")
    if value < least:
        raise ValueError(f"{name} must be at least {least}, got {value}")


def flag(name: str, value: Any) -> None:
    """Refuse what is neither True nor False. Errors as for `seconds`."""
    if not isinstance(value, bool):
        raise TypeError(f"{name} must be True or False; got {type(value).__name__}")


def function(name: str, value: Any) -> None:
    """Refuse what cannot be called. Errors as for `seconds`."""
    if not callable(value):
        raise TypeError(f"{name} must be a function; got {type(value).__name__}")


def fence(name: str, at_least: Any) -> None:
    """Refuse what is no name and number for `raise_fence`. Errors as for `seconds`."""
    text("the name of a lock", name)
    count("at_least", at_least, 0)
    if at_least > MAX_TOKEN:
        raise ValueError(f"at_least must be at most {MAX_TOKEN}, the microseconds of the year 2255; got {at_least}")


def token_lifetime(value: Any) -> None:
    """Refuse what is no time for which a token can be remembered. Errors as for `seconds`."""
    seconds("token_ttl_s", value)
    if value < _LEAST_TOKEN_TTL_S:
        raise ValueError(f"token_ttl_s must be at least {_LEAST_TOKEN_TTL_S} second, got {value}")


def _number(name: str, value: Any, kind: Any, wanted: str) -> None:
    if isinstance(value, bool) or not isinstance(value, kind):
        raise TypeError(f"{name} must be {wanted}; got {type(value).__name__}")


def lock_and_kind(name: Any, kind: Any) -> None:
    """Refuse what names no lock. Errors as for `seconds`."""
    text("the name of a lock", name)
    if kind not in ("lock", "rw", "semaphore"):
        raise ValueError(f"kind is lock, rw or semaphore, got {kind!r}")


def text(name: str, value: Any, *, any_size: bool = False) -> None:
    """Refuse what is no text that a server can keep, in `MAX_NAME_BYTES` unless `any_size`. Errors as for `seconds`."""
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a str; got {type(value).__name__}")
    try:
        size = len(value.encode())
    except UnicodeEncodeError:
        raise ValueError(f"{name} holds half a surrogate pair, which no server can keep: {value!r:.80}") from None
    if size > MAX_NAME_BYTES and not any_size:
        raise ValueError(f"{name} must be at most {MAX_NAME_BYTES} bytes, got {size}: {value[:40]!r}…")
