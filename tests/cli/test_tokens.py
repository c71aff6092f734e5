"""Tokens: whose they are, when they end, and that nobody else can make one."""

import base64
import json
import os
import stat
import subprocess
import sys

import pytest

from stockade.shop.config.settings import BadSetting, Settings
from stockade.shop.tokens import SECRET_FILE, BadToken, Tokens, token_secret

SECRET = b"sixteen bytes or more"


class Clock:
    """A wall clock that a test moves."""

    now_s = 1_000_000.0

    def __call__(self):
        return self.now_s


def part(value):
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=")


def test_a_token_speaks_for_its_user_until_its_end():
    """User and flag are read back, also from the cache, and the end is the end there too."""
    clock = Clock()
    tokens = Tokens(SECRET, clock)
    token = tokens.issue("ann", valid_s=10, admin=True).encode()
    for _ in range(2):
        assert tokens.caller(token)[:2] == ("ann", True)
    clock.now_s += 10
    for _ in range(2):
        with pytest.raises(BadToken, match="expired"):
            tokens.caller(token)
    assert not tokens.caller(tokens.issue("ann", valid_s=10).encode()).admin


def test_a_token_of_another_secret_is_refused():
    """Only the holder of the secret can make tokens."""
    stranger = Tokens(b"another secret of some length")
    with pytest.raises(BadToken, match="signature"):
        Tokens(SECRET).caller(stranger.issue("ann", valid_s=10).encode())


def test_changed_claims_and_other_algorithms_are_refused():
    """A token with other claims, without a signature, or that names its own algorithm is not one of ours."""
    tokens = Tokens(SECRET)
    header, claims, signature = tokens.issue("ann", valid_s=10).encode().split(b".")
    admin = part({"sub": "ann", "exp": 9_999_999_999, "adm": True})
    none = part({"alg": "none", "typ": "JWT"})
    forged = [
        header + b"." + admin + b"." + signature,
        none + b"." + admin + b".",
        none + b"." + claims + b"." + signature,
        header + b"." + claims + b".",
        header + b"." + claims,
        b"",
        b"." * 5,
        b"\xff" * 30,
        b"x" * 5_000,
    ]
    for token in forged:
        with pytest.raises(BadToken):
            tokens.caller(token)


def test_the_cache_is_bounded():
    """Many tokens do not grow the memory, and a forgotten one is simply checked again."""
    tokens = Tokens(SECRET, cache_size=3)
    issued = [tokens.issue(f"user-{number}", valid_s=10).encode() for number in range(10)]
    for _ in range(2):
        assert [tokens.caller(token).user_id for token in issued] == [f"user-{number}" for number in range(10)]
        assert len(tokens._known) == 3


@pytest.mark.parametrize("user", ["", "a b", "x" * 65, "é", "a\n", "a/b"])
def test_a_user_id_that_cannot_be_one(user):
    """The issuer refuses what the API would refuse."""
    with pytest.raises(ValueError, match="allowed are 1 to 64"):
        Tokens(SECRET).issue(user, valid_s=10)


def test_the_secret_is_made_once_and_for_the_owner_only(tmp_path):
    """The file is 0600 in a folder of the owner's, and the second call reads the first one's secret."""
    settings = Settings(state_dir=str(tmp_path / "state"))
    secret = token_secret(settings)
    path = tmp_path / "state" / SECRET_FILE
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert token_secret(settings) == secret
    assert [each.name for each in path.parent.iterdir()] == [SECRET_FILE]


def test_processes_that_start_together_share_one_secret(tmp_path):
    """Eight processes that find no secret end with the same one."""
    code = (
        "import sys; from stockade.shop.config.settings import Settings; from stockade.shop.tokens import token_secret;"
        "sys.stdin.readline(); print(token_secret(Settings(state_dir=sys.argv[1])).decode())"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    started = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=os.environ)
        for _ in range(8)
    ]
    for each in started:
        each.stdin.write("go\n")
        each.stdin.flush()
    secrets = {each.communicate(timeout=60)[0] for each in started}
    assert len(secrets) == 1
    assert secrets.pop().strip()


def test_a_secret_that_others_can_read_is_refused(tmp_path):
    """A secret file with open permissions, or an empty one, is named instead of used."""
    settings = Settings(state_dir=str(tmp_path))
    token_secret(settings)
    path = tmp_path / SECRET_FILE
    path.chmod(0o644)
    with pytest.raises(BadSetting, match="can be read by others"):
        token_secret(settings)
    path.chmod(0o600)
    path.write_text("")
    with pytest.raises(BadSetting, match="too short"):
        token_secret(settings)


def test_a_given_secret_wins(tmp_path):
    """With a secret in the settings no file is made."""
    assert token_secret(Settings(state_dir=str(tmp_path), token_secret="x" * 16)) == b"x" * 16
    assert not list(tmp_path.iterdir())
