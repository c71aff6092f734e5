"""Writes docs/reference/cli.md from the command line itself: `python -m tests.docs.cli_reference`."""

import re
import textwrap

from typer.main import get_command

from stockade.cli import app, locks
from stockade.cli.exit_codes import MEANINGS
from tests.docs.site import ROOT

PAGE = ROOT / "docs" / "reference" / "cli.md"
HEAD = """\
# Command line

Every command of `stockade`, with its options. `stockade COMMAND -h` prints them too. In a checkout, `./stockade
COMMAND` sets up what is missing first, and `./stockade -h` names its further words: `test`, `test-lowest`, `check`,
`docs` and `pins`.

`stockade locks` and `stockade --version` need no package but those of the locks; all other commands need the extra
`shop`. A missing package ends a command in one line that says what to install.

`stockade --install-completion` teaches bash, zsh, fish or PowerShell to complete commands and options.

A table is as wide as the terminal, or as `COLUMNS` says; where its columns do not fit, each row is a block of lines. In
a pipe each row is one line, however long; only `strategies` keeps to 100 columns.

This page is made from the program: `python -m tests.docs.cli_reference` writes it again.

`--config`, `--set` and the environment: see [Settings](../settings.md).

## Exit codes

| code | means |
|---|---|
"""


def page():
    """The text of the page."""
    parts = [HEAD + "".join(f"| {code} | {text} |\n" for code, text in MEANINGS.items())]
    for name, command in _commands("stockade", get_command(app)):
        if name == "stockade locks":
            parts += _of_locks(name)
            continue
        arguments = [each for each in command.params if each.param_type_name == "argument"]
        options = [each for each in command.params if each.param_type_name == "option" and each.name != "help"]
        usage = " ".join([name, *(_argument(each) for each in arguments)])
        parts += [
            f"\n## `{name}`\n",
            *_paragraphs(command.help or ""),
            f"    {usage}{' [OPTION…]' if options else ''}\n",
        ]
        rows = [(f"`{_argument(each)}`", each) for each in arguments]
        rows += [(_option(each), each) for each in options]
        if rows:
            parts += ["| | |", "|---|---|", *(f"| {shown} | {_cell(each)} |" for shown, each in rows), ""]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(parts)).rstrip() + "\n"


def _of_locks(name):
    """The section of the command that reads its options without Typer."""
    parser = locks.parser()
    rows = []
    for each in parser._actions:
        if each.option_strings == ["-h", "--help"]:
            continue
        shown = " ".join([*each.option_strings[-1:], *([each.metavar] if each.metavar else [])])
        rows.append(f"| `{shown if each.option_strings else '[NAME]…'}` | {each.help} |")
    return [
        f"\n## `{name}`\n",
        *_paragraphs(parser.description),
        *_paragraphs(parser.epilog),
        f"    {name} [NAME]… [OPTION…]\n",
        *["| | |", "|---|---|", *rows, ""],
    ]


def _commands(name, command):
    """Every command that does something itself; a group comes before its words."""
    if name != "stockade" and getattr(command, "invoke_without_command", True):
        yield name, command
    for word, child in getattr(command, "commands", {}).items():
        yield from _commands(f"{name} {word}", child)


def _paragraphs(text):
    """The paragraphs of a docstring, wrapped."""
    for each in textwrap.dedent(text).split("\n\n"):
        yield textwrap.fill(" ".join(each.split()), 120, break_long_words=False, break_on_hyphens=False) + "\n"


def _argument(argument):
    """An argument as it is written, e.g. `USER`, or `[NAME]…` where it may be left out."""
    return argument.metavar or argument.name.upper()


def _option(option):
    """An option as it is written, e.g. `--set NAME=VALUE`."""
    takes = "" if option.is_flag else f" {option.metavar or option.opts[-1].lstrip('-').upper().replace('-', '_')}"
    return f"`{option.opts[-1]}{takes}`"


def _cell(parameter):
    """What a parameter is for, with the bounds and the default that its help does not name."""
    text, default = (parameter.help or "").replace("|", "\\|"), parameter.default
    if parameter.min is not None and parameter.max is not None:
        text += f" From {parameter.min} to {parameter.max}."
    if default not in (None, "", False) and "default" not in text.lower():
        text += f" Default: `{default}`."
    return text


if __name__ == "__main__":
    PAGE.write_text(page())
