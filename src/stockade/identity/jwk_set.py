"""Reads a JWK Set (RFC 7517): which of its keys verify tokens, and under which algorithm.

The type of a key decides its algorithm: an RSA key is for RS256, a key on the curve P-256 for ES256. A symmetric key
is never taken from such a document. Neighbours: `jwks_keys` loads the document, `signatures` makes the keys.
"""

import json
from collections.abc import Mapping
from typing import Any

from stockade.identity.errors import BadKeys
from stockade.identity.keys import Key, digest_of
from stockade.identity.signatures import public_key

MAX_BYTES = 262_144
MAX_KEYS = 100
RSA_BITS = range(2_048, 8_193)
_MEMBERS = {"RS256": ("n", "e"), "ES256": ("crv", "x", "y")}
_MAX_MEMBER = 1_400  # characters; the modulus of 8,192 bits has 1,366
_MAX_KID = 255


def parse(document: bytes, algorithms: frozenset[str]) -> list[Key]:
    """The keys of a JWK Set that can verify tokens; keys of other kinds and for other uses are left out.

    Args:
        document: JSON.
        algorithms: those that tokens may use.

    Raises:
        BadKeys: it is no JWK Set, has too many keys, or none that can be used.
    """
    try:
        keys = json.loads(document)["keys"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise BadKeys("this is no JWK Set: expected a JSON object with a list `keys`") from None
    if not isinstance(keys, list):
        raise BadKeys("this is no JWK Set: `keys` is no list")
    if len(keys) > MAX_KEYS:
        raise BadKeys(f"the JWK Set has {len(keys):,} keys; at most {MAX_KEYS} are read")
    usable = [key for each in keys if isinstance(each, dict) and (key := _key(each, algorithms)) is not None]
    if not usable:
        wanted = " or ".join(sorted(algorithms))
        raise BadKeys(f"none of the {len(keys)} keys of the JWK Set can verify {wanted}")
    return usable


def _key(jwk: Mapping[str, Any], algorithms: frozenset[str]) -> Key | None:
    algorithm = _algorithm(jwk)
    kid = jwk.get("kid")
    if algorithm not in algorithms or not _for_signatures(jwk, algorithm):
        return None
    if not (kid is None or (isinstance(kid, str) and 0 < len(kid) <= _MAX_KID)):
        return None
    members = {name: jwk.get(name) for name in _MEMBERS[algorithm]}
    texts = {name: value for name, value in members.items() if isinstance(value, str) and len(value) <= _MAX_MEMBER}
    if len(texts) < len(members):
        return None
    material = public_key({"kty": jwk["kty"], **texts}, algorithm)  # without private members, which may stand there
    if material is None or (algorithm == "RS256" and material.key_size not in RSA_BITS):
        return None
    return Key(kid, algorithm, digest_of(algorithm, *texts.values()), material)


def _algorithm(jwk: Mapping[str, Any]) -> str | None:
    if jwk.get("kty") == "RSA":
        return "RS256"
    return "ES256" if jwk.get("kty") == "EC" and jwk.get("crv") == "P-256" else None


def _for_signatures(jwk: Mapping[str, Any], algorithm: str) -> bool:
    operations = jwk.get("key_ops", ["verify"])
    verifies = isinstance(operations, list) and "verify" in operations
    return verifies and jwk.get("use", "sig") == "sig" and jwk.get("alg", algorithm) == algorithm
