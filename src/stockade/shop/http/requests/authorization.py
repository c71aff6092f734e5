"""Who sends a request, and what this caller may do. Neighbours: `tokens` checks the token; `endpoint` calls both."""

import re
from enum import Enum

from stockade.shop.http.requests.request_parsing import RequestHeaders
from stockade.shop.http.requests.request_schemas import ID_PATTERN
from stockade.shop.http.responses.problems import ProblemError
from stockade.shop.http.responses.response import Headers
from stockade.shop.tokens import BadToken, Caller, Tokens

_ID = re.compile(ID_PATTERN).match
_CHALLENGE: Headers = ((b"www-authenticate", b"Bearer"),)


class Access(Enum):
    """Who may call a route. A path with `{user_id}` is open to that user and to administrators only."""

    ANYONE = "anyone"
    USER = "user"
    ADMIN = "admin"


def authenticate(headers: RequestHeaders, tokens: Tokens, access: Access) -> Caller | None:
    """The caller that the bearer token names; None, and no token is read, on a route for anyone.

    Raises:
        ProblemError: UNAUTHENTICATED, with what is wrong with the header; FORBIDDEN, the route is for administrators.
    """
    if access is Access.ANYONE:
        return None
    if headers.authorization is None or headers.repeated == b"authorization":
        raise ProblemError("UNAUTHENTICATED", "send one Authorization header: Bearer, a space, a token", _CHALLENGE)
    scheme, _, token = headers.authorization.partition(b" ")
    if scheme.lower() != b"bearer":
        raise ProblemError("UNAUTHENTICATED", "the Authorization header must be Bearer, a space, a token", _CHALLENGE)
    try:
        caller = tokens.caller(token)
    except BadToken as bad:
        raise ProblemError("UNAUTHENTICATED", str(bad), _CHALLENGE) from None
    if access is Access.ADMIN and not caller.admin:
        raise ProblemError("FORBIDDEN", "only an administrator may do this")
    return caller


def check_path_ids(path_ids: dict[str, str], caller: Caller | None) -> None:
    """Refuse a malformed id, and the id of another user.

    Raises:
        ProblemError: INVALID_REQUEST or FORBIDDEN.
    """
    for name, value in path_ids.items():
        if not _ID(value):
            raise ProblemError("INVALID_REQUEST", f"{name}: an id has 1 to 64 letters, digits and any of . _ : -")
        if name == "user_id" and caller is not None and value != caller.user_id and not caller.admin:
            raise ProblemError("FORBIDDEN", "a user may act for itself only")
