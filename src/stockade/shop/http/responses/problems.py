"""Problem bodies (RFC 9457): every error of the API in one shape.

Neighbours: `error_codes` is the table; `routing` turns every exception and refusal into a `Response` here.
"""

from collections.abc import Mapping
from uuid import uuid4

import msgspec

from stockade.core import Busy, Conflict, IdempotencyKeyReused, JsonValue, LockLost, Rejected, StockadeError, Unknown
from stockade.shop.http.responses.error_codes import ERROR_CODES
from stockade.shop.http.responses.response import PROBLEM_JSON, Headers, Response
from stockade.shop.operations.logs import logger
from stockade.shop.queries import BadQuery

_encode = msgspec.json.Encoder().encode
_FIXED = ("type", "title", "status", "code", "detail", "retryable", "outcome")


class ProblemError(Exception):
    """The request is refused before its command is carried out.

    Args:
        code: one of `ERROR_CODES`.
        detail: what exactly is wrong, for a person.
        headers: further headers of the response.
    """

    def __init__(self, code: str, detail: str, headers: Headers = ()) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.headers = headers


def problem(
    code: str,
    detail: str = "",
    *,
    outcome: str | None = None,
    extra: Mapping[str, JsonValue] | None = None,
    headers: Headers = (),
) -> Response:
    """The response for one error code.

    Args:
        code: one of `ERROR_CODES`.
        detail: what is particular about this occurrence; the title when empty.
        outcome: replaces what the table says about the effect.
        extra: further members, e.g. `shortages`; the standard members cannot be replaced.
        headers: further headers.
    """
    known = ERROR_CODES[code]
    body: dict[str, JsonValue] = {
        "type": f"urn:stockade:problem:{code}",
        "title": known.title,
        "status": known.status,
        "code": code,
        "detail": detail or known.title,
        "retryable": known.retryable,
        "outcome": outcome or known.outcome,
    }
    if extra:
        body.update((name, value) for name, value in extra.items() if name not in _FIXED)
    return Response(known.status, _encode(body), PROBLEM_JSON, headers)


def rejection_response(rejected: Rejected) -> Response:
    """The response for a decision against the request; the same one for a replay, byte for byte."""
    detail = rejected.data.get("detail", "")
    return problem(rejected.code, detail if isinstance(detail, str) else "", extra=rejected.data)


def error_response(error: Exception) -> Response | None:
    """The response for an exception that is expected here; None for any other."""
    match error:
        case ProblemError():
            return problem(error.code, error.detail, headers=error.headers)
        case BadQuery():
            return problem("INVALID_REQUEST", str(error))
        case Busy() if error.code in ERROR_CODES:  # its text may name hosts and statements: clients do not get it
            return problem(error.code, headers=retry_after(error.retry_after_s))
        case Conflict():
            return problem("CONFLICT_RETRY", headers=retry_after(0))
        case LockLost():
            return problem("LOCK_LOST", outcome=error.outcome, headers=retry_after(0))
        case Unknown():
            return problem("OUTCOME_UNKNOWN", headers=retry_after(1))
        case IdempotencyKeyReused():
            return problem("IDEMPOTENCY_KEY_REUSED")
        case StockadeError() if error.code in ERROR_CODES:
            return problem(error.code)
    return None


def unexpected(error: Exception, **log_fields: object) -> Response:
    """The response for a defect: 500 with the id of the log line that has the traceback."""
    log_id = uuid4().hex
    logger().error("unexpected", log_id=log_id, **log_fields, exc_info=error)
    return problem("INTERNAL_ERROR", headers=((b"x-log-id", log_id.encode()),))


def retry_after(pause_s: float) -> Headers:
    """The Retry-After header, in whole seconds, rounded up (RFC 9110, 10.2.3)."""
    return ((b"retry-after", b"%d" % -(-pause_s // 1)),)
