"""The development issuer: `stockade token`. Its tokens carry what the settings ask of a token.

Neighbours: `of_settings` makes it, `stockade.identity` verifies what it issues.
"""

import json
import time
from collections.abc import Callable
from typing import Any

from stockade.identity.claims import verified_claim
from stockade.identity.signatures import sign
from stockade.identity.user_ids import user_id_of

ADMIN_CLAIM = "adm"  # of the development issuer, and of tokens before there were settings


class TokenIssuer:
    """Issues tokens with one secret.

    Args:
        secret: signs, with HS256.
        kid: name of the secret; None leaves it out.
        issuer: the claim `iss`; empty leaves it out.
        audience: the claim `aud`; empty leaves it out.
        user_claim: name of the claim that names the user.
        admin_claim: name of the claim that makes an administrator.
        admin_value: its value; `true` is the JSON value.
        clock: wall clock in seconds since 1970.
    """

    def __init__(
        self,
        secret: bytes,
        kid: str | None = None,
        *,
        issuer: str = "",
        audience: str = "",
        user_claim: str = "sub",
        admin_claim: str = ADMIN_CLAIM,
        admin_value: str = "true",
        clock: Callable[[], float] = time.time,  # wall clock: the end of a token must mean the same in every process
    ) -> None:
        self._secret = secret
        self._kid = kid
        self._fixed: dict[str, Any] = {name: text for name, text in (("iss", issuer), ("aud", audience)) if text}
        if beside := verified_claim(user_claim):
            self._fixed[beside] = True  # an address is the user only with it
        self._user_claim = user_claim
        # the whole path as one name: the verifier looks for that first
        self._admin: dict[str, Any] = {admin_claim: True if admin_value == "true" else [admin_value]}
        self._clock = clock

    def issue(self, user: str, *, valid_s: float, admin: bool = False) -> str:
        """A token that ends in `valid_s` seconds.

        Args:
            user: the subject, see `user_id_of`.
            valid_s: seconds until its end.
            admin: whether it makes an administrator.

        Raises:
            ValueError: no user can have this name.
        """
        try:
            user_id_of(user)
        except ValueError as error:
            raise ValueError(f"user {user!r:.300}: {error}") from None
        claims = {self._user_claim: user, "exp": int(self._clock() + valid_s), **self._fixed}
        if admin:
            claims |= self._admin
        return sign(json.dumps(claims, separators=(",", ":")).encode(), self._secret, self._kid)
