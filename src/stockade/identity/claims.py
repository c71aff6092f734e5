"""What the claims of a token must be (RFC 7519, 4.1), and who they name. Neighbour: `verifier`, which calls `read`."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, NoReturn

from stockade.identity.errors import BadToken
from stockade.identity.user_ids import user_id_of

_VERIFIED = (True, "true")  # some providers write it as a text
_EMAIL = "email"
_VERIFIED_SUFFIX = "_verified"


class Identity(NamedTuple):
    """Who sends a request.

    Attributes:
        user_id: of the user, see `user_id_of`.
        admin: whether it is an administrator.
        expires_s: the end of the token's life in seconds since 1970, without the leeway.
        subject: the value of the user claim, as the issuer wrote it.
    """

    user_id: str
    admin: bool
    expires_s: float
    subject: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimRules:
    """Which claims are accepted, and what they mean; `TokenVerifier` describes the fields."""

    issuer: str
    audiences: frozenset[str]
    user_claim: str
    admin_claim: str
    admin_value: str
    leeway_s: float

    def read(self, payload: bytes, now_s: float) -> Identity:
        """Who the claims name.

        Args:
            payload: of a token whose signature is right.
            now_s: wall clock in seconds since 1970.

        Raises:
            BadToken: a claim is missing, is malformed, or is not for this service or this time.
        """
        claims = _parsed(payload)
        if self.issuer and claims.get("iss") != self.issuer:
            raise BadToken("the token is of another issuer (iss)")
        if self.audiences and self.audiences.isdisjoint(_texts(claims.get("aud"))):
            raise BadToken("the token is for another audience (aud)")
        expires_s = self._check_times(claims, now_s)
        subject = claim_at(claims, self.user_claim)
        if not isinstance(subject, str):
            raise BadToken(f"the token names no user ({self.user_claim})")
        beside = verified_claim(self.user_claim)
        if beside and _beside(claims, self.user_claim) not in _VERIFIED:  # also where it is not there
            raise BadToken(f"the issuer has not verified the user's address ({beside})")
        try:
            user_id = user_id_of(subject)
        except ValueError:
            raise BadToken(f"the token names no valid user ({self.user_claim})") from None
        admin = bool(self.admin_claim) and holds(claim_at(claims, self.admin_claim), self.admin_value)
        return Identity(user_id, admin, expires_s, subject)

    def _check_times(self, claims: Mapping[str, Any], now_s: float) -> float:
        expires_s = _time(claims, "exp")
        if expires_s is None:
            raise BadToken("the token has no end (exp)")
        if expires_s + self.leeway_s <= now_s:
            raise BadToken("the token has expired")
        for name in ("nbf", "iat"):
            begins_s = _time(claims, name)
            if begins_s is not None and begins_s - self.leeway_s > now_s:
                raise BadToken(f"the token is not valid yet ({name})")
        return expires_s


def claim_at(claims: Mapping[str, Any], path: str) -> Any:
    """The value of a claim, or None.

    Args:
        claims: of a token.
        path: the claim's name. Where no claim has it, its dots lead into objects: `realm_access.roles`. The longest
            name that is there is taken, so names with dots need no mark.
    """
    place = _place_of(claims, path)
    return None if place is None else place[0][place[1]]


def verified_claim(path: str) -> str:
    """The claim that says whether the address in a claim was verified (OpenID Connect Core 1.0, 5.1).

    Args:
        path: of a claim, as for `claim_at`.

    Returns:
        its path, beside the claim; empty where the claim is not `email`, at the top or in an object.
    """
    return path + _VERIFIED_SUFFIX if path.rpartition(".")[2] == _EMAIL else ""


def _beside(claims: Mapping[str, Any], path: str) -> Any:
    """What the same object says about the address in a claim."""
    place = _place_of(claims, path)
    return None if place is None else place[0].get(place[1] + _VERIFIED_SUFFIX)


def _place_of(claims: Mapping[str, Any], path: str) -> tuple[Mapping[str, Any], str] | None:
    """The object that has a claim, and the claim's name there."""
    if path in claims:
        return claims, path
    cut = len(path)
    while (cut := path.rfind(".", 0, cut)) > 0:
        inner = claims.get(path[:cut])
        if isinstance(inner, dict):
            return _place_of(inner, path[cut + 1 :])
    return None


def holds(found: Any, value: str) -> bool:
    """Whether a claim is this value or contains it: a text, an array of texts, texts with blanks between, or `true`."""
    if found is True:
        return value == "true"
    return value in _texts(found) or (isinstance(found, str) and value in found.split(" "))


def _texts(found: Any) -> list[str]:
    if isinstance(found, str):
        return [found]
    return [each for each in found if isinstance(each, str)] if isinstance(found, list) else []


def _parsed(payload: bytes) -> dict[str, Any]:
    try:
        claims = json.loads(payload, parse_constant=_refuse)
    except (ValueError, RecursionError):
        raise BadToken("the token's claims cannot be read") from None
    if not isinstance(claims, dict):
        raise BadToken("the token's claims cannot be read")
    return claims


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")  # NaN would be later and earlier than nothing


def _time(claims: Mapping[str, Any], name: str) -> float | None:
    """A time in seconds since 1970; None when the claim is not there."""
    found = claims.get(name)
    if found is None:
        return None
    try:
        number = float(found) if type(found) in (int, float) else math.inf
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise BadToken(f"the token's {name} is no number of seconds")
    return number
