"""What redis-py raises, as the lock library says it. Neighbours: `client.py`, `replies.py` (what codes mean)."""

import ssl
from typing import Any

from stockade.locks.errors import LockUnavailable
from stockade.locks.redis.transport.redis_py_copy import Turn, load_redis
from stockade.locks.runtime.runtime import ServerError

# Where redis-py keeps no code beside the text (older versions): those that ours go by.
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


def client_error(error: Exception, client: Any, call: Turn | None) -> Exception:
    """LockUnavailable or ServerError for what `client` raised.

    Args:
        error: an error of redis-py's, or of the system's.
        client: whose password is cut out: a server may repeat the arguments of a command that it does not know.
        call: knows whether anything was sent; None: it may have been.
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
    if isinstance(certificate, ssl.SSLCertVerificationError):  # asking again would not change it
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
    """redis-py keeps the code apart from the text; ours go by the code."""
    code = getattr(error, "status_code", None) or _CODES.get(type(error).__name__, "")
    return f"{code} {text}".strip()
