"""No token chooses how it is verified. Each forgery has its control: the same token, signed as it should be."""

import json

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import RSAAlgorithm

from stockade.identity import BadToken, JwksKeys, SecretKeys, TokenVerifier
from tests.identity.parts import AUDIENCE, SECRET, assert_refused, hs256, part


@pytest.fixture
def claims(issuer):
    """Claims that the provider would sign, for an administrator."""
    found = jwt.decode(issuer.token("mallory", audience=AUDIENCE, adm=True), options={"verify_signature": False})
    return {**found, "exp": 9_999_999_999}


@pytest.fixture
def checked(verifier_of):
    """A verifier of the provider's tokens."""
    return verifier_of(admin_claim="adm")


async def test_the_providers_own_token_is_accepted(issuer, checked, claims):
    """The control of this page: these claims, signed by the provider, are accepted."""
    own = jwt.encode(claims, issuer.private_key("key-1"), algorithm="RS256", headers={"kid": "key-1"})
    assert (await checked.verify(own))[:2] == ("mallory", True)


@pytest.mark.parametrize("name", ["none", "None", "NONE", "nOnE", "", None, 7, ["RS256"], {"RS256": 1}])
async def test_no_signature(checked, claims, name):
    """A token that says it needs no signature is refused, however it says it."""
    for signature in (b"", part(b"x")):
        forged = part({"alg": name, "typ": "JWT", "kid": "key-1"}) + b"." + part(claims) + b"." + signature
        await assert_refused(checked, forged, "algorithm|no JSON Web Token")


async def test_a_header_without_an_algorithm(checked, claims):
    """A token that names no algorithm gets none."""
    await assert_refused(checked, part({"kid": "key-1"}) + b"." + part(claims) + b".", "algorithm|no JSON Web Token")


@pytest.mark.parametrize("form", ["pem", "jwk", "modulus"])
async def test_the_public_key_as_a_secret(issuer, checked, claims, form):
    """HS256 with the public key as its secret, which everybody knows, is refused."""
    public = issuer.private_key("key-1").public_key()
    kinds = serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    secret = {
        "pem": public.public_bytes(*kinds),
        "jwk": RSAAlgorithm.to_jwk(public).encode(),
        "modulus": public.public_numbers().n.to_bytes(256, "big"),
    }[form]
    await assert_refused(checked, hs256(claims, secret, kid="key-1"), "algorithm is not ES256 or RS256")


async def test_a_public_key_under_secrets(issuer, claims):
    """Where secrets are set, a token that a provider signed with RS256 is refused."""
    own = TokenVerifier(SecretKeys({"key-1": SECRET}))
    forged = jwt.encode(claims, issuer.private_key("key-1"), algorithm="RS256", headers={"kid": "key-1"})
    await assert_refused(own, forged, "algorithm is not HS256")
    assert (await own.verify(hs256(claims, kid="key-1"))).user_id == "mallory"


@pytest.mark.parametrize("name", ["HS384", "HS512", "RS384", "PS256", "ES384", "EdDSA"])
async def test_other_algorithms(issuer, checked, claims, name):
    """Only the algorithms of the source are accepted, although PyJWT knows others and the key could sign with them."""
    key = {"H": SECRET + b"x" * 40, "R": issuer.private_key("key-1"), "P": issuer.private_key("key-1")}.get(name[0])
    if key is None:
        key = ec.generate_private_key(ec.SECP384R1())
    if name == "EdDSA":
        token = part({"alg": "EdDSA", "kid": "key-1"}) + b"." + part(claims) + b"." + part(b"x" * 64)
    else:
        token = jwt.encode(claims, key, algorithm=name, headers={"kid": "key-1"})
    await assert_refused(checked, token, "algorithm is not ES256 or RS256")


async def test_an_algorithm_that_the_settings_leave_out(issuer, verifier_of, claims):
    """With ES256 only, a right RS256 token of the same provider is refused."""
    issuer.rotate("curve", "ES256")
    only = verifier_of(keys=JwksKeys(issuer.jwks_url, algorithms=["ES256"]))
    await assert_refused(only, issuer.token("ann", audience=AUDIENCE, kid="key-1"), "algorithm is not ES256")
    assert (await only.verify(issuer.token("ann", audience=AUDIENCE))).user_id == "ann"


async def test_keys_in_the_header_are_ignored(issuer, checked, claims):
    """jwk, jku, x5u and x5c of a forged token are not used, nor fetched; the same headers do not harm a right token."""
    mine = rsa.generate_private_key(public_exponent=65_537, key_size=2_048)
    jwk = json.loads(RSAAlgorithm.to_jwk(mine.public_key()))
    headers = {
        "jwk": {**jwk, "kid": "key-1"},
        "jku": f"{issuer.url}/evil.json",
        "x5u": f"{issuer.url}/evil.pem",
        "x5c": ["MIIB"],
        "kid": "key-1",
    }
    seen = []
    answer = issuer.respond
    issuer.respond = lambda path: (seen.append(path), answer(path))[1]
    await assert_refused(checked, jwt.encode(claims, mine, algorithm="RS256", headers=headers), "signature is wrong")
    right = jwt.encode(claims, issuer.private_key("key-1"), algorithm="RS256", headers=headers)
    assert (await checked.verify(right)).user_id == "mallory"
    assert set(seen) == {"/jwks.json"}


async def test_critical_headers_are_refused(checked, issuer):
    """A token that asks for an extension which nobody knows here is refused (RFC 7515, 4.1.11)."""
    token = issuer.token("ann", audience=AUDIENCE, headers={"crit": ["exp"]})
    await assert_refused(checked, token, "critical|no JSON Web Token")


async def test_changed_claims_are_refused(issuer, checked):
    """A signature is of one payload only."""
    header, _, signature = issuer.token("ann", audience=AUDIENCE).encode().split(b".")
    _, payload, _ = issuer.token("bob", audience=AUDIENCE).encode().split(b".")
    await assert_refused(checked, b".".join((header, payload, signature)), "signature is wrong")


@pytest.mark.parametrize(
    "token", [b"", b".", b"..", b"." * 5, b"\xff" * 30, b"a.b.c", "é.é.é", "\ud800", part(b"[" * 3_000) + b".e30.e30"]
)
async def test_what_is_no_token(checked, token):
    """Malformed text is refused like a wrong token, not with a defect of the service."""
    await assert_refused(checked, token, "no JSON Web Token|algorithm")


async def test_a_huge_token_is_not_read(checked):
    """The length is checked before anything else."""
    await assert_refused(checked, b"x" * 8_193, "more than 8,192 bytes")


async def test_no_message_holds_the_token(issuer, checked):
    """What is refused is not quoted: logs and answers would keep it."""
    token = issuer.token("hidden-user", audience="hidden-audience", other="hidden-value")
    with pytest.raises(BadToken) as bad:
        await checked.verify(token)
    assert not any(each in str(bad.value) for each in (*token.split("."), "hidden"))
