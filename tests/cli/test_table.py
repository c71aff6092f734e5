"""Tables of plain text: columns where there is room, else blocks, and never a line that is too long."""

import os
import pty
import subprocess
import sys
import termios

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stockade.cli.output import table
from stockade.cli.output.table import render, screen_width

HEADS = ("lock", "held by", "token")
ROWS = [("order:42", ["host-a/17", "host-b/3"], ["7", "12"]), ("order:7", "nobody", "")]
WORDS = st.lists(st.text("abcdefgh:", min_size=1, max_size=30), max_size=12).map(" ".join)


def test_columns_where_there_is_room():
    """Heads, a rule, and a line for each line of a cell; numbers are aligned right."""
    assert render(HEADS, ROWS, width=60, right=("token",)).splitlines() == [
        "lock      held by    token",
        "--------  ---------  -----",
        "order:42  host-a/17      7",
        "          host-b/3      12",
        "order:7   nobody",
    ]


def test_blocks_where_there_is_none():
    """A row that does not fit stands below itself; cells that say nothing are left out."""
    assert render(HEADS, ROWS, width=25).splitlines() == [
        "order:42",
        "  held by  host-a/17",
        "           host-b/3",
        "  token    7",
        "           12",
        "",
        "order:7",
        "  held by  nobody",
    ]


@given(st.lists(st.tuples(WORDS, WORDS, WORDS), min_size=1, max_size=5), st.integers(50, 120))
def test_no_line_is_too_long_and_no_word_is_lost(rows, width):
    """Whatever the cells say: each line fits, and every word is there."""
    text = render(("a", "second", "c"), rows, width=width)
    assert max(map(len, text.splitlines()), default=0) <= width
    shown = "".join(text.split())
    assert all("".join(word.split()) in shown for row in rows for cell in row for word in cell.split())


def test_columns_or_the_terminal_say_the_width(monkeypatch):
    """COLUMNS counts in a pipe too; without it a pipe gets lines of any length."""
    monkeypatch.delenv("COLUMNS", raising=False)
    monkeypatch.setattr(table.sys.stdout, "isatty", lambda: False, raising=False)
    assert screen_width() is None
    monkeypatch.setenv("COLUMNS", "60")
    assert screen_width() == 60
    monkeypatch.setenv("COLUMNS", "5")
    assert screen_width() == table.LEAST_WIDTH


def test_prose_breaks_between_words_in_a_terminal_only():
    """In a terminal of 20 columns no word is cut; a pipe gets one line, and spaces inside stay."""
    text = "0 orders with 0 units  for 0 won are in a_file_of_a_long_name"
    command = [sys.executable, "-c", f"from stockade.cli.output.lines import say; say({text!r}, err=True)"]
    assert subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stderr == f"{text}\n"
    ours, theirs = pty.openpty()
    try:
        termios.tcsetwinsize(theirs, (24, 20))
        subprocess.run(command, stderr=theirs, check=True, timeout=60)
        shown = os.read(ours, 1_000).decode().splitlines()
    finally:
        os.close(ours)
        os.close(theirs)
    assert shown == ["0 orders with 0", "units  for 0 won are", "in", "a_file_of_a_long_name"]


@pytest.mark.parametrize("rows", [[], [("", "", "")]])
def test_nothing_to_show(rows):
    """An empty table has its heads."""
    assert render(HEADS, rows, width=80).startswith("lock  held by  token")
