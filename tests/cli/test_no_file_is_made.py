"""A mistyped path of a SQLite file: said in one line, and no empty file is left behind."""

import pytest

from tests.cli.service import here, stockade

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
NEED_A_NAME = {"demo"}  # it makes the file in the state folder, as `serve` does


SETS_UP_LOGGING = {"serve", "worker"}  # in a process of its own: logging is the tests' own here


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
async def test_no_command_makes_a_file(words, tmp_path, monkeypatch):
    """Each command but `migrate` refuses a file that is not there, named or the default one, and makes nothing."""
    monkeypatch.chdir(tmp_path)
    path, own_process = tmp_path / "mistyped.db", words[0] in SETS_UP_LOGGING
    for named in [("--database", f"sqlite:///{path}")] + [()] * (words[0] not in NEED_A_NAME | SETS_UP_LOGGING):
        done = stockade(tmp_path, *words, *named) if own_process else await here(*words, *named)
        assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (2, "", 1), done.stderr
        assert "no such database file: " in done.stderr
        assert "stockade migrate" in done.stderr
        assert list(tmp_path.iterdir()) == []


async def test_migrate_makes_it(tmp_path, monkeypatch):
    """The control: `migrate` makes the file, and a command that found none before finds it then."""
    monkeypatch.chdir(tmp_path)
    for named in (("--database", f"sqlite:///{tmp_path / 'new.db'}"), ()):
        for command in ("migrate", "audit"):
            assert (await here(command, *named)).returncode == 0
