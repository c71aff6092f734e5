"""Secrets with names: they rotate, and tokens from before there were names stay valid."""

import logging

import pytest

from stockade.identity import BadKeys, Refresh, SecretFileKeys, SecretKeys, TokenVerifier
from stockade.identity.secret_keys import parse_secrets
from tests.identity.parts import SECRET, assert_refused, hs256
from tests.waiting import eventually_async

OLD, NEW = b"the old secret of the service", b"the new secret of the service"
CLAIMS = {"sub": "ann", "exp": 9_999_999_999}
BEFORE = b"eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJhbm4iLCJleHAiOjQxMDI0NDQ4MDAsImFkbSI6dHJ1ZX0."
BEFORE += b"qbWjH2hyMVMhP7mkfpcuButl0SMjAXgT-rLr1FGhLzU"  # of `stockade token ann --admin` 0.1.0, until 2100


async def test_a_token_of_version_0_1_is_valid():
    """A token that was issued before this module was written is accepted as it was."""
    verifier = TokenVerifier(SecretKeys({}, without_name="sixteen bytes or more"), admin_claim="adm")
    assert (await verifier.verify(BEFORE))[:3] == ("ann", True, 4_102_444_800)
    await assert_refused(verifier, BEFORE[:-4] + b"AAAU", "signature is wrong|no JSON Web Token")


async def test_secrets_by_name():
    """Each token is verified with the secret that it names, and with no other one."""
    verifier = TokenVerifier(SecretKeys({"new": NEW, "old": OLD}, without_name=SECRET))
    for secret, header in ((NEW, {"kid": "new"}), (OLD, {"kid": "old"}), (SECRET, {})):
        assert (await verifier.verify(hs256(CLAIMS, secret, **header))).user_id == "ann"
    await assert_refused(verifier, hs256(CLAIMS, OLD, kid="new"), "signature is wrong")
    await assert_refused(verifier, hs256(CLAIMS, OLD), "signature is wrong")
    await assert_refused(verifier, hs256(CLAIMS, NEW, kid="other"), "not known")
    await assert_refused(verifier, hs256(CLAIMS, NEW, kid=7), "no JSON Web Token")


async def test_without_a_secret_for_them_nameless_tokens_are_refused():
    """Where all secrets have names, a token must name one, also when there is only one."""
    await assert_refused(TokenVerifier(SecretKeys({"new": NEW})), hs256(CLAIMS, NEW), "not known")


def written(path, text, mode=0o600):
    path.write_text(text)
    path.chmod(mode)


async def test_a_file_rotates_without_a_restart(tmp_path):
    """A new line is noticed at its first token; a removed one ends what it has verified."""
    path = tmp_path / "secrets"
    written(path, f"# of 2026\n\nold = {OLD.decode()}\n")
    keys = SecretFileKeys(path, refresh=Refresh(refresh_s=0.02, retry_s=0.001))
    verifier = TokenVerifier(keys)
    old, new = hs256(CLAIMS, OLD, kid="old"), hs256(CLAIMS, NEW, kid="new")
    assert (await verifier.verify(old)).user_id == "ann"
    await assert_refused(verifier, new, "not known")
    written(path, f"new = {NEW.decode()}\nold = {OLD.decode()}\n")
    await eventually_async(lambda: _accepted(verifier, new))
    assert (await verifier.verify(old)).user_id == "ann"
    assert keys.secrets() == [NEW, OLD]
    written(path, f"new={NEW.decode()}\n")
    await eventually_async(lambda: _refused(verifier, old))
    assert (await verifier.verify(new)).user_id == "ann"


async def _accepted(verifier, token):
    try:
        return await verifier.verify(token)
    except ValueError:
        return None


async def _refused(verifier, token):
    return await _accepted(verifier, token) is None


@pytest.mark.parametrize(
    ("text", "mode", "reason"),
    [
        ("a = short\n", 0o600, "less than 16 bytes"),
        ("just-a-secret-without-a-name\n", 0o600, "entry 1 is not name=secret"),
        ("a = 0123456789abcdef\na = 0123456789abcdef\n", 0o600, "the name of another"),
        ("".join(f"k{n} = 0123456789abcdef\n" for n in range(21)), 0o600, "at most 20"),
        ("# nothing\n", 0o600, "no secret"),
        ("x" * 70_000, 0o600, "more than 65,536 bytes"),
        ("a = 0123456789abcdef\n", 0o640, "can be read by others"),
    ],
)
def test_a_file_that_cannot_be_used(tmp_path, text, mode, reason):
    """The message says what to do, and quotes no secret."""
    written(tmp_path / "secrets", text, mode)
    with pytest.raises(BadKeys, match=reason) as bad:
        SecretFileKeys(tmp_path / "secrets")
    assert not any(each in str(bad.value) for each in ("0123456789", "short", "just-a-secret"))


def test_a_file_that_is_not_there(tmp_path):
    """It is named."""
    with pytest.raises(BadKeys, match=r"cannot read .*none: No such file"):
        SecretFileKeys(tmp_path / "none")


def test_secrets_in_a_setting():
    """The order is kept: the first one signs. Blanks around names do not count, and `=` may stand in a secret."""
    assert list(parse_secrets("b=two=2, a = one ,").items()) == [("b", "two=2"), ("a", "one")]


def test_keys_show_no_secret(caplog):
    """Neither the text of a key nor a log holds its secret."""
    keys = SecretKeys({"new": NEW})
    with caplog.at_level(logging.DEBUG):
        shown = [repr(keys), repr(list(keys.at_hand())), repr(TokenVerifier(keys)), caplog.text]
    assert not any(NEW.decode() in each for each in shown)
