"""The commands as users type them: what they print, their exit codes, and one line instead of a traceback."""

import asyncio
import json
import socket
import sqlite3
import subprocess
import sys
import time

import pytest
from typer.testing import CliRunner

from stockade import __version__
from stockade.cli import app
from stockade.shop.config.settings import Settings
from stockade.shop.migrations import SCHEMA
from stockade.shop.tokens import tokens_of
from stockade.store import Database
from stockade.store.schema.migrate import shown
from stockade.strategies import registry
from tests.cli.service import stockade


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Function: words -> result of the command line, in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    for name in ("STOCKADE_CONFIG", "STOCKADE_STRATEGY", "STOCKADE_DATABASE", "STOCKADE_TOKEN_SECRET"):
        monkeypatch.delenv(name, raising=False)
    return lambda *words: CliRunner().invoke(app, [str(word) for word in words])


def assert_one_line(result, *parts):
    """Exit code 2, and one line on standard error that holds the parts."""
    assert result.exit_code == 2, result.output
    assert len(result.stderr.strip().splitlines()) == 1, result.stderr
    assert result.stderr.startswith("error: ")
    for part in parts:
        assert part in result.stderr


def test_version_is_quick():
    """`stockade --version` answers without importing the shop."""
    code = (
        "import sys; from stockade.cli import app; print([m for m in ('sqlalchemy','starlette') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"
    begun_s = time.process_time()
    assert CliRunner().invoke(app, ["--version"]).stdout.strip() == f"stockade {__version__}"
    assert time.process_time() - begun_s < 0.3


def test_token_prints_a_token_that_the_service_takes(run, tmp_path):
    """The token is signed with the secret of the state folder and carries user and flag."""
    token = run("token", "ann", "--admin").stdout.strip()
    verifier = tokens_of(Settings(state_dir=str(tmp_path / ".stockade"))).verifier
    assert asyncio.run(verifier.verify(token))[:2] == ("ann", True)
    assert_one_line(run("token", "a\nb"), "user 'a\\nb'", "control character")


def test_strategies_lists_every_strategy(run):
    """Each name, with what it needs."""
    shown = run("strategies").stdout
    for name in registry.names():
        assert name in shown


def test_migrate_says_what_it_did(run):
    """From nothing to the present schema, and then that there is nothing to do."""
    assert "none -> " in run("migrate").stdout
    assert "already current" in run("migrate").stdout


def test_demo_fills_and_does_not_repeat(run):
    """Users, points, products and stock are there after the first run, and not doubled by the second."""
    words = ("demo", "--users", 3, "--products", 2, "--stock", 7, "--points", 500)
    assert "made 5, there before 0" in run(*words).stdout
    assert "made 0, there before 5" in run(*words).stdout
    summary = json.loads(run("audit", "--json").stdout)["summary"]
    assert (summary["skus"], summary["on_hand"], summary["accounts"], summary["balance"]) == (2, 14, 3, 1500)


def test_audit_of_a_sound_database(run):
    """Exit code 0, figures for people, and a document with --json."""
    run("demo")
    shown = run("audit")
    assert (shown.exit_code, "ok" in shown.stdout) == (0, True)
    document = json.loads(run("audit", "--json").stdout)
    assert (document["ok"], document["violations"]) == (True, [])


def test_audit_of_a_damaged_database(run, tmp_path):
    """Exit code 1, and the broken rule with its subject and both figures."""
    run("demo")
    with sqlite3.connect(tmp_path / ".stockade" / "stockade.db") as connection:
        connection.execute("UPDATE skus SET on_hand = on_hand - 1 WHERE id = 'sku-3'")
    connection.close()
    shown = run("audit")
    assert shown.exit_code == 1
    assert "sku-3" in shown.stdout
    document = json.loads(run("audit", "--json").stdout)
    assert not document["ok"]
    found = document["violations"][0]
    assert set(found) == {"rule", "subject", "expected", "actual"}
    assert "sku-3" in found["subject"]


def test_audit_of_another_application(run):
    """Without --app its database is no shop's: the message names --app first; an empty database is to be migrated."""
    own, at = ("--app", "coupons.application:APPLICATION"), ("--database", "sqlite:///coupons.db")
    for named, option in ((at, " --database URL"), ((), "")):  # the advice makes its tables, not the shop's
        none = run("audit", *own, *named)
        assert none.stderr.strip().endswith(f"To make it run: stockade migrate {' '.join(own)}{option}")
    assert run("migrate", *own, *at).exit_code == 0
    assert_one_line(run("audit", *at), "has no tables of the shop, but a store's; name the application", "--app")
    assert run("audit", *own, *at).exit_code == 0
    sqlite3.connect("empty.db").close()
    empty = run("audit", "--database", "sqlite:///empty.db")
    assert_one_line(empty, "has no schema, not store ", "; run: stockade migrate --database URL")
    assert "--app" not in empty.stderr


def test_audit_of_a_schema_of_before(run):
    """A database that was migrated halfway is refused with both revisions, and audited once it is migrated."""

    async def halfway():
        database = await Database.open("sqlite:///old.db")
        try:
            await SCHEMA.migrate(database, "0004")
        finally:
            await database.close()

    asyncio.run(halfway())
    at = ("--database", "sqlite:///old.db")
    now = shown(SCHEMA.newest())
    assert_one_line(run("audit", *at), f"has schema store 0004, shop 0004, not {now}; run: stockade migrate")
    assert run("migrate", *at).exit_code == 0
    assert run("audit", *at).exit_code == 0


UNUSABLE = [
    (("serve", "--strategy", "nix"), "strategy_stock = 'nix'", "sequencer"),
    (("serve", "--strategy", "advisory"), "advisory", "does not run on sqlite"),
    (("serve", "--strategy", "in-process", "--workers", "2"), "workers = 2", "one process"),
    (("serve", "--database", "oracle://x"), "database", "supported: sqlite, postgresql"),
    (("serve", "--database", "sqlite:///old.db"), "no such database file", "stockade migrate"),
    (("serve", "--port", "99999"), "port = '99999'", "0 to 65535"),
    (("serve", "--port", "abc"), "port = 'abc': must be a whole number from 0 to 65535 (from --port)"),
    (("audit", "--pace", "abc"), "--pace must be a number above 0 and at most 1, not 'abc'"),
    (("dead-letters", "show", "foo"), "'foo' names no dead letter: a name is events:N or log:N"),
    (("dead-letters", "send-again", "events:x"), "'events:x' names no dead letter"),
    (("serve", "--host", "256.1.1.1"), "host = '256.1.1.1'", "cannot listen there"),
    (("serve", "--set", "pool_size=0"), "pool_size = '0'", "1 to 1000"),
    (("serve", "--set", "pool_size"), "--set pool_size", "NAME=VALUE"),
    (("serve", "--config", "nix.toml"), "cannot read nix.toml"),
    (("audit", "--database", "sqlite:///empty.db"), "no such database file"),
    (("migrate", "--database", "postgresql://127.0.0.1:1/x"), "DEPENDENCY_DOWN", "gave no connection"),
    (("audit", "--database", "mariadb://127.0.0.1:1/x"), "DEPENDENCY_DOWN", "gave no connection"),
    (("demo", "--set", "strategi=nix"), "unknown setting strategi", "did you mean strategy"),
]


@pytest.mark.parametrize("case", UNUSABLE, ids=lambda case: " ".join(case[0]))
def test_what_cannot_be_used_is_one_clear_line(run, case):
    """Unknown names, bad settings and unreachable servers: exit code 2, one line, what is allowed."""
    words, *parts = case
    assert_one_line(run(*words), *parts)


def test_a_taken_port_is_named(run):
    """Two services cannot share a port; the second one says so."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert_one_line(run("serve", "--port", port), f"port = {port}", "in use")


def test_the_module_runs_as_a_command(tmp_path):
    """`python -m stockade` is the command line, and an unknown word is an error without a traceback."""
    done = stockade(tmp_path, "--version")
    assert (done.returncode, done.stdout.strip()) == (0, f"stockade {__version__}")
    wrong = stockade(tmp_path, "nix")
    assert wrong.returncode == 2
    assert "Traceback" not in wrong.stderr


@pytest.mark.parametrize(
    ("words", "code"), [(["serve"], 2), ([], 2), (["--help"], 0), (["-h"], 0)], ids=["serve", "nothing", "--help", "-h"]
)
def test_a_bare_install_names_the_extra(words, code, tmp_path):
    """Without Typer one line says which extra brings it, and the help has the command that works without."""
    (tmp_path / "typer.py").write_text("raise ModuleNotFoundError('No module named typer', name='typer')")
    program = "import sys; sys.path.insert(0, sys.argv.pop()); from stockade.__main__ import main; main()"
    command = [sys.executable, "-c", program, *words, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == code
    missing = "typer is not installed: pip install 'stockade[shop]'"
    if words == ["serve"]:
        assert done.stderr.strip() == f"error: {missing} (`stockade locks` works without it)"
    else:
        assert not done.stderr
        first, *_, last = done.stdout.splitlines()
        assert (first[:15], last) == ("stockade locks ", f"All other commands: {missing}")
