"""Who has signed in: a signed cookie that ends soon, and the token against forged requests that belongs to it.

Nothing is stored in the service, so every serving process that has the secrets knows every session. A visitor who has
not signed in has one too: the form to sign in is protected like all others (login CSRF). Neighbour: `visit`.
Source: signed double-submit of the OWASP Cross-Site Request Forgery Prevention Cheat Sheet.
"""

import base64
import binascii
import hmac
from collections.abc import Callable, Sequence
from hashlib import sha256
from secrets import token_urlsafe

import msgspec

COOKIE = "stockade_session"
FORM_TOKEN = "form_token"  # noqa: S105  # the name of a field
SESSION_S = 1_800  # of a session that is not used; every page in the second half of it begins it again
DEMO_S = 12 * 3_600  # the longest session that began by one click
MAX_COOKIE = 1_000  # characters
_PURPOSE = b"stockade shop front, session"
_FORMS = b"form "


class Session(msgspec.Struct, frozen=True):
    """What the cookie says.

    Attributes:
        user_id: who has signed in; empty: nobody yet.
        admin: whether it is an administrator.
        nonce: random, new at each sign-in.
        ends_s: when this cookie ends, in seconds since 1970.
        latest_s: when it ends at the latest, however often it is used: the end of the token.
    """

    user_id: str
    admin: bool
    nonce: str
    ends_s: int
    latest_s: int


class Sessions:
    """Makes, signs and checks.

    Args:
        secrets: returns those that are valid now; the first signs, all of them check.
    """

    def __init__(self, secrets: Callable[[], Sequence[bytes]]) -> None:
        self._secrets = secrets
        self._decoder = msgspec.json.Decoder(Session)

    def begin(self, now_s: int, user_id: str = "", *, admin: bool = False, latest_s: int = 0) -> Session:
        """A new session that ends in `SESSION_S`, or at `latest_s` if that is earlier and not 0."""
        latest_s = latest_s or now_s + DEMO_S
        return Session(user_id, admin, token_urlsafe(18), min(now_s + SESSION_S, latest_s), latest_s)

    def renewed(self, session: Session, now_s: int) -> Session | None:
        """The session with a later end; None while more than half of it is left, or when it cannot end later."""
        ends_s = min(now_s + SESSION_S, session.latest_s)
        if session.ends_s - now_s > SESSION_S // 2 or ends_s <= session.ends_s:
            return None
        return msgspec.structs.replace(session, ends_s=ends_s)

    def sign(self, session: Session) -> str:
        """The cookie's value."""
        payload = base64.urlsafe_b64encode(msgspec.json.encode(session)).rstrip(b"=")
        return f"{payload.decode()}.{self._signature(self._secrets()[0], payload)}"

    def read(self, cookie: str, now_s: int) -> Session | None:
        """The session; None where the cookie is not ours, was changed, or has ended."""
        payload, _, given = cookie.partition(".")
        if len(cookie) > MAX_COOKIE or not cookie.isascii() or not self._is_signed(payload.encode(), given):
            return None
        try:
            session = self._decoder.decode(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        except (binascii.Error, msgspec.MsgspecError):  # of another version of this program
            return None
        return session if now_s < session.ends_s else None

    def form_token(self, session: Session) -> str:
        """What every form of this session carries."""
        return self._signature(self._secrets()[0], _FORMS + session.nonce.encode())

    def is_form_token(self, given: str, session: Session) -> bool:
        """Whether a form came from a page of this session."""
        return given.isascii() and self._is_signed(_FORMS + session.nonce.encode(), given)

    def _is_signed(self, text: bytes, given: str) -> bool:
        return any(hmac.compare_digest(self._signature(secret, text), given) for secret in self._secrets())

    @staticmethod
    def _signature(secret: bytes, text: bytes) -> str:
        own = hmac.digest(secret, _PURPOSE, sha256)  # what it signs can be used neither as a token nor as a proof
        return base64.urlsafe_b64encode(hmac.digest(own, text, sha256)).rstrip(b"=").decode()
