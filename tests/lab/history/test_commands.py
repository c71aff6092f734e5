"""`stockade lab judge` and `stockade lab history`: exit codes, what is shown, the export and the document."""

import errno
import io
import json
import os
import subprocess
import sys

import pytest
import typer
from typer.testing import CliRunner

from stockade.cli import app
from stockade.cli.lab.common import one_line_errors
from stockade.lab.history.history_file import write_history
from stockade.lab.history.operation import FAILED, OK
from tests.lab.checkers.good_histories import good
from tests.lab.checkers.small_histories import FINAL, KEY, OPERATIONS, B, fault, line, small


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Function: words -> (exit code, everything printed, in lines of any length)."""
    monkeypatch.delenv("COLUMNS", raising=False)

    def run(*words):
        result = CliRunner().invoke(app, ["lab", *map(str, words)])
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result.exit_code, result.output

    return run


def test_a_file_that_is_not_there_and_one_that_cannot_be_written_are_one_line(run, right, tmp_path):
    """Exit code 2 and the name of the file; nothing is judged first."""
    assert run("judge", tmp_path / "none") == (2, f"error: {tmp_path / 'none'}: No such file or directory\n")
    said = (2, "error: --json /proc/x: cannot be written (No such file or directory)\n")
    assert run("judge", right, "--json", "/proc/x") == said


@pytest.fixture
def right(tmp_path):
    """A file without a violation."""
    write_history(good(1), tmp_path / "right.jsonl")
    return tmp_path / "right.jsonl"


@pytest.fixture
def wrong(tmp_path):
    """A file with a lost update, while a fault was active."""
    first, second, third = OPERATIONS
    history = small(
        [first, second._replace(versions={KEY: 2}), third],
        ledger=(line(first.request_id, 2, 1), line(B, 2, 1)),
        rows=(FINAL.rows[0]._replace(version=2, amount=1),),
        fault_log=(fault(1, "pause", "inject"), fault(9, "pause", "heal")),
    )
    write_history(history, tmp_path / "wrong.jsonl")
    return tmp_path / "wrong.jsonl"


def test_one_file_that_cannot_be_read_does_not_hide_the_others(run, right, tmp_path):
    """The right one is judged; the exit code and the last line are those of the other."""
    (tmp_path / "cut.jsonl").write_bytes(right.read_bytes()[:-40])
    code, said = run("judge", tmp_path / "cut.jsonl", right)
    assert (code, f"{right}: " in said, "no violation" in said) == (2, True, True)
    assert f"error: {tmp_path / 'cut.jsonl'}" in said
    _, said = run("judge", tmp_path / "cut.jsonl", tmp_path / "none", right)
    assert [line.partition(":")[0] for line in said.splitlines()[-2:]] == ["error", "error"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--version", 3), "--version is one of a row: name the row with --key"),
        (("--operation", 3), "--operation is one of a client: name the client with --client"),
        (("--client", 1, "--operation", 999_999), "client 1 has no operation 999999 in this history; its first is"),
    ],
    ids=["version", "operation", "none of the client"],
)
def test_what_is_shown_has_its_row_or_its_client(run, right, words, said):
    """An option that would be ignored is refused."""
    code, output = run("history", right, *words)
    assert (code, said in output) == (2, True), output


def test_a_client_around_one_of_its_operations(run, tmp_path):
    """So many before and after it, and all without it."""
    many = [OPERATIONS[0]._replace(number=number, request_id=f"request-{number}") for number in range(20)]
    write_history(small(many), tmp_path / "many.jsonl")
    client = ("history", tmp_path / "many.jsonl", "--client", many[0].client)
    _, near = run(*client, "--operation", 10, "--around", 2)
    _, everything = run(*client)
    assert [each.number for each in many if each.request_id in near.split()] == [8, 9, 10, 11, 12]
    assert everything.count("request-") == len(many)


@pytest.mark.parametrize(
    ("change", "said"),
    [({"type": "maybe"}, "operation 3 is 'maybe', which is none of"), ({"number": 1}, "the same number")],
    ids=["outcome", "number"],
)
def test_operations_that_no_recording_writes(run, tmp_path, change, said):
    """They are refused, not taken for something else."""
    first, second, third = OPERATIONS
    write_history(small([first, second._replace(**change), third]), tmp_path / "odd.jsonl")
    code, output = run("judge", tmp_path / "odd.jsonl")
    assert (code, said in output) == (2, True), output


def test_a_reader_that_goes_away_ends_it_without_a_word(right):
    """As `head` does. Exit code 1, and no line about a broken pipe."""
    read, write = os.pipe()
    os.close(read)
    words = [sys.executable, "-m", "stockade", "lab", "history", str(right), "--key", KEY]
    with os.fdopen(write) as output:
        done = subprocess.run(words, stdout=output, stderr=subprocess.PIPE, timeout=30, check=False)
    assert (done.returncode, done.stderr) == (1, b"")


@pytest.mark.parametrize("output", [None, io.StringIO()], ids=["none", "replaced"])
def test_a_broken_pipe_of_a_server_is_said_without_standard_output_too(monkeypatch, capsys, output):
    """One line, and no traceback of the look at standard output."""
    monkeypatch.setattr(sys, "stdout", output)
    with pytest.raises(typer.Exit) as ended, one_line_errors():
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")
    assert ended.value.exit_code == 2
    assert capsys.readouterr().err == "error: BrokenPipeError: [Errno 32] Broken pipe\n"


def test_a_version_that_was_never_there(run, right):
    """The message names the last one; a version that was there is shown."""
    code, said = run("history", right, "--key", KEY, "--version", 999_999)
    assert (code, "has no version 999999 in this history; the last is" in said) == (2, True), said
    assert run("history", right, "--key", KEY, "--version", 2)[0] == 0


def test_exit_codes_of_judge(run, right, wrong, tmp_path):
    """0 without a violation, 1 with one, 2 if a file cannot be read."""
    assert run("judge", right)[0] == 0
    assert run("judge", right, wrong)[0] == 1
    (tmp_path / "cut.jsonl").write_bytes(right.read_bytes()[:-20])
    for bad in ("cut.jsonl", "nothing.jsonl", "."):
        code, text = run("judge", tmp_path / bad)
        assert code == 2
        assert text.startswith("error: ")
        assert len(text.splitlines()) == 1


def test_a_violation_is_shown_with_its_neighbours(run, wrong):
    """Both writers of the version stand there, with client, process, times and the fault that was active."""
    _, text = run("judge", wrong)
    assert "version-chain: stock:1: version 2 was written more than once" in text
    assert "fault then: pause" in text
    rows = [each.split() for each in text.splitlines() if each.startswith(">")]
    assert [row[4] for row in rows] == ["request-a", "request-b"]
    assert all(row[-1] == "pause" and "service-1" in row for row in rows)


def test_the_document_of_judge(run, right, wrong, tmp_path):
    """`--json` names every file with its violations, and where they are."""
    assert run("judge", right, wrong, "--json", tmp_path / "judged.json")[0] == 1
    found = json.loads((tmp_path / "judged.json").read_text())
    first, second = found["history"]
    assert (first["file"], first["violations"]) == (str(right), [])
    assert (second["violations"][0]["rule"], second["violations"][0]["key"]) == ("version-chain", KEY)


def test_the_export_needs_one_history(run, right, wrong, tmp_path):
    """The calls of two histories in one file would be of the same objects."""
    code, text = run("judge", right, wrong, "--export", tmp_path / "calls")
    assert code == 2
    assert "name one history" in text


def test_history_shows_a_row_a_request_and_a_client(run, wrong):
    """Each option shows what it names; a row is shown around a version."""
    assert "request-a" in run("history", wrong, "--key", KEY, "--version", "2", "--around", "0")[1]
    assert "recorded as accepted" in run("history", wrong, "--request", "request-a")[1]
    assert "client 3" in run("history", wrong, "--client", "3")[1]
    text = run("history", wrong)[1]
    assert f"2 {OK}" in text
    assert FAILED not in text
    assert "fault pause, 0.001 to 0.009 s" in text


@pytest.mark.parametrize("words", [("--key", "stock:9"), ("--request", "nobody"), ("--client", "99")])
def test_history_refuses_what_is_not_there(run, wrong, words):
    """A row, a request or a client that the history has not is one line and exit code 2."""
    code, text = run("history", wrong, *words)
    assert code == 2
    assert "has nothing about" in text


def test_options_before_a_word_are_refused(run, right):
    """Options of the burst are without effect on a word, so they are not taken silently."""
    code, text = run("--buyers", "3", "judge", right)
    assert code == 2
    assert "--buyers before judge is without effect" in text.replace("\n", " ")
