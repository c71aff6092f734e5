"""Claims: whose a token is, for whom, from when until when, and who is an administrator."""

import pytest

from stockade.identity import SecretKeys, TokenVerifier
from stockade.identity.claims import claim_at
from tests.identity.parts import SECRET, Clock, assert_refused, hs256

NOW_S = 1_000_000
KEYS = SecretKeys({}, without_name=SECRET)


def verifier(**options):
    return TokenVerifier(KEYS, clock=Clock(NOW_S), **{"leeway_s": 10, **options})


def claims(**changed):
    found = {"sub": "ann", "exp": NOW_S + 100, **changed}
    return {name: value for name, value in found.items() if value is not ...}


async def test_a_token_names_its_user():
    """The control of this page: a token with nothing wrong is accepted, at the first and at the second sight."""
    checked = verifier()
    for _ in range(2):
        assert await checked.verify(hs256(claims())) == ("ann", False, NOW_S + 100, "ann")
    assert await checked.verify(hs256(claims()).decode()) == ("ann", False, NOW_S + 100, "ann")


@pytest.mark.parametrize(
    ("name", "shift_s", "reason"),
    [
        ("exp", -10, "expired"),
        ("exp", -9, None),
        ("nbf", 11, "not valid yet"),
        ("nbf", 10, None),
        ("iat", 11, "not valid yet"),
        ("iat", 10, None),
    ],
)
async def test_times_have_a_leeway_and_no_more(name, shift_s, reason):
    """A time may be wrong by the leeway; one second further it is refused, a future nbf and iat too."""
    token = hs256(claims(**{name: NOW_S + shift_s}))
    if reason is None:
        assert (await verifier().verify(token)).user_id == "ann"
    else:
        await assert_refused(verifier(), token, reason)


async def test_a_remembered_token_ends_at_its_end():
    """The cache accepts a token until exp and the leeway, and not a second longer."""
    clock = Clock(NOW_S)
    checked, token = TokenVerifier(KEYS, clock=clock, leeway_s=10), hs256(claims())
    await checked.verify(token)
    clock.now_s += 109
    await checked.verify(token)
    clock.now_s += 1
    await assert_refused(checked, token, "expired")
    assert not checked._known


@pytest.mark.parametrize("value", ["soon", True, None, [], "1000100", float("inf"), 10**400, ...])
async def test_an_end_that_is_no_number(value):
    """A token without a readable end would never end."""
    await assert_refused(verifier(), hs256(claims(exp=value)), "exp|cannot be read")


async def test_not_a_number_is_no_time():
    """NaN compares with nothing, so a token with it would never end."""
    await assert_refused(verifier(), hs256(b'{"sub":"ann","exp":NaN}'), "cannot be read")


@pytest.mark.parametrize("payload", [b"[]", b"null", b"{", b"\xff", b"[" * 3_000, b'"text"'])
async def test_claims_that_are_no_object(payload):
    """What is signed and no JSON object names nobody."""
    await assert_refused(verifier(), hs256(payload), "cannot be read")


@pytest.mark.parametrize(
    ("own", "issued", "accepted"),
    [
        ({"issuer": "https://id"}, {"iss": "https://id"}, True),
        ({"issuer": "https://id"}, {"iss": "https://id/"}, False),
        ({"issuer": "https://id"}, {"iss": ["https://id"]}, False),
        ({"issuer": "https://id"}, {}, False),
        ({"audience": "shop"}, {"aud": "shop"}, True),
        ({"audience": "shop"}, {"aud": ["other", "shop"]}, True),
        ({"audience": ["shop", "api"]}, {"aud": "api"}, True),
        ({"audience": "shop"}, {"aud": "shops"}, False),
        ({"audience": "shop"}, {"aud": ["other"]}, False),
        ({"audience": "shop"}, {"aud": {"shop": 1}}, False),
        ({"audience": "shop"}, {}, False),
        ({}, {"iss": "anyone", "aud": "anything"}, True),
    ],
)
async def test_issuer_and_audience(own, issued, accepted):
    """Both must be exactly right where they are set."""
    token = hs256(claims(**issued))
    if accepted:
        assert (await verifier(**own).verify(token)).user_id == "ann"
    else:
        await assert_refused(verifier(**own), token, "issuer|audience")


@pytest.mark.parametrize(
    ("claim", "value", "issued", "admin"),
    [
        ("adm", "true", {"adm": True}, True),
        ("adm", "true", {"adm": False}, False),
        ("adm", "true", {"adm": 1}, False),
        ("adm", "true", {}, False),
        ("roles", "shop-admin", {"roles": ["buyer", "shop-admin"]}, True),
        ("roles", "shop-admin", {"roles": ["shop-admin-of-nothing"]}, False),
        ("roles", "shop-admin", {"roles": [["shop-admin"]]}, False),
        ("roles", "shop-admin", {"roles": "shop-admin"}, True),
        ("roles", "shop-admin", {"roles": {"shop-admin": True}}, False),
        ("roles", "true", {"roles": [True]}, False),
        ("scope", "shop:admin", {"scope": "openid shop:admin email"}, True),
        ("scope", "shop:admin", {"scope": "openid shop:administer"}, False),
        ("realm_access.roles", "shop-admin", {"realm_access": {"roles": ["shop-admin"]}}, True),
        ("realm_access.roles", "shop-admin", {"realm_access": ["shop-admin"]}, False),
        ("https://shop.example/roles", "shop-admin", {"https://shop.example/roles": ["shop-admin"]}, True),
        ("access.my.client.roles", "a", {"access": {"my.client": {"roles": ["a"]}}}, True),
        ("", "true", {"adm": True, "": True}, False),
    ],
)
async def test_who_is_an_administrator(claim, value, issued, admin):
    """The claim and its value are settings; arrays, paths and scopes work, and nothing that only looks alike."""
    checked = verifier(admin_claim=claim, admin_value=value)
    assert (await checked.verify(hs256(claims(**issued)))).admin is admin


