"""Keys that verify signatures, and where they come from.

`Keys` is an unchangeable set. `SecretKeys`, `SecretFileKeys` and `JwksKeys` are no sets but sources (`KeySource`): each
returns the `Keys` of now. Neighbours: `secret_keys` and `jwks_keys` are the two kinds of sources; `verifier` asks a
source for every token.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Protocol, runtime_checkable


@dataclass(frozen=True, slots=True)
class Key:
    """One key. Two keys are equal when they verify the same tokens.

    Attributes:
        kid: its name in the header of a token; None for the key of tokens without one.
        algorithm: the only algorithm that it is used with: `HS256`, `RS256` or `ES256`.
        digest: SHA-256 of the key, for comparisons.
        material: what PyJWT verifies with; never shown.
    """

    kid: str | None
    algorithm: str
    digest: bytes = field(repr=False)
    material: Any = field(repr=False, compare=False)


class Keys:
    """An unchangeable set of keys.

    Args:
        keys: all of them. Of several with the same name and algorithm the first is used.
    """

    def __init__(self, keys: Iterable[Key]) -> None:
        self._by_name: dict[tuple[str | None, str], Key] = {}
        for key in keys:
            self._by_name.setdefault((key.kid, key.algorithm), key)
        self._all = frozenset(self._by_name.values())

    def find(self, kid: str | None, algorithm: str) -> Key | None:
        """The key with this name for this algorithm; None when there is none."""
        return self._by_name.get((kid, algorithm))

    def __contains__(self, key: Key) -> bool:
        return key in self._all

    def __iter__(self) -> Iterator[Key]:
        return iter(self._by_name.values())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Keys) and self._all == other._all

    def __hash__(self) -> int:
        return hash(self._all)


@runtime_checkable
class KeySource(Protocol):
    """Where the verifier takes its keys from.

    Attributes:
        algorithms: those that a token may be signed with. The source fixes them, a token never does.
        public: whether others hold the signing keys, so that tokens must name this service.
    """

    algorithms: frozenset[str]
    public: bool

    def at_hand(self) -> Keys | None:
        """The keys, without waiting; None when `load` must be awaited first."""

    async def load(self) -> Keys:
        """The keys, loaded again unless that was tried a short time ago; also for a name that is not known.

        Raises:
            KeysUnavailable: there are none that may be used.
        """


def digest_of(*parts: str | bytes) -> bytes:
    """One hash of all parts, for `Key.digest`."""
    mixed = sha256()
    for part in parts:
        raw = part.encode() if isinstance(part, str) else part
        mixed.update(len(raw).to_bytes(8, "big") + raw)
    return mixed.digest()


def with_default(keys: Iterable[Key]) -> Iterable[Key]:
    """The keys, and for every algorithm with one key only the same key for tokens without a name (RFC 7515, 4.1.4)."""
    known = list(keys)
    counts = Counter(key.algorithm for key in known)
    alone = [key for key in known if counts[key.algorithm] == 1 and key.kid is not None]
    return [*known, *(Key(None, key.algorithm, key.digest, key.material) for key in alone)]
