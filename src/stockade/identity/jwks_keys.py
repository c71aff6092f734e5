"""The public keys of an identity provider: its JWK Set, by URL, by file, or found by OpenID Connect Discovery.

Neighbours: `fetch` reads the document, `jwk_set` understands it, `refreshing_keys` reads it again.
"""

import json
import time
from collections.abc import Callable, Sequence
from typing import Self

from stockade.identity.errors import BadKeys, require_kind
from stockade.identity.fetch import check_address, read
from stockade.identity.jwk_set import MAX_BYTES, parse
from stockade.identity.keys import Key, with_default
from stockade.identity.refreshing_keys import DEFAULT, Refresh, RefreshingKeys, Report
from stockade.identity.signatures import PUBLIC, require_cryptography

_WELL_KNOWN = "/.well-known/openid-configuration"
_LEAST_S = 0.001


class JwksKeys(RefreshingKeys):
    """The keys of a JWK Set (RFC 7517). They are loaded at the first use and again from time to time.

    A token with a key name that is not known makes them be loaded at once, but at most once in `retry_s`, whoever sends
    such tokens. While the provider cannot be reached, the keys that are there are used until they are `keep_s` old.
    At most 100 keys and 262,144 bytes are read.

    Args:
        address: an https URL, an http URL of this machine, or a file.
        algorithms: those that tokens may use: `RS256`, `ES256` or both.
        refresh: how often and for how long. A key that the provider removed is used for twice `refresh_s` at most.
        report: called in another thread: with the reason when loading begins to fail, with None when it works again.

    Raises:
        BadKeys: the address is refused, an algorithm is not supported, or cryptography is not installed.
    """

    public = True

    def __init__(
        self,
        address: str,
        *,
        algorithms: Sequence[str] = PUBLIC,
        refresh: Refresh = DEFAULT,
        report: Report | None = None,
    ) -> None:
        check_address(address)
        self.algorithms = frozenset(algorithms)
        if not self.algorithms or not self.algorithms <= set(PUBLIC):
            raise BadKeys(
                f"algorithms of public keys are {' and '.join(PUBLIC)}, not {', '.join(algorithms) or 'none'}"
            )
        require_cryptography()
        self._find_address: Callable[[], str] = lambda: address
        super().__init__(self._read, refresh, report)

    @classmethod
    def of_issuer(
        cls,
        issuer: str,
        *,
        algorithms: Sequence[str] = PUBLIC,
        refresh: Refresh = DEFAULT,
        report: Report | None = None,
    ) -> Self:
        """The keys whose address the issuer publishes (OpenID Connect Discovery 1.0, 4).

        Args:
            issuer: its URL, as in the claim `iss`.
            algorithms: as of the class.
            refresh: as of the class.
            report: as of the class.

        Raises:
            BadKeys: as of the class.
        """
        require_kind(issuer, str, "the issuer must be a text")
        well_known = issuer.rstrip("/") + _WELL_KNOWN
        found = cls(well_known, algorithms=algorithms, refresh=refresh, report=report)
        found._find_address = lambda: _discovered(well_known, issuer, refresh.wait_s)
        return found

    def _read(self) -> list[Key]:
        end_s = time.monotonic() + self._refresh.wait_s  # of both documents, where the address must be found first
        address = self._find_address()
        document = read(address, max_bytes=MAX_BYTES, wait_s=max(end_s - time.monotonic(), _LEAST_S))
        return list(with_default(parse(document, self.algorithms)))


def _discovered(well_known: str, issuer: str, wait_s: float) -> str:
    try:
        document = json.loads(read(well_known, max_bytes=MAX_BYTES, wait_s=wait_s))
        address = document["jwks_uri"]
        named = document["issuer"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        if isinstance(error, BadKeys):
            raise
        raise BadKeys("the issuer's openid-configuration is no JSON object with issuer and jwks_uri") from None
    if named != issuer:
        raise BadKeys("the issuer's openid-configuration names another issuer: write it exactly as it is there")
    if not isinstance(address, str) or "://" not in address or address.startswith("file:"):
        raise BadKeys("the jwks_uri of the issuer's openid-configuration is no URL")
    check_address(address)
    return address
