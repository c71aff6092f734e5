"""The commit that runs: in a checkout it is a part of the version, elsewhere there is none."""

import subprocess

import pytest

from stockade.lab.reporting.checkout import CHANGED, commit_in, local_version, without_commit


@pytest.fixture
def checkout(tmp_path):
    """Function: words of git in a checkout with a package, of which one file is committed."""

    def git(*words):
        done = subprocess.run(["git", *words], cwd=tmp_path, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    git("init", "-q")
    git("config", "user.name", "tests")
    git("config", "user.email", "tests@example.org")
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "__init__.py").touch()
    git("add", ".")
    git("commit", "-q", "-m", "one")
    return git


@pytest.fixture(autouse=True)
def _afresh():
    """What was read for one test is not that of another."""
    local_version.cache_clear()
    yield
    local_version.cache_clear()


def test_the_commit_of_a_checkout(checkout, tmp_path):
    """Ten digits; it stays the one of the start whatever is committed later, as does the code that runs."""
    commit = checkout("rev-parse", "HEAD")
    assert local_version(tmp_path / "package") == f"+g{commit[:10]}"
    checkout("commit", "-q", "--allow-empty", "-m", "two")
    assert local_version(tmp_path / "package") == f"+g{commit[:10]}"


@pytest.mark.parametrize(("file", "dirty"), [("package/new.py", True), ("package/__init__.py", True), ("a.md", False)])
def test_changes_of_the_package_are_marked(checkout, tmp_path, file, dirty):
    """A new file and a changed one; one beside the package is no code."""
    (tmp_path / file).write_text("changed")
    assert local_version(tmp_path / "package").endswith(".dirty") is dirty


def test_a_package_that_is_not_tracked_has_no_commit(checkout, tmp_path):
    """It was installed into a checkout of something else, or into none."""
    other = tmp_path / "installed"
    other.mkdir()
    (other / "__init__.py").touch()
    assert local_version(other) == ""
    assert local_version(tmp_path / "absent") == ""


def test_a_machine_without_git(monkeypatch, tmp_path):
    """The commit is unknown, which is no error."""
    monkeypatch.setenv("PATH", str(tmp_path))
    assert local_version() == ""


@pytest.mark.parametrize(
    ("version", "commit", "plain"),
    [
        ("0.1.0+g0123abcdef", "0123abcdef", "0.1.0"),
        ("0.1.0+g0123abcdef.dirty", f"0123abcdef, {CHANGED}", "0.1.0"),
        ("0.1.0", "", "0.1.0"),
        ("0.1.0+ubuntu1", "", "0.1.0+ubuntu1"),
    ],
)
def test_the_commit_in_a_version(version, commit, plain):
    """Read again for a report; another local version is none."""
    assert (commit_in(version), without_commit(version)) == (commit, plain)
