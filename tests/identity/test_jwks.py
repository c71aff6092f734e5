"""The keys of a provider: rotation without a restart, and a bound on all that the provider or a caller can do."""

import asyncio
import functools
import json
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import jwt
import pytest

from stockade.identity import BadKeys, JwksKeys, KeysUnavailable, Refresh, SecretFileKeys, SecretKeys, TokenVerifier
from stockade.identity.fetch import read
from stockade.identity.jwk_set import parse
from tests.identity.parts import AUDIENCE, Clock, Reports, assert_refused
from tests.waiting import eventually, eventually_async


def timed(keys, clock):
    """The same source with a clock that the test moves."""
    keys._clock = clock
    return keys


@pytest.mark.parametrize("algorithm", ["RS256", "ES256"])
async def test_a_new_key_needs_no_restart(issuer, verifier_of, algorithm):
    """The first token of a new key makes the keys be read once; both keys work until the old one is removed."""
    keys = JwksKeys(issuer.jwks_url, refresh=Refresh(retry_s=0.001))
    verifier = verifier_of(keys=keys)
    old = issuer.token("ann", audience=AUDIENCE)
    await verifier.verify(old)
    issuer.rotate("key-2", algorithm)
    new = issuer.token("ann", audience=AUDIENCE)
    await eventually_async(lambda: _accepted(verifier, new))
    assert (await verifier.verify(old)).user_id == "ann"
    assert issuer.requests == 2
    for _ in range(50):
        await verifier.verify(new)
    assert issuer.requests == 2


async def test_a_new_key_may_have_to_wait(issuer, verifier_of):
    """Within `retry_s` of the last reading a token of a new key is refused; from then on it is accepted."""
    clock = Clock()
    verifier = verifier_of(keys=timed(JwksKeys(issuer.jwks_url, refresh=Refresh(retry_s=10)), clock))
    await verifier.verify(issuer.token("ann", audience=AUDIENCE))
    issuer.rotate("key-2")
    new = issuer.token("ann", audience=AUDIENCE)
    clock.now_s += 9.9
    await assert_refused(verifier, new, "a key that is not known")
    assert issuer.requests == 1
    clock.now_s += 0.1
    assert (await verifier.verify(new)).user_id == "ann"


async def _accepted(verifier, token):
    try:
        return await verifier.verify(token)
    except ValueError:
        return None


async def test_a_removed_key_is_forgotten_with_what_it_verified(issuer, verifier_of):
    """After the next reading a token of a removed key is refused, although it was remembered and has not expired."""
    clock = Clock()
    keys = timed(JwksKeys(issuer.jwks_url, refresh=Refresh(refresh_s=300, retry_s=1)), clock)
    verifier = verifier_of(keys=keys)
    old = issuer.token("ann", audience=AUDIENCE)
    await verifier.verify(old)
    issuer.rotate("key-2")
    new = issuer.token("ann", audience=AUDIENCE)
    clock.now_s += 1
    await verifier.verify(new)
    issuer.remove("key-1")
    clock.now_s += 299
    assert (await verifier.verify(old)).user_id == "ann"  # the control: nothing was read again so far
    clock.now_s += 1
    await verifier.verify(new)  # begins to read in the background
    await eventually_async(lambda: _refused(verifier, old))
    assert (await verifier.verify(new)).user_id == "ann"
    assert {key.kid for _, key in verifier._known.values()} == {"key-2"}


def test_a_removed_key_of_the_local_issuer_still_signs(issuer):
    """Removed twice it is not published and signs as before; made again under its name it is published; an algorithm
    that the issuer cannot make is refused."""
    for _ in range(2):
        issuer.remove("key-1")
    assert issuer.jwks()["keys"] == []
    assert jwt.get_unverified_header(issuer.token("ann", audience=AUDIENCE, kid="key-1"))["alg"] == "RS256"
    issuer.rotate("key-1", "ES256")
    assert [(each["kid"], each["kty"]) for each in issuer.jwks()["keys"]] == [("key-1", "EC")]
    with pytest.raises(ValueError, match="must be RS256 or ES256, not 'EdDSA'"):
        issuer.rotate("key-2", "EdDSA")


async def _refused(verifier, token):
    return await _accepted(verifier, token) is None


async def test_a_service_that_nobody_used_reads_first(issuer, verifier_of):
    """After a long pause the first request waits for new keys: a removed key is not accepted once."""
    clock = Clock()
    keys = timed(JwksKeys(issuer.jwks_url, refresh=Refresh(refresh_s=300, retry_s=1)), clock)
    verifier = verifier_of(keys=keys)
    old = issuer.token("ann", audience=AUDIENCE)
    await verifier.verify(old)
    issuer.rotate("key-2")
    issuer.remove("key-1")
    clock.now_s += 600
    await assert_refused(verifier, old, "not known")


