"""The secret of the state folder: made once, shared, and readable by its owner only."""

import os
import stat
import subprocess
import sys

import pytest

from stockade.shop.config.settings import BadSetting, Settings
from stockade.shop.tokens import SECRET_FILE, token_secret


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
