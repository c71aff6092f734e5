"""What the tests of identity share: a clock, and tokens put together by hand."""

import base64
import hashlib
import hmac
import json

import pytest

from stockade.identity import BadToken

AUDIENCE = "shop"
SECRET = b"a secret of thirty-two bytes or more"


class Clock:
    """A clock that a test moves."""

    def __init__(self, now_s=1_000_000.0):
        self.now_s = now_s

    def __call__(self):
        return self.now_s


class Reports(list):
    """What a source reported."""

    def __call__(self, reason):
        self.append(reason)


def part(value):
    """A part of a token: JSON, or bytes as they are."""
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=")


def hs256(claims, secret=SECRET, **header):
    """A token signed by hand, with any header and any payload."""
    signed = part({"alg": "HS256", "typ": "JWT", **header}) + b"." + part(claims)
    return signed + b"." + part(hmac.new(secret, signed, hashlib.sha256).digest())


async def assert_refused(verifier, token, reason):
    """The token is not accepted, for this reason."""
    with pytest.raises(BadToken, match=reason):
        await verifier.verify(token)
