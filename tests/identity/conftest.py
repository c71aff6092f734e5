"""A provider, and verifiers of its tokens."""

import pytest

from stockade.identity import JwksKeys, Refresh, TokenVerifier
from stockade.identity.testing import LocalIssuer
from tests.identity.parts import AUDIENCE


@pytest.fixture
def issuer():
    """A provider on this machine with one RS256 key."""
    with LocalIssuer() as made:
        yield made


@pytest.fixture
def verifier_of(issuer):
    """Function: options of the keys' refresh and of the verifier -> a verifier of the provider's tokens."""

    def make(*, refresh=None, keys=None, **options):
        found = keys or JwksKeys(issuer.jwks_url, refresh=Refresh(**(refresh or {"retry_s": 0.001})))
        return TokenVerifier(found, issuer=issuer.url, audience=AUDIENCE, **options)

    return make
