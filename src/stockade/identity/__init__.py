"""Who sends a request: verifies bearer tokens (RFC 7519) of your own secrets or of an identity provider.

Usable alone, in any asyncio application:

    verifier = TokenVerifier(JwksKeys("https://id.example/jwks.json"), issuer="https://id.example/", audience="shop")
    identity = await verifier.verify(token)

It needs PyJWT, and for the public keys of a provider also cryptography; the extra `jwt` brings both.
"""

from stockade.identity.errors import BadKeys, BadToken, KeysUnavailable
from stockade.identity.jwks_keys import JwksKeys
from stockade.identity.keys import Key, Keys, KeySource
from stockade.identity.refreshing_keys import Refresh
from stockade.identity.secret_keys import SecretFileKeys, SecretKeys
from stockade.identity.user_ids import user_id_of
from stockade.identity.verifier import Identity, TokenVerifier

__all__ = [
    "BadKeys",
    "BadToken",
    "Identity",
    "JwksKeys",
    "Key",
    "KeySource",
    "Keys",
    "KeysUnavailable",
    "Refresh",
    "SecretFileKeys",
    "SecretKeys",
    "TokenVerifier",
    "user_id_of",
]