async def test_unknown_names_read_once_in_an_interval(issuer, verifier_of):
    """A thousand tokens with made-up names cause one reading in `retry_s`, and the right ones work meanwhile."""
    clock = Clock()
    keys = timed(JwksKeys(issuer.jwks_url, refresh=Refresh(refresh_s=300, retry_s=10)), clock)
    verifier = verifier_of(keys=keys)
    right = issuer.token("ann", audience=AUDIENCE)
    await verifier.verify(right)
    clock.now_s += 10
    forged = [issuer.token("ann", audience=AUDIENCE, headers={"kid": f"made-up-{n}"}) for n in range(100)]
    for round_ in range(2):
        ends = await asyncio.gather(*(verifier.verify(each) for each in forged), return_exceptions=True)
        assert all("not known" in str(each) for each in ends)
        assert (await verifier.verify(right)).user_id == "ann"
        assert issuer.requests == 2 + round_
        clock.now_s += 10
    assert len(verifier._known) == 1  # what was refused is not remembered


async def test_a_provider_that_is_down(issuer, verifier_of):
    """Old keys work until `keep_s`; then requests get 503 and not 401; it is reported once; a return is noticed."""
    clock, reports, up = Clock(), Reports(), issuer.respond
    refresh = Refresh(refresh_s=300, retry_s=10, keep_s=1_000)
    keys = timed(JwksKeys(issuer.jwks_url, refresh=refresh, report=reports), clock)
    verifier = verifier_of(keys=keys)
    token = issuer.token("ann", audience=AUDIENCE, valid_s=100_000)
    await verifier.verify(token)
    issuer.respond = lambda path: (500, b"")
    for age_s in (300, 600, 900, 999):
        clock.now_s = 1_000_000 + age_s
        assert (await verifier.verify(token)).user_id == "ann"
        eventually(lambda: not keys._running)
    clock.now_s = 1_000_000 + 1_000
    with pytest.raises(KeysUnavailable) as down:
        await verifier.verify(token)
    assert (down.value.code, down.value.retry_after_s) == ("DEPENDENCY_DOWN", 10)
    eventually(lambda: reports == ["127.0.0.1 answered 500 instead of 200"])
    issuer.respond = up
    clock.now_s += 10
    assert (await verifier.verify(token)).user_id == "ann"
    eventually(lambda: reports[1:] == [None])


async def test_a_provider_that_was_never_there(verifier_of):
    """Without keys every token is 503, and the provider is asked at most once in `retry_s`."""
    keys = JwksKeys("http://127.0.0.1:1/jwks.json", refresh=Refresh(retry_s=60))
    verifier = TokenVerifier(keys, issuer="i", audience="a")
    for _ in range(5):
        with pytest.raises(KeysUnavailable):
            await verifier.verify("x.y.z")
    assert keys.loads == 1


async def test_a_slow_provider_blocks_nobody(issuer, verifier_of):
    """While a reading hangs, the event loop runs, remembered tokens work, and who needs the keys waits for `wait_s`."""
    hang, up = threading.Event(), issuer.respond
    keys = JwksKeys(issuer.jwks_url, refresh=Refresh(retry_s=0.001, wait_s=0.3))
    verifier = verifier_of(keys=keys)
    right = issuer.token("ann", audience=AUDIENCE)
    await verifier.verify(right)
    issuer.rotate("key-2")
    issuer.respond = lambda path: (hang.wait(30), up(path))[1]
    begun_s = time.monotonic()
    waiting = asyncio.create_task(verifier.verify(issuer.token("ann", audience=AUDIENCE)))
    turns = 0
    async with asyncio.timeout(10):
        while not waiting.done():
            await verifier.verify(right)
            turns += 1
            await asyncio.sleep(0)
    hang.set()
    with pytest.raises(ValueError, match="not known"):
        await waiting
    assert turns > 100
    assert 0.2 < time.monotonic() - begun_s < 5


