"""Whole lab runs on SQLite through the command line: rows, verdicts, exit codes, negative controls."""

import pytest

from tests.lab.conftest import by_strategy

LOCAL = {"unprotected", "in-process", "optimistic", "pessimistic", "conditional", "serializable", "sequencer"}


def test_without_a_preset_it_is_the_reference_test(lab):
    """Every strategy that needs no server runs; each sells 20 of 20 to 30 buyers, `unprotected` more."""
    code, document, output = lab("--repeats", "2")
    runs = by_strategy(document)
    assert code == 0, output
    assert set(runs) >= LOCAL
    assert "left out: advisory" in output
    assert "published" not in output  # of the strategies that have a figure only one runs here
    broken = runs.pop("unprotected")
    assert broken["verdict"] == "broken"
    assert broken["accepted"] > 20
    assert broken["violations"][0]["rule"] == "oversell"
    for name, run in runs.items():
        assert (run["accepted"], run["rejected"], run["failed"], run["left"]) == (20, 10, 0, 0), name
        assert (run["violations"], run["verdict"]) == ([], "as promised"), name


@pytest.mark.parametrize(
    ("preset", "left"),
    [("last-unit", 0), ("charge", 400), ("use", 700), ("double-tap:ten-keys", 100_000), ("cart:sorted", 2910)],
)
def test_preset(lab, preset, left):
    """Strong strategies leave the right amount; the one without protection is seen to fail."""
    code, document, output = lab(
        "--preset", preset, "--repeats", "8", "--strategies", "unprotected,pessimistic,sequencer"
    )
    runs = by_strategy(document)
    assert code == 0, output
    assert runs["unprotected"]["verdict"] == "broken"
    assert {runs[name]["left"] for name in ("pessimistic", "sequencer")} == {left}


def test_one_key_is_charged_once_under_every_strategy(lab):
    """Ten times the same request: ten times yes, one charge, whatever the strategy."""
    code, document, output = lab("--preset", "double-tap:one-key", "--repeats", "2")
    assert code == 0, output
    assert {(run["accepted"], run["left"]) for run in document["runs"]} == {(10, 10_000)}


def test_peak(lab):
    """100 of 500 are served, 400 are refused and not charged."""
    code, document, output = lab("--preset", "peak", "--repeats", "1", "--strategies", "sequencer")
    assert code == 0, output
    assert {(run["accepted"], run["rejected"], run["left"]) for run in document["runs"]} == {(100, 400, 0)}


def test_a_crowd_does_not_starve_optimistic_control(lab):
    """Only as many decide at once as there are connections: else each of 200 loses to 199 others until its deadline."""
    code, document, output = lab("--buyers", "200", "--stock", "40", "--repeats", "1", "--strategies", "optimistic")
    assert code == 0, output
    assert (document["runs"][0]["accepted"], document["runs"][0]["failed"]) == (40, 0)


def test_a_control_that_does_not_fail_is_not_as_promised(lab):
    """With one connection orders come one by one and `unprotected` sells right: then the run proves nothing, exit 1."""
    code, document, output = lab("--pool", "1", "--strategies", "unprotected", "--repeats", "1")
    assert code == 1
    assert document["runs"][0]["verdict"] == "not as promised"
    assert "must be seen to fail" in output


def test_buyers_stock_and_repeats(lab):
    """The user's figures replace the preset's."""
    options = ("--buyers", "7", "--stock", "3", "--repeats", "4", "--strategies", "sequencer")
    code, document, _ = lab(*options)
    (run,) = document["runs"]
    assert code == 0
    assert (run["buyers"], run["stock"], run["accepted"], run["rejected"]) == (7, 3, 3, 4)
    assert len(run["wall_ms"]["samples"]) == 4


def test_two_processes_break_the_in_process_mutex(lab):
    """A mutex of one process means nothing to another; the sequencers of two processes take turns on the row."""
    code, document, output = lab("--processes", "2", "--repeats", "4", "--strategies", "in-process,sequencer")
    runs = by_strategy(document)
    assert code == 0, output
    assert runs["in-process"]["verdict"] == "broken"
    assert runs["in-process"]["violations"]
    assert (runs["sequencer"]["accepted"], runs["sequencer"]["left"]) == (20, 0)
    assert {run["processes"] for run in document["runs"]} == {2}


def test_deadlocks_are_not_applicable(lab):
    """SQLite has one writer at a time: the unsorted variant is left out with the reason, the sorted one runs."""
    code, document, output = lab("--preset", "cart", "--strategies", "pessimistic", "--repeats", "1")
    assert code == 0, output
    assert [run["preset"] for run in document["runs"]] == ["cart:sorted"]
    assert "not applicable on sqlite" in output


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--strategies", "nope"], "unknown strategy 'nope'; there are: unprotected"),
        (
            ["--strategies", "pessimistic:bare"],
            "unknown form 'bare' of pessimistic; only strategies over a lock server",
        ),
        (["--strategies", "redis-spin:nope"], "unknown form 'nope' of redis-spin; there are: fence, bare"),
        (["--strategies", "redis-spin", "--redis", "x"], "not a Redis URL"),
        (["--strategies", "redis-spin", "--redis", "redis://127.0.0.1:1"], "lock server 127.0.0.1:1"),
        (["--fault", "nope"], "unknown fault 'nope'; there are: crash, failover, pause, restart, all"),
        (["--fault", "pause", "--processes", "3"], "a run under a fault has 2"),
        (["--fault", "pause", "--redis", "redis://x"], "so it starts its own"),
        (["--fault", "pause", "--buyers", "1", "--strategies", "pessimistic"], "at least 2 buyers"),
        (["--fault", "pause", "--preset", "cart"], "every strategy is left out"),
        (["--fault", "failover", "--strategies", "pessimistic,in-process"], "every strategy is left out"),
        (["--preset", "seed-004"], "the preset 'seed-004' is now called 'reference'"),
        (["--preset", "nope"], "unknown preset 'nope'; there are: cart"),
        (["--database", "oracle://x"], "sqlite, postgres, mariadb or a URL"),
        (["--database", "sqlite://"], "in memory"),
        (["--database", "postgresql://nobody@127.0.0.1:1/x"], "cannot be opened"),
        (["--strategies", "advisory"], "every strategy is left out"),
        (["--preset", "cart", "--stock", "5"], "cart needs a stock of at least"),
        (["--buyers", "0"], "'--buyers': must be a whole number from 1 to 10,000, not '0'"),
        (["--processes", "65"], "'--processes': must be a whole number from 1 to 64, not '65'"),
    ],
)
def test_what_cannot_be_is_said_with_exit_code_2(lab, options, message):
    """A bad option names itself and what is allowed; there is no traceback."""
    code, document, output = lab(*options)
    assert (code, document) == (2, None)
    assert message in output
    assert "left out" not in message or "verdict" not in output  # no heads of columns without a row
