"""The commands of `examples/race/README.md` end with the exit codes that it says, and its code is that of the files."""

import re
import shlex

import pytest

from tests.cli.service import here
from tests.docs.blocks import blocks
from tests.race.services import EXAMPLES, ROOT

README = (EXAMPLES / "README.md").read_text()
COMMANDS = re.findall(r"^    (.*)\./stockade (race .*?) +# exit code (\d)", README, re.MULTILINE)


@pytest.mark.parametrize(("variables", "words", "code"), COMMANDS, ids=[words for _, words, _ in COMMANDS])
async def test_a_command_of_the_page(variables, words, code, monkeypatch):
    """It ends as the page says."""
    monkeypatch.chdir(ROOT)
    for name, value in (pair.split("=") for pair in variables.split()):
        monkeypatch.setenv(name, value)
    done = await here(*shlex.split(words))
    assert done.returncode == int(code), done.stdout + done.stderr
    assert bool(re.search(r"^VIOLATED .*\n  (read|answer) ", done.stdout, re.MULTILINE)) == (code == "1")


def test_the_page_has_commands_of_both_kinds():
    """Some find a bug, and some pass (control of the search above)."""
    assert sorted(code for *_, code in COMMANDS) == ["0", "0", "1", "1"]


def test_the_code_of_the_page_is_that_of_the_files():
    """Each block stands in its file."""
    texts = blocks(README, "python")
    assert len(texts) == 2
    for text in texts:
        assert all(line.strip() in (EXAMPLES / "shop.py").read_text() for line in text.splitlines())


def test_every_scenario_of_the_folder_is_on_the_page():
    """No file is without its line."""
    assert all(path.name in README for path in EXAMPLES.glob("*.toml"))