async def test_a_request_that_is_cancelled_harms_no_other(issuer, verifier_of):
    """Who gives up its wait takes nothing from those that wait for the same reading."""
    hang, up = threading.Event(), issuer.respond
    issuer.respond = lambda path: (hang.wait(30), up(path))[1]
    verifier = verifier_of(refresh={"wait_s": 20})
    token = issuer.token("ann", audience=AUDIENCE)
    first, second = (asyncio.create_task(verifier.verify(token)) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    hang.set()
    assert (await second).user_id == "ann"
    assert first.cancelled()
    assert issuer.requests == 1


def test_an_event_loop_that_has_ended_is_no_defect(issuer, verifier_of):
    """A reading that outlives the loop which began it is used by the next loop."""
    hang, up = threading.Event(), issuer.respond
    issuer.respond = lambda path: (hang.wait(30), up(path))[1]
    keys = JwksKeys(issuer.jwks_url, refresh=Refresh(retry_s=0.001, wait_s=0.01))
    verifier = verifier_of(keys=keys)
    token = issuer.token("ann", audience=AUDIENCE)
    with pytest.raises(KeysUnavailable):
        asyncio.run(verifier.verify(token))
    hang.set()
    eventually(lambda: not keys._running)
    assert asyncio.run(verifier.verify(token)).user_id == "ann"


@pytest.mark.parametrize(
    ("status", "body", "reason"),
    [
        (200, b"x" * 300_000, "more than 262,144 bytes"),
        (200, b"not json", "no JWK Set"),
        (200, b"[]", "no JWK Set"),
        (200, b'{"keys": {}}', "no list"),
        (200, b'{"keys": []}', "none of the 0 keys"),
        (200, b'{"keys": [' + b",".join([b"{}"] * 101) + b"]}", "101 keys; at most 100"),
        (200, b"[" * 100_000, "no JWK Set"),
        (302, b"", "answered 302 instead of 200"),
        (404, b"", "answered 404"),
    ],
)
async def test_a_document_that_cannot_be_used(issuer, verifier_of, status, body, reason):
    """It is named, it replaces no key, and the next right one is used."""
    reports, up = Reports(), issuer.respond
    keys = JwksKeys(issuer.jwks_url, refresh=Refresh(retry_s=0.001), report=reports)
    verifier = verifier_of(keys=keys)
    token = issuer.token("ann", audience=AUDIENCE)
    issuer.respond = lambda path: (status, body)
    with pytest.raises(KeysUnavailable):
        await verifier.verify(token)
    eventually(reports.copy)
    assert reason in reports[0]
    issuer.respond = up
    await eventually_async(lambda: _available(verifier, token))


async def _available(verifier, token):
    try:
        return await verifier.verify(token)
    except KeysUnavailable:
        return None


def test_what_is_taken_from_a_document(issuer):
    """Symmetric keys, keys for encryption, short, huge and broken keys are left out; private members are not read."""
    issuer.rotate("curve", "ES256")
    rsa_key, curve = issuer.jwks()["keys"]
    both = frozenset({"RS256", "ES256"})
    document = [
        rsa_key,
        curve,
        {"kty": "oct", "kid": "secret", "k": "c2VjcmV0", "alg": "HS256"},
        {**rsa_key, "kid": "for-encryption", "use": "enc"},
        {**rsa_key, "kid": "signs-only", "key_ops": ["sign"]},
        {**rsa_key, "kid": "odd-operations", "key_ops": 7},
        {**rsa_key, "kid": "another-algorithm", "alg": "PS256"},
        {**rsa_key, "kid": "short", "n": rsa_key["n"][:100]},
        {**rsa_key, "kid": "huge", "n": "A" * 1_401},
        {**rsa_key, "kid": "broken", "n": "!"},
        {**rsa_key, "kid": ["no", "text"]},
        {**curve, "kid": "another-curve", "crv": "P-384"},
        {**curve, "kid": "not-on-it", "x": curve["y"]},
        {"kty": "OKP", "crv": "Ed25519", "kid": "edwards", "x": "AA"},
        "no object",
        None,
    ]
    found = parse(json.dumps({"keys": document}).encode(), both)
    assert [(key.kid, key.algorithm) for key in found] == [("key-1", "RS256"), ("curve", "ES256")]
    with_private = json.dumps({"keys": [{**rsa_key, "d": "AQAB", "p": "AQAB", "q": "AQAB"}]}).encode()
    assert not hasattr(parse(with_private, both)[0].material, "private_numbers")


async def test_a_token_without_a_name(issuer, verifier_of):
    """It is verified with the only key of its algorithm; where there are two, it is refused."""
    import jwt

    claims = jwt.decode(issuer.token("ann", audience=AUDIENCE), options={"verify_signature": False})
    nameless = jwt.encode(claims, issuer.private_key("key-1"), algorithm="RS256")
    assert (await verifier_of().verify(nameless)).user_id == "ann"
    issuer.rotate("key-2")
    await assert_refused(verifier_of(), nameless, "not known")


async def test_a_file_of_keys(issuer, verifier_of, tmp_path):
    """A JWK Set in a file works like one behind a URL, and a changed file needs no restart."""
    path = tmp_path / "jwks.json"
    path.write_text(json.dumps(issuer.jwks()))
    for address in (str(path), path.as_uri()):
        verifier = verifier_of(keys=JwksKeys(address, refresh=Refresh(retry_s=0.001)))
        assert (await verifier.verify(issuer.token("ann", audience=AUDIENCE))).user_id == "ann"
        issuer.rotate(f"key-{address[:4]}")
        path.write_text(json.dumps(issuer.jwks()))
        new = issuer.token("bob", audience=AUDIENCE)
        await eventually_async(functools.partial(_accepted, verifier, new))


async def test_discovery(issuer, verifier_of):
    """The address of the keys is read from the issuer, whose document must name the same issuer."""
    verifier = verifier_of(keys=JwksKeys.of_issuer(issuer.url))
    assert (await verifier.verify(issuer.token("ann", audience=AUDIENCE))).user_id == "ann"
    up = issuer.respond
    wrong = [
        ({"issuer": "https://other", "jwks_uri": issuer.jwks_url}, "another issuer"),
        ({"issuer": issuer.url, "jwks_uri": "http://id.example/jwks"}, "must be https"),
        ({"issuer": issuer.url, "jwks_uri": "file:///etc/passwd"}, "no URL"),
        ({"issuer": issuer.url, "jwks_uri": 7}, "no URL"),
        ({"issuer": issuer.url}, "no JSON object"),
        ([], "no JSON object"),
    ]
    for document, reason in wrong:
        issuer.respond = lambda path, body=document: (200, json.dumps(body).encode()) if "known" in path else up(path)
        reports = Reports()
        refused = verifier_of(keys=JwksKeys.of_issuer(issuer.url, report=reports))
        with pytest.raises(KeysUnavailable):
            await refused.verify(issuer.token("ann", audience=AUDIENCE))
        eventually(reports.copy)
        assert reason in reports[0]


def test_discovery_and_keys_share_the_time(issuer, monkeypatch):
    """Where the address is found late, the keys have only the rest of `wait_s`."""
    clock, waits = Clock(), []

    def slow(address, *, max_bytes, wait_s):
        waits.append(wait_s)
        clock.now_s += 3
        return read(address, max_bytes=max_bytes, wait_s=5)

    monkeypatch.setattr("stockade.identity.jwks_keys.read", slow)
    monkeypatch.setattr("stockade.identity.jwks_keys.time", SimpleNamespace(monotonic=clock), raising=False)
    JwksKeys.of_issuer(issuer.url, refresh=Refresh(wait_s=5))._read()
    assert waits == [5, 2]


def test_a_provider_needs_issuer_and_audience(issuer):
    """Its keys sign tokens of other services too: without both, the verifier is not made."""
    for given in ({}, {"issuer": "i"}, {"audience": "a"}, {"issuer": "i", "audience": ["", ""]}):
        with pytest.raises(ValueError, match="need issuer and audience"):
            TokenVerifier(JwksKeys(issuer.jwks_url), **given)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: JwksKeys(None), "the address of the keys must be a text, not None"),
        (lambda: JwksKeys(Path("keys.json")), "the address of the keys must be a text, not a value"),
        (lambda: JwksKeys.of_issuer(None), "the issuer must be a text, not None"),
        (lambda: SecretKeys(None), "the secrets must be a mapping of names to secrets, not None"),
        (lambda: SecretKeys({"new": None}), "the secret new must be text or bytes, not None"),
        (
            lambda: SecretKeys({}, without_name=7),
            "the secret of tokens without a name must be text or bytes",
        ),
        (
            lambda: SecretFileKeys("secrets"),
            "the file of the secrets must be a pathlib.Path, not a value of the type str",
        ),
        (lambda: Refresh(retry_s=None), "retry_s must be a number of seconds above 0, not None"),
        (lambda: TokenVerifier("secret"), "keys must be SecretKeys, SecretFileKeys or JwksKeys, not a value"),
        (lambda: TokenVerifier(SecretKeys({"new": "s" * 32}), issuer=None), "issuer must be a text, not None"),
        (
            lambda: TokenVerifier(SecretKeys({"new": "s" * 32}), audience=None),
            "audience must be a text or several",
        ),
    ],
)
def test_what_is_no_key_is_said_when_it_is_made(make, says):
    """A value of another type, such as a variable of the environment that is not set, is named at once."""
    with pytest.raises(ValueError, match=says):
        make()


def test_times_and_algorithms_that_cannot_be(issuer):
    """What would never refresh, or would accept a secret, is refused when the source is made."""
    for wrong in ({"refresh_s": 0}, {"retry_s": -1}, {"wait_s": float("inf")}, {"refresh_s": 10, "keep_s": 5}):
        with pytest.raises(ValueError, match=r"must"):
            Refresh(**wrong)
    for algorithms in ([], ["HS256"], ["RS256", "none"]):
        with pytest.raises(BadKeys, match="RS256 and ES256"):
            JwksKeys(issuer.jwks_url, algorithms=algorithms)
