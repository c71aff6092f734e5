"""Verifies bearer tokens, and remembers those that it has verified.

Neighbours: `keys` says where keys come from, `signatures` checks a signature, `claims` the rest.
"""

import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from hashlib import sha256

from stockade.identity.claims import ClaimRules, Identity
from stockade.identity.errors import BadToken, require_kind
from stockade.identity.keys import Key, Keys, KeySource
from stockade.identity.signatures import header_of, signed_payload

__all__ = ["Identity", "TokenVerifier"]

MAX_TOKEN_BYTES = 8_192
CACHE_SIZE = 16_384
MAX_LEEWAY_S = 300
_TYPES = (
    "jwt",
    "at+jwt",
    "application/at+jwt",
)  # a logout token of the same issuer is no access token (RFC 8725, 3.11)


class TokenVerifier:
    """Verifies tokens against the keys of one source. One object serves one event loop.

    The algorithm comes from the source, never from the token, and no key or address in a token's header is used. The
    tokens used last are remembered by their hash, until their end or until their key is gone.

    Args:
        keys: `SecretKeys`, `SecretFileKeys` or `JwksKeys`.
        issuer: the only `iss` that is accepted; empty accepts any, which only secrets of your own allow.
        audience: the `aud` of this service; of several, a token must name one. Empty as for `issuer`.
        user_claim: the claim that names the user. The path `a.b` leads to the member `b` of the object `a`.
        admin_claim: the claim that makes an administrator; empty: nobody is one.
        admin_value: what that claim must be or contain. `true` also means the JSON value.
        leeway_s: by how many seconds clocks may differ: 0 to 300, for `exp`, `nbf` and `iat`.
        cache_size: how many tokens are remembered.
        clock: wall clock in seconds since 1970.

    Raises:
        ValueError: a value of another type, keys of a provider without issuer or audience, or a number outside its
            bounds.
    """

    def __init__(
        self,
        keys: KeySource,
        *,
        issuer: str = "",
        audience: str | Sequence[str] = "",
        user_claim: str = "sub",
        admin_claim: str = "",
        admin_value: str = "true",
        leeway_s: float = 10.0,
        cache_size: int = CACHE_SIZE,
        clock: Callable[[], float] = time.time,  # an end must mean the same time in every process
    ) -> None:
        require_kind(keys, KeySource, "keys must be SecretKeys, SecretFileKeys or JwksKeys", ValueError)
        require_kind(issuer, str, "issuer must be a text", ValueError)
        require_kind(audience, Iterable, "audience must be a text or several", ValueError)
        audiences = frozenset([audience] if isinstance(audience, str) else audience) - {""}
        if keys.public and not (issuer and audiences):
            raise ValueError("keys of a provider need issuer and audience: it signs tokens for other services too")
        if not 0 <= leeway_s <= MAX_LEEWAY_S:
            raise ValueError(f"leeway_s must be 0 to {MAX_LEEWAY_S}, not {leeway_s:g}")
        if not user_claim or cache_size < 1:
            raise ValueError("user_claim must not be empty, and cache_size must be at least 1")
        self._source = keys
        self._rules = ClaimRules(
            issuer=issuer,
            audiences=audiences,
            user_claim=user_claim,
            admin_claim=admin_claim,
            admin_value=admin_value,
            leeway_s=leeway_s,
        )
        self._cache_size = cache_size
        self._clock = clock
        self._keys = Keys(())
        self._known: OrderedDict[bytes, tuple[Identity, Key]] = OrderedDict()

    async def verify(self, token: str | bytes) -> Identity:
        """Who the token names. It waits only for keys that must be loaded, at most twice their `wait_s`: a
        token may name a key that those which were loaded just now do not have.

        Args:
            token: what stands after `Bearer ` in the Authorization header.

        Raises:
            BadToken: it is not accepted; the message says why, and holds nothing of the token.
            KeysUnavailable: it cannot be checked now.
        """
        raw = token.encode(errors="replace") if isinstance(token, str) else token
        if len(raw) > MAX_TOKEN_BYTES:
            raise BadToken(f"the token has more than {MAX_TOKEN_BYTES:,} bytes")
        keys = self._source.at_hand()
        if keys is None:
            keys = await self._source.load()
        if keys is not self._keys:
            self._use(keys)
        digest = sha256(raw).digest()  # a fixed size, and no token in memory
        known = self._known.get(digest)
        if known is None:
            return await self._first(raw, digest, keys)
        identity = known[0]
        if identity.expires_s + self._rules.leeway_s <= self._clock():
            del self._known[digest]
            raise BadToken("the token has expired")
        self._known.move_to_end(digest)
        return identity

    def _use(self, keys: Keys) -> None:
        """From now on these keys; what a key has verified is forgotten together with the key."""
        self._keys = keys
        for digest in [digest for digest, (_, key) in self._known.items() if key not in keys]:
            del self._known[digest]

    async def _first(self, raw: bytes, digest: bytes, keys: Keys) -> Identity:
        key = await self._key_of(raw, keys)
        identity = self._rules.read(signed_payload(raw, key), self._clock())
        if key in self._keys:  # they may have changed while this request waited
            self._known[digest] = identity, key
            if len(self._known) > self._cache_size:
                self._known.popitem(last=False)
        return identity

    async def _key_of(self, raw: bytes, keys: Keys) -> Key:
        algorithm, kid, kind, critical = header_of(raw.partition(b".")[0])
        if not isinstance(algorithm, str) or algorithm not in self._source.algorithms:
            raise BadToken(f"the token's algorithm is not {' or '.join(sorted(self._source.algorithms))}")
        if critical:
            raise BadToken("the token has a critical header that is not known (crit)")
        if not isinstance(kind, str) or kind.lower() not in _TYPES:
            raise BadToken("this is no access token (typ)")
        key = keys.find(kid, algorithm)
        if key is None:
            keys = await self._source.load()
            if keys is not self._keys:
                self._use(keys)
            key = keys.find(kid, algorithm)
        if key is None:
            raise BadToken("the token is signed with a key that is not known (kid)")
        return key
