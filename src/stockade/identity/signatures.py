"""The adapter to PyJWT: headers, signatures and the keys of a JWK Set. Only `testing` imports it too, to sign.

PyJWT checks the signature. The times of a token are checked in `claims`, with the clock that the cache of the verifier
uses too: PyJWT reads a clock of its own. Neighbours: `verifier`, `jwk_set`, `secret_keys`.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from stockade.identity.errors import BadKeys, BadToken
from stockade.identity.keys import Key

try:
    import jwt
    from jwt.algorithms import HMACAlgorithm, has_crypto
except ModuleNotFoundError as error:
    raise ModuleNotFoundError("stockade.identity needs PyJWT: pip install 'stockade[jwt]'", name="jwt") from error

SYMMETRIC = "HS256"
PUBLIC = ("RS256", "ES256")
_HEADERS = 128  # different headers that are remembered
_NOTHING_SIGNED = b".e30.AA"  # an empty payload and some signature: PyJWT reads headers of whole tokens only
_NO_TOKEN = "this is no JSON Web Token"  # noqa: S105  # a message


class _Hmac(HMACAlgorithm):
    """HMAC without a warning for each token: the length of a secret is checked once, where it is read."""

    def check_key_length(self, key: bytes) -> str | None:
        return None


def _make_jws() -> jwt.PyJWS:
    jws = jwt.PyJWS(algorithms=[SYMMETRIC, *PUBLIC])
    jws.unregister_algorithm(SYMMETRIC)
    jws.register_algorithm(SYMMETRIC, _Hmac(_Hmac.SHA256))
    return jws


_jws = _make_jws()


class Header(NamedTuple):
    """What the verifier reads of a token's header, which proves nothing.

    Attributes:
        algorithm: `alg`, of any type.
        kid: name of the key, or None.
        kind: `typ`, of any type; `JWT` when it is not there.
        critical: whether it has `crit`.
    """

    algorithm: Any
    kid: str | None
    kind: Any
    critical: bool


@lru_cache(maxsize=_HEADERS)
def header_of(segment: bytes) -> Header:
    """The header of a token. All tokens of one key have the same, so it is read once.

    Args:
        segment: the token before its first dot.

    Raises:
        BadToken: it cannot be read.
    """
    try:
        found = _jws.get_unverified_header(segment + _NOTHING_SIGNED)
    except (jwt.PyJWTError, ValueError, RecursionError):
        raise BadToken(_NO_TOKEN) from None
    return Header(found.get("alg"), found.get("kid"), found.get("typ", "JWT"), "crit" in found)


def signed_payload(raw: bytes, key: Key) -> bytes:
    """The payload of a token whose signature is right.

    Args:
        raw: the token.
        key: with the only algorithm that may be used.

    Raises:
        BadToken: the signature is wrong.
    """
    try:
        payload: bytes = _jws.decode_complete(raw, key.material, algorithms=[key.algorithm])["payload"]
    except jwt.InvalidSignatureError:
        raise BadToken("the token's signature is wrong") from None
    except (jwt.PyJWTError, ValueError, RecursionError):
        raise BadToken(_NO_TOKEN) from None
    return payload


def sign(payload: bytes, secret: bytes, kid: str | None) -> str:
    """A token with this payload, signed with HS256.

    Args:
        payload: JSON.
        secret: of the signature.
        kid: name of the secret; None leaves the name out.
    """
    return _jws.encode(payload, secret, algorithm=SYMMETRIC, headers=None if kid is None else {"kid": kid})


def public_key(members: Mapping[str, str], algorithm: str) -> Any | None:
    """What PyJWT verifies with; None where the members make no key.

    Args:
        members: those of a JWK (RFC 7517) that describe a public key.
        algorithm: one of `PUBLIC`.
    """
    try:
        return jwt.PyJWK(dict(members), algorithm).key
    except (jwt.PyJWTError, ValueError):
        return None


def require_cryptography() -> None:
    """Refuse to go on without the package that public keys need.

    Raises:
        BadKeys: it is not installed.
    """
    if not has_crypto:
        raise BadKeys("public keys need cryptography: pip install 'stockade[jwt]'")
