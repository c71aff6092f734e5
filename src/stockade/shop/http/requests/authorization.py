"""Who sends a request, and what this caller may do.

Neighbours: `stockade.identity` verifies the token; `endpoint` calls both functions.
"""

import re
from enum import Enum

from stockade.identity import BadToken, Identity, TokenVerifier
from stockade.identity.user_ids import addressed_user_id
from stockade.shop.http.requests.request_parsing import RequestHeaders
from stockade.shop.http.requests.request_schemas import ID_PATTERN
from stockade.shop.http.responses.problems import ProblemError
from stockade.shop.http.responses.response import Headers

_ID = re.compile(ID_PATTERN).match
_CHALLENGE: Headers = ((b"www-authenticate", b"Bearer"),)


class Access(Enum):
    """Who may call a route. A path with `{user_id}` is open to that user and to administrators only."""

    ANYONE = "anyone"
    USER = "user"
    ADMIN = "admin"


async def authenticate(headers: RequestHeaders, verifier: TokenVerifier, access: Access) -> Identity | None:
    """The caller that the bearer token names; None, and no token is read, on a route for anyone.

    Raises:
        ProblemError: UNAUTHENTICATED, with what is wrong with the header; FORBIDDEN, the route is for administrators.
        KeysUnavailable: the keys of the identity provider cannot be read.
    """
    if access is Access.ANYONE:
        return None
    if headers.authorization is None or headers.repeated == b"authorization":
        raise ProblemError("UNAUTHENTICATED", "send one Authorization header: Bearer, a space, a token", _CHALLENGE)
    scheme, _, token = headers.authorization.partition(b" ")
    if scheme.lower() != b"bearer":
        raise ProblemError("UNAUTHENTICATED", "the Authorization header must be Bearer, a space, a token", _CHALLENGE)
    try:
        caller = await verifier.verify(token)
    except BadToken as bad:
        raise ProblemError("UNAUTHENTICATED", str(bad), _CHALLENGE) from None
    if access is Access.ADMIN and not caller.admin:
        raise ProblemError("FORBIDDEN", "only an administrator may do this")
    return caller


def checked_ids(path_ids: dict[str, str], caller: Identity | None) -> dict[str, str]:
    """The ids of a path, with the user id of a subject in its place.

    Raises:
        ProblemError: INVALID_REQUEST, an id is malformed; FORBIDDEN, it is the id of another user.
    """
    checked = {}
    for name, value in path_ids.items():
        if name == "user_id":
            checked[name] = _user_id(value)
            if caller is not None and checked[name] != caller.user_id and not caller.admin:
                raise ProblemError("FORBIDDEN", "a user may act for itself only")
        elif _ID(value):
            checked[name] = value
        else:
            raise ProblemError("INVALID_REQUEST", f"{name}: an id has 1 to 64 letters, digits and any of . _ : -")
    return checked


def _user_id(text: str) -> str:
    try:
        return addressed_user_id(text)
    except ValueError as error:
        raise ProblemError("INVALID_REQUEST", f"user_id: {error}") from None
