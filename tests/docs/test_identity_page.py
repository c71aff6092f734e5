"""The application of docs/identity.md runs under its own test, and the rule of user ids is what the page says."""

import base64
import hashlib
import subprocess
import sys

from stockade.identity import user_id_of
from tests.docs.blocks import blocks


def test_the_application_and_its_test(tmp_path):
    """Both blocks, saved as the page says, pass; without its check of the audience the test fails."""
    app, test = blocks("identity.md", "python")
    (tmp_path / "test_app.py").write_text(test)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_app.py"]
    for code, text in ((0, app), (1, app.replace('audience="coupons"', 'audience=["coupons", "shop"]'))):
        (tmp_path / "app.py").write_text(text)
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == code, done.stdout + done.stderr


def test_the_rule_of_user_ids():
    """The formula of the page computes the same id."""
    for subject in ("repo:octo-org/octo-repo:ref:refs/heads/main", "김철수", "x" * 65):
        digest = hashlib.sha256(subject.encode()).digest()
        assert user_id_of(subject) == "sha256:" + base64.urlsafe_b64encode(digest).decode().rstrip("=")
