"""Bearer tokens: the built-in development issuer, the secret that it signs with, and the check of every request.

A token is a JSON Web Token (RFC 7519) signed with HMAC-SHA256. Only one header is accepted, byte for byte, so no token
can choose its own algorithm. The same secret signs the Location of an order that is queued and not decided yet.
Neighbours: `http.requests.authorization` calls `Tokens.caller`, `endpoint` the two functions for queued orders.
"""

import base64
import binascii
import hmac
import os
import re
import secrets
import stat
import time
from collections import OrderedDict
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import msgspec

from stockade.shop.config.settings import BadSetting, Settings

SECRET_FILE = "token.secret"  # noqa: S105  # the file's name, not a secret
USER_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}\Z")
_MILLISECONDS = re.compile(r"[0-9]{1,15}\Z")
MAX_TOKEN_LENGTH = 1_024
_MIN_SECRET_LENGTH = 16
CACHE_SIZE = 16_384
_HEADER = base64.urlsafe_b64encode(b'{"alg":"HS256","typ":"JWT"}').rstrip(b"=")


class BadToken(ValueError):
    """The token is malformed, not signed by us, or expired; the message says which."""


class Caller(NamedTuple):
    """Who sends a request.

    `expires_s` is the end of the token's life in seconds since 1970.
    """

    user_id: str
    admin: bool
    expires_s: float


class _Claims(msgspec.Struct, omit_defaults=True):
    sub: str
    exp: int
    adm: bool = False


_decode_claims = msgspec.json.Decoder(_Claims).decode


class Tokens:
    """Issues and checks tokens with one secret.

    The `cache_size` tokens used last are kept, so that the signature of a busy client is computed once.
    """

    def __init__(self, secret: bytes, clock: Callable[[], float] = time.time, cache_size: int = CACHE_SIZE) -> None:
        self._secret = secret
        self._cache_size = cache_size
        self._clock = clock  # wall clock: the end of a token must mean the same in every process
        self._known: OrderedDict[bytes, Caller] = OrderedDict()

    def issue(self, user_id: str, *, valid_s: float, admin: bool = False) -> str:
        """A token for `user_id` that ends in `valid_s` seconds.

        Raises:
            ValueError: `user_id` is not 1 to 64 letters, digits or any of `._:-`.
        """
        if not USER_ID.match(user_id):
            raise ValueError(f"user id {user_id!r}: allowed are 1 to 64 letters, digits and any of . _ : -")
        claims = msgspec.json.encode(_Claims(sub=user_id, exp=int(self._clock() + valid_s), adm=admin))
        signed = _HEADER + b"." + base64.urlsafe_b64encode(claims).rstrip(b"=")
        return (signed + b"." + self._signature(signed)).decode()

    def caller(self, token: bytes) -> Caller:
        """The caller that the token names.

        Args:
            token: as in the request's header.

        Raises:
            BadToken: malformed, not signed by us, or expired.
        """
        known = self._known.get(token)
        if known is None:
            known = self._verified(token)
            self._known[token] = known
            if len(self._known) > self._cache_size:
                self._known.popitem(last=False)
        else:
            self._known.move_to_end(token)
        if known.expires_s <= self._clock():
            self._known.pop(token, None)
            raise BadToken("the token has expired")
        return known

    def sign_pending(self, order_id: str, user_id: str, now_ms: int) -> str:
        """Proof that this user's order was queued at this time (milliseconds since 1970), for its Location."""
        return f"{now_ms}.{self._signature(_pending_text(order_id, user_id, now_ms)).decode()}"

    def pending_since_ms(self, proof: str, order_id: str, user_id: str) -> int | None:
        """When the order was queued, in milliseconds since 1970; None when the proof is not valid for this order."""
        since, _, signature = proof.partition(".")
        if not _MILLISECONDS.match(since):
            return None
        right = self._signature(_pending_text(order_id, user_id, int(since)))
        return int(since) if hmac.compare_digest(right, signature.encode()) else None

    def _verified(self, raw: bytes) -> Caller:
        signed, _, signature = raw.rpartition(b".")
        header, _, payload = signed.partition(b".")
        if len(raw) > MAX_TOKEN_LENGTH or header != _HEADER:
            raise BadToken("not a token of this service")
        if not hmac.compare_digest(self._signature(signed), signature):
            raise BadToken("the token's signature is wrong")
        try:
            claims = _decode_claims(base64.urlsafe_b64decode(payload + b"=" * (-len(payload) % 4)))
        except (binascii.Error, msgspec.MsgspecError, ValueError):
            raise BadToken("the token's claims cannot be read") from None
        if not USER_ID.match(claims.sub):
            raise BadToken("the token names no valid user")
        return Caller(claims.sub, claims.adm, claims.exp)

    def _signature(self, signed: bytes) -> bytes:
        return base64.urlsafe_b64encode(hmac.digest(self._secret, signed, sha256)).rstrip(b"=")


def _pending_text(order_id: str, user_id: str, now_ms: int) -> bytes:
    # the signed part of a token has a dot and no space: neither can be used as the other
    return f"order {order_id} of {user_id} at {now_ms}".encode()


def token_secret(settings: Settings) -> bytes:
    """The secret of `settings`, else the one in the state folder, which is made at the first call.

    The file is written under another name and then linked, so processes that start together share one secret.

    Raises:
        BadSetting: the file is readable by others, too short, or cannot be made.
    """
    if settings.token_secret:
        return settings.token_secret.encode()
    path = settings.state_path / SECRET_FILE
    try:
        if not path.exists():
            _make_secret(path)
        mode = stat.S_IMODE(path.stat().st_mode)
        secret = path.read_bytes().strip()
    except OSError as error:
        raise BadSetting(f"{settings.with_source('state_dir')}: cannot make or read {path}: {error.strerror}") from None
    if mode & 0o077:
        raise BadSetting(f"{path} can be read by others (mode {mode:o}): run chmod 600 on it or remove it")
    if len(secret) < _MIN_SECRET_LENGTH:
        raise BadSetting(f"{path} is too short: remove it and a new one is made")
    return secret


def _make_secret(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    fresh = path.with_name(f"{SECRET_FILE}.{os.getpid()}.{secrets.token_hex(4)}")
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(secrets.token_hex(32).encode())
            file.flush()
            os.fsync(file.fileno())
        os.link(fresh, path)
    except FileExistsError:
        return  # another process was first; its secret is used
    finally:
        fresh.unlink()
