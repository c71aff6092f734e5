"""redis-py itself, and what its errors mean to the lock library. Neighbour: `replies.py` (what codes mean)."""

import ssl
from typing import Any

from stockade.locks.errors import LockUnavailable, missing
from stockade.locks.redis.transport.redis_py.deadline import CallDeadline
from stockade.locks.redis.transport.transport import ServerError

# Where redis-py keeps no code beside the text (older versions): the code by class.
_CODES = {
    "ReadOnlyError": "READONLY",
    "BusyLoadingError": "LOADING",
    "OutOfMemoryError": "OOM",
    "NoScriptError": "NOSCRIPT",
    "NoPermissionError": "NOPERM",
    "AuthenticationError": "WRONGPASS",
    "MasterDownError": "MASTERDOWN",
    "ClusterDownError": "CLUSTERDOWN",
    "TryAgainError": "TRYAGAIN",
}
_FULL = "max number of clients"
UNEXPECTED_GREETING = "lock server: an unexpected reply to a greeting"
BAD_REPLY = (AttributeError, TypeError, ValueError, LookupError)  # redis-py's, when a greeting is answered oddly


def load_redis() -> Any:
    """The redis package.

    Raises:
        MissingExtra: it is not installed.
    """
    try:
        import redis
        import redis.asyncio
        import redis.asyncio.sentinel
        import redis.sentinel
    except ImportError as error:
        raise missing("redis", "redis") from error
    return redis


def client_error(error: Exception, client: Any, call: CallDeadline | None) -> Exception:
    """The LockUnavailable or ServerError that stands for an error of `client`.

    Args:
        error: an error of redis-py's, or of the system's.
        client: whose password is cut out: a server may repeat the arguments of a command that it does not know.
        call: the call that failed; it says whether anything was sent. None: it may have been.
    """
    errors = load_redis().exceptions
    text = str(error)
    password = getattr(getattr(client, "connection_pool", None), "connection_kwargs", {}).get("password")
    if password:
        text = text.replace(str(password), "***")
    refused = isinstance(error, errors.ResponseError | errors.AuthenticationError | errors.BusyLoadingError)
    if refused and not text.startswith(_FULL):
        return ServerError(_with_code(error, text))
    certificate = error.__context__ or error.__cause__
    if isinstance(certificate, ssl.SSLCertVerificationError):  # a repeat would not change it
        return ServerError(f"its certificate is refused: {certificate.verify_message}")
    made = LockUnavailable(f"lock server: {text or 'no answer in time'}")
    made.sent = call is None or call.sent
    return made


def is_idle_end(error: LockUnavailable) -> bool:
    """Whether a connection ended, rather than time: the other side may have closed it while it was idle."""
    errors = load_redis().exceptions
    cause = error.__cause__
    return isinstance(cause, errors.ConnectionError | OSError) and not isinstance(cause, TimeoutError)


def _with_code(error: Exception, text: str) -> str:
    """redis-py keeps the code apart from the text; the lock library decides by the code."""
    code = getattr(error, "status_code", None) or _CODES.get(type(error).__name__, "")
    return f"{code} {text}".strip()
