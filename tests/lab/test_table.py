"""The table: rows as they finish, the first violation below a broken one, readable in a narrow terminal."""

from dataclasses import replace
from io import StringIO
from types import SimpleNamespace

import pytest
from rich.console import Console

from stockade.core import Stats
from stockade.lab.model.repeat_result import Violation
from stockade.lab.presets import find
from stockade.lab.reporting.summary import LogSummary, summarise
from stockade.lab.reporting.table import LiveTable
from stockade.lab.reporting.verdict import BROKEN, Judgement
from stockade.lab.targets.target_database import open_target_database
from tests.lab.test_summary import GOOD, LABELS, repeat


@pytest.fixture
async def shown():
    """Function: width -> (table that has begun the reference test, function that gives all that is printed)."""
    async with open_target_database("sqlite", 1) as target:

        def begin(width=140, name_width=12):
            out = StringIO()
            table = LiveTable(Console(file=out, width=width), 1, name_width)
            table.variant("reference", find("reference")[0][1], target)
            return table, out.getvalue

        yield begin


async def test_a_row_is_there_when_its_strategy_is_done(shown):
    """Nothing waits for the last strategy."""
    table, printed = shown()
    assert "20 accepted, 10 refused" in printed()
    assert "pessimistic" not in printed()
    table.row(summarise(LABELS, [repeat()], Stats(transactions=30), GOOD, published_ms=527))
    (row,) = [line for line in printed().splitlines() if line.startswith("pessimistic")]
    assert row.split()[:6] == ["pessimistic", "20", "10", "0", "0", "0"]
    assert "527" in row
    assert row.rstrip().endswith("1.00 as promised")


async def test_the_first_violation_stands_below_a_broken_row(shown):
    """The rule, the detail, and how often."""
    table, printed = shown()
    bad = repeat(30, violations=[Violation("oversell", "30 accepted, only 20 there"), Violation("count", "x")])
    table.row(summarise(LABELS, [bad], Stats(), Judgement(BROKEN, False, "in 1 of 1 repeats")))
    text = printed()
    assert text.index("broken") < text.index("oversell: 30 accepted, only 20 there") < text.index("in 1 of 1 repeats")


async def test_a_narrow_terminal_gets_the_short_form(shown):
    """In 80 columns each row is still one line, and its figures are whole."""
    table, printed = shown(width=80)
    table.row(summarise(LABELS, [repeat(wall_ms=1234.5)], Stats(transactions=30), GOOD, published_ms=527))
    (row,) = printed().splitlines()[3:]
    assert row.split() == ["pessimistic", "20", "10", "0", "0", "0", "1234", "(1234-1234)", "1234", "as", "promised"]


async def test_forms_of_locks_have_room(shown):
    """The longest name stands in one line with its figures, in a narrow terminal too."""
    table, printed = shown(width=80, name_width=18)
    table.row(summarise(replace(LABELS, strategy="redis-pubsub:fence"), [repeat()], Stats(transactions=30), GOOD))
    (row,) = printed().splitlines()[3:]
    assert row.split() == ["redis-pubsub:fence", "20", "10", "0", "0", "0", "10", "(10-10)", "as", "promised"]


async def test_what_is_left_out_is_said_at_the_end(shown):
    """With the reason, in one line where there is no terminal, and with the note on the published times."""
    table, printed = shown()
    reason = "; ".join(["runs on postgres, mariadb, not on sqlite"] * 5)
    with table:
        table.left_out("advisory", reason)
    assert f"  left out: advisory: {reason}" in printed().splitlines()
    assert "one cold run" in printed()


async def test_where_nothing_can_run_there_are_no_columns(shown):
    """The headline and what is left out, without heads and without a note on figures that are not there."""
    table, printed = shown()
    with table:
        table.variant("cart", find("reference")[0][1], SimpleNamespace(name="sqlite"), rows=False)
        begun = len(printed())
        table.left_out("advisory", "runs on postgres")
    assert printed()[begun:].split() == ["left", "out:", "advisory:", "runs", "on", "postgres"]
    assert printed().count("accepted rejected") == printed().count("one cold run") == 1  # those of the fixture


async def test_a_strategy_over_a_log_shows_both_times_in_a_narrow_terminal(shown):
    """Below its row stand the time until accepted, the batches and the lag, each on one line of 80 characters."""
    table, printed = shown(width=80)
    log = LogSummary(3, 1, (3.8, 11.0, 177.0), (107.7, 125.4, 166.1), 18.04, 30)
    run = summarise(replace(LABELS, strategy="kafka"), [repeat()], Stats(transactions=2), GOOD, published_ms=377)
    table.row(replace(run, log=log))
    assert [line.strip() for line in printed().splitlines()[4:]] == [
        "accepted 11 (3.8-177) ms, p50/p95/p99 108/125/166; above: decided",
        "3 partitions, 1 worker, 18.0 orders per transaction, lag at most 30",
    ]
    table._print_notes()
    assert "until accepted, so it compares with accepted" in printed()
