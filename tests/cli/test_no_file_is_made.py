"""A mistyped path of a SQLite file: said in one line, and no empty file is left behind."""

from subprocess import CompletedProcess

import pytest
from typer.testing import CliRunner

from stockade.cli import app
from tests.cli.service import stockade

KAFKA = ("--set", "kafka_bootstrap=127.0.0.1:1")
COMMANDS = [
    ("audit",),
    ("erase-user", "ann"),
    ("archive", "--before", "2024-01-01", "--to", "/dev/null"),
    ("serve", "--port", "0"),
    ("serve", "--port", "0", "--workers", "2"),
    ("demo",),
    ("worker", *KAFKA),
    ("positions", "list", *KAFKA),
    ("positions", "rewind", "0", "first", *KAFKA),
    ("dead-letters", "list"),
    ("dead-letters", "show", "events:1"),
    ("dead-letters", "send-again", "--all"),
]
NEED_A_NAME = {"serve", "demo"}  # they make the file in the state folder


def run(folder, *words):
    """In this process, unless the command sets up its logging: that is the tests' own here."""
    if words[0] in ("serve", "worker"):
        return stockade(folder, *words)
    done = CliRunner().invoke(app, words)
    return CompletedProcess(words, done.exit_code, done.stdout, done.stderr)


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_no_command_makes_a_file(words, tmp_path, monkeypatch):
    """Each command but `migrate` refuses a file that is not there, named or the default one, and makes nothing."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "mistyped.db"
    for named in [("--database", f"sqlite:///{path}")] + [()] * (words[0] not in NEED_A_NAME):
        done = run(tmp_path, *words, *named)
        assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (2, "", 1), done.stderr
        assert "no such database file: " in done.stderr
        assert "stockade migrate" in done.stderr
        assert list(tmp_path.iterdir()) == []


def test_migrate_makes_it(tmp_path):
    """The control: `migrate` makes the file, and a command that found none before finds it then."""
    url = f"sqlite:///{tmp_path / 'new.db'}"
    assert stockade(tmp_path, "migrate", "--database", url).returncode == 0
    assert stockade(tmp_path, "audit", "--database", url).returncode == 0
    assert stockade(tmp_path, "migrate").returncode == 0
    assert stockade(tmp_path, "audit").returncode == 0
