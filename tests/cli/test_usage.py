"""What a user sees at the first attempts: help, completion, narrow terminals, wrong words."""

import importlib.metadata
import os
import subprocess
import sys

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from stockade.cli import app, exit_codes
from stockade.cli import locks as of_locks
from stockade.strategies import registry
from tests.cli.service import environment, stockade
from tests.test_tidy import ROOT


def commands(command=None, words=()):
    """The words of every command."""
    command = command or get_command(app)
    yield list(words)
    for name, child in getattr(command, "commands", {}).items():
        yield from commands(child, (*words, name))


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Function: words -> result of the command line in 60 columns, in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "60")
    return lambda *words: CliRunner().invoke(app, list(words), prog_name="stockade", terminal_width=60)


@pytest.mark.parametrize("words", list(commands()), ids=" ".join)
def test_help_in_sixty_columns(run, words):
    """`-h` and `--help` say the same, no line is too long, and a switch shows no type."""
    short, long = run(*words, "-h"), run(*words, "--help")
    assert (short.exit_code, long.exit_code) == (0, 0)
    assert short.stdout == long.stdout
    assert max(map(len, short.stdout.splitlines())) <= 60
    assert "bool" not in short.stdout.lower()


def test_strategies_in_sixty_columns(run):
    """Each strategy with everything that is known about it."""
    shown = run("strategies").stdout
    assert max(map(len, shown.splitlines())) <= 60
    for name in registry.names():
        assert f"\n{name}\n" in f"\n{shown}"
        assert registry.summary(name).split()[-1] in shown


@pytest.mark.parametrize(
    ("words", "completed"),
    [
        ("stockade strat", {"strategies"}),
        ("stockade lo", {"locks"}),
        ("stockade serve --wo", {"--workers"}),
        ("stockade locks --", {"--redis", "--json", "--break", "--prefix", "--cluster", "--max-keys", "--help"}),
        ("stockade locks a --ma", {"--max-keys"}),
        ("stockade locks a --redis ", set()),
        ("stockade positions rewind --da", {"--database"}),
    ],
)
def test_the_shell_completes(tmp_path, words, completed):
    """Commands and options."""
    asked = {"_STOCKADE_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))}
    command = [sys.executable, "-m", "stockade"]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment() | asked, capture_output=True, text=True, check=False, timeout=60
    )
    assert set(done.stdout.split()) == completed, done.stderr


def test_locks_reads_the_same_words_under_both_parsers(monkeypatch):
    """The whole command line hands every word to the parser of `locks`, in order."""
    words = ["a", "--redis", "redis://x", "b", "--json", "--break", "-c", "--max-keys=3"]
    seen = []
    monkeypatch.setattr(of_locks, "main", lambda given: seen.append(given) or 0)
    assert CliRunner().invoke(app, ["locks", *words]).exit_code == 0
    assert seen == [words]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["locks", "--nix"], "unrecognized arguments: --nix"),
        (["locks", "--max-keys", "0"], "--max-keys: must be a whole number from 1, not '0'"),
        (["locks", "--redis", "redis://127.0.0.1:1"], "is the server running"),
        (["serve", "--strategy", "kafka"], "--set kafka_bootstrap=HOST:PORT or STOCKADE_KAFKA_BOOTSTRAP"),
        (["lab", "--preset", "cart:nix"], "unknown variant 'cart:nix'; there are: cart:sorted, cart:unsorted"),
        (["lab", "--preset", "nix"], "unknown preset 'nix'; there are: cart, "),
        (["lab", "--json", "nix/document"], "there is no folder nix"),
        (["lab", "--json", "."], "is a folder"),
    ],
    ids=" ".join,
)
def test_what_cannot_be_done_is_said_at_once(run, words, says):
    """One line on standard error that says what to do, and exit code 2, before anything is run."""
    result = run(*words)
    assert result.exit_code == exit_codes.UNUSABLE, result.output
    (line,) = result.stderr.strip().splitlines()
    assert line.startswith("error: ")
    assert says in line
    assert line.count("lock server") <= 1
    assert not result.stdout


def test_version_agrees_with_the_metadata(tmp_path):
    """`stockade --version` is what pip shows."""
    shown = stockade(tmp_path, "--version").stdout.strip()
    assert shown == f"stockade {importlib.metadata.version('stockade')}"


def test_the_script_names_its_own_words(tmp_path):
    """`./stockade` documents each word that it carries out itself."""
    text = (ROOT / "stockade").read_text()
    own = [line.split(")")[0].strip() for line in text.partition("case $what in")[2].splitlines() if ") " in line]
    own += [line.strip()[:-1] for line in text.partition("case $what in")[2].splitlines() if line.strip().endswith(")")]
    words = {word for word in own if word.replace("-", "").isalpha()}
    assert {"test", "test-lowest", "check", "docs", "pins"} == words
    assert all(f"#   ./stockade {word} " in text for word in words)


@pytest.mark.parametrize(
    ("words", "variables", "packages"),
    [
        ("lab --repeats 2", {}, "base"),
        ("serve --strategy pessimistic", {}, "base"),
        ("lab --database postgres", {}, "run"),
        ("serve --database mariadb://u@h/d", {}, "run"),
        ("lab --strategies kafka", {}, "run"),
        ("race last-lamps.toml", {}, "run"),
        ("race --list", {}, "base"),
        ("worker", {}, "run"),
        ("serve --set pool_size=3", {}, "run"),
        ("serve", {"STOCKADE_DATABASE": "x"}, "run"),
    ],
)
def test_the_script_installs_drivers_where_a_server_may_be_named(tmp_path, words, variables, packages):
    """Words, variables or a file that may name a server bring its driver; the default set has none."""
    text = (ROOT / "stockade").read_text()
    function = text[text.index("needed() {") :].partition("\n}\n")[0] + "\n}\n"
    script = f"set -eu\n{function}needed {words}\n"
    kept = {name: value for name, value in os.environ.items() if not name.startswith("STOCKADE_")}
    options = {"cwd": tmp_path, "env": kept | variables, "text": True}
    assert subprocess.check_output(["sh", "-c", script], **options).strip() == packages
    (tmp_path / "stockade.toml").touch()
    assert subprocess.check_output(["sh", "-c", script], **options).strip() == "run"


def test_a_reader_that_goes_away(tmp_path):
    """`stockade strategies | head -1` ends without a message."""
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "stockade", "strategies"]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment(), stdout=writing, stderr=subprocess.PIPE, text=True, check=False
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (exit_codes.FAILED, "")


def test_exit_codes_are_documented():
    """The page has the table of the program."""
    page = (ROOT / "docs" / "reference" / "cli.md").read_text()
    numbers = {value for name, value in vars(exit_codes).items() if name.isupper() and isinstance(value, int)}
    assert set(exit_codes.MEANINGS) == numbers
    assert all(f"| {code} | {text} |" in page for code, text in exit_codes.MEANINGS.items())


def test_the_settings_of_a_file_are_booleans_too(tmp_path):
    """`allow_overselling = true` in TOML, and `on` or `false` in a variable, mean yes and no."""
    from stockade.shop.config.load import load_settings

    file = tmp_path / "s.toml"
    file.write_text("allow_overselling = true\nsingle_statement = false\n")
    chosen = load_settings({}, {"STOCKADE_KAFKA_SSL_CHECK_HOSTNAME": "off"}, str(file))
    assert (chosen.allow_overselling, chosen.single_statement, chosen.kafka_ssl_check_hostname) == ("yes", "no", "no")