async def test_the_user_is_any_claim():
    """The user comes from the claim that the settings name, also from a nested one, and from no other."""
    issued = hs256(claims(email="ann@example.com", email_verified=True, ext={"login": "ann-1"}))
    assert (await verifier(user_claim="email").verify(issued)).user_id == "ann@example.com"
    assert (await verifier(user_claim="ext.login").verify(issued)).user_id == "ann-1"
    await assert_refused(verifier(user_claim="upn"), issued, "names no user")


@pytest.mark.parametrize("subject", ["", None, 7, True, ["ann"], {"id": "ann"}, "a\nb", "\ud800", "x" * 256, ...])
async def test_a_subject_that_is_nobody(subject):
    """A user is a text that can be stored and shown."""
    await assert_refused(verifier(), hs256(claims(sub=subject)), "names no")


@pytest.mark.parametrize(
    ("verified", "accepted"),
    [
        (True, True),
        ("true", True),
        (1, True),
        (..., False),
        (False, False),
        ("false", False),
        (None, False),
        ("", False),
    ],
)
@pytest.mark.parametrize("path", ["email", "profile.email", "profile.of.email"])
async def test_an_address_is_a_user_only_when_it_was_verified(path, verified, accepted):
    """Whoever may write any address into a profile must not become its owner here, also where nothing is claimed."""
    held = {"email": "ann@example.com", **({} if verified is ... else {"email_verified": verified})}
    for name in reversed(path.split(".")[:-1]):
        held = {name: held}
    checked = verifier(user_claim=path)
    if accepted:
        assert (await checked.verify(hs256(claims(**held)))).user_id == "ann@example.com"
    else:
        await assert_refused(checked, hs256(claims(**held)), "not verified")


@pytest.mark.parametrize(
    ("issued", "accepted"),
    [
        ({"a.email": "ann@example.com", "a.email_verified": True}, True),
        ({"a": {"email": "ann@example.com", "email_verified": True}}, True),
        ({"a.email": "ann@example.com", "a": {"email_verified": True}}, False),
        ({"a": {"email": "ann@example.com"}, "a.email_verified": True}, False),
        ({"a": {"email": "ann@example.com"}, "email_verified": True}, False),
    ],
)
async def test_only_the_claim_beside_an_address_verifies_it(issued, accepted):
    """What another object says is about another address."""
    checked = verifier(user_claim="a.email")
    if accepted:
        assert (await checked.verify(hs256(claims(**issued)))).user_id == "ann@example.com"
    else:
        await assert_refused(checked, hs256(claims(**issued)), "not verified")


async def test_other_claims_need_no_verified_address():
    """The control: only a claim named `email` needs one beside it."""
    issued = hs256(claims(login_email="ann@example.com", ext={"upn": "ann@example.com"}))
    for path in ("login_email", "ext.upn"):
        assert (await verifier(user_claim=path).verify(issued)).user_id == "ann@example.com"


async def test_tokens_of_another_kind_are_refused():
    """A logout token of the same issuer is no access token; both names of an access token are."""
    await assert_refused(verifier(), hs256(claims(), typ="logout+jwt"), "no access token")
    await assert_refused(verifier(), hs256(claims(), typ=7), "no access token")
    for kind in ("at+jwt", "application/at+jwt", "jwt"):
        assert (await verifier().verify(hs256(claims(), typ=kind))).user_id == "ann"


async def test_the_cache_is_bounded():
    """Many tokens do not grow the memory, and a forgotten one is simply verified again."""
    checked = verifier(cache_size=3)
    tokens = [hs256(claims(sub=f"user-{number}")) for number in range(10)]
    for _ in range(2):
        users = [(await checked.verify(token)).user_id for token in tokens]
        assert users == [f"user-{number}" for number in range(10)]
        assert len(checked._known) == 3
    assert all(len(each) == 32 for each in checked._known)  # a hash, whatever the token's length


def test_a_path_takes_the_longest_name():
    """A name with dots is found as it stands, before its dots are taken for a path."""
    assert claim_at({"a.b": 1, "a": {"b": 2}}, "a.b") == 1
    assert claim_at({"a": {"b": 2}}, "a.b") == 2
    assert claim_at({"a": {"b": 2}}, "a.b.c") is None
    assert claim_at({"a": {"b": 2}}, ".a") is None


@pytest.mark.parametrize(
    "wrong", [{"leeway_s": -1}, {"leeway_s": 301}, {"leeway_s": float("nan")}, {"user_claim": ""}, {"cache_size": 0}]
)
def test_options_that_cannot_be(wrong):
    """A wrong option is told when the verifier is made."""
    with pytest.raises(ValueError, match="must"):
        verifier(**wrong)
