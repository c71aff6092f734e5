"""The reference pages say what the program says."""

import re

import pytest
from typer.main import get_command

from stockade.cli import app
from tests.docs import cli_reference, pictures
from tests.docs.site import ROOT


def test_the_command_line_page_is_what_the_program_says():
    """docs/reference/cli.md has every command and option; renew it with `python -m tests.docs.cli_reference`."""
    assert cli_reference.PAGE.read_text() == cli_reference.page()


def test_the_pictures_are_what_their_texts_say():
    """docs/pictures/*.svg are drawn from tests/docs/pictures.py; renew them with `python -m tests.docs.pictures`."""
    assert {path.name: path.read_text() for path in pictures.FOLDER.iterdir()} == pictures.drawn()


@pytest.mark.parametrize(("section", "word"), [("Recordings", "record"), ("Rings", "ring")])
def test_the_defaults_on_the_page_of_the_lab_are_those_of_the_program(section, word):
    """A number in brackets behind the meaning of an option is its default."""
    text = (ROOT / "docs" / "lab.md").read_text().partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    options = get_command(app).commands["lab"].commands[word].params
    defaults = {name: each.default for each in options for name in each.opts}
    shown = re.findall(r"^\| `(--[a-z-]+)` \|.*\((\d[\d.]*)[;)]", text, re.MULTILINE)
    assert shown
    assert {name: float(number) for name, number in shown} == {name: defaults[name] for name, _ in shown}
