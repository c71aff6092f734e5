"""The process that forks: what it starts begins as by `python -m`, it serves until it is told to end, and its place is
taken when it has ended.
"""

import json
import os
import signal
import socket
import sys

import pytest

from stockade.lab.errors import LabError
from stockade.lab.execution.processes.forking_process import ForkingProcess
from stockade.lab.execution.processes.process_start import is_stopped
from tests.waiting import eventually

LIMIT_S = 30
TELLS = """
import json, os, signal, sys, tempfile
print(json.dumps({
    "ctrl-c ends it": signal.getsignal(signal.SIGINT) is signal.default_int_handler,
    "words": sys.argv[1:], "file": os.path.basename(sys.argv[0]), "name": __name__, "pid": os.getpid(),
    "environment": dict(os.environ), "folder": os.getcwd(), "temporary": tempfile.gettempdir(), "path": sys.path,
}), flush=True)
"""
STOPS = "import os, signal\nos.kill(os.getpid(), signal.SIGSTOP)\nraise SystemExit(7)\n"
REPEATS = "import os, sys\nnumber = int(sys.argv[1])\nos.write(number, os.read(number, 9).upper())\n"


@pytest.fixture
def forking():
    """A process that forks, ended afterwards."""
    process = ForkingProcess(["json", "no.such.module"])
    yield process
    process._end(os.getpid())


@pytest.fixture
def start(forking, tmp_path):
    """Function that starts a module with this text; `start.printed()` is what has been printed."""
    out = (tmp_path / "out").open("w+")

    def begin(text, *words, environment=None, passed=None):
        (tmp_path / "told.py").write_text(text)
        where = {"folder": str(tmp_path), "streams": (out.fileno(), out.fileno()), "path": [str(tmp_path), *sys.path]}
        return forking.start("told", words, environment=environment or {}, passed=passed, **where)

    def printed():
        out.seek(0)
        return [json.loads(line) for line in out.read().splitlines()]

    begin.printed = printed
    with out:
        yield begin


def test_what_is_started_begins_as_by_python_m(start, tmp_path):
    """Its words, variables (of any length), folder, path and process are its own, and it is the main program."""
    variables = {"TMPDIR": str(tmp_path), "LONG": "x" * 300_000}
    process = start(TELLS, "a", "b c", environment=variables)
    assert process.wait(LIMIT_S) == 0
    (told,) = start.printed()
    assert told["environment"] == variables
    assert told["folder"] == told["temporary"] == told["path"][0] == str(tmp_path)
    assert (told["name"], told["file"], told["words"]) == ("__main__", "told.py", ["a", "b c"])
    assert told["pid"] == process.pid != os.getpid()


def test_ctrl_c_ends_what_was_started_and_not_what_starts(start, forking):
    """Ctrl-C reaches every process of the terminal: the one that forks ignores it, those that it starts take it."""
    assert start(TELLS).wait(LIMIT_S) == 0
    os.kill(forking._process.pid, signal.SIGINT)
    assert start(TELLS).wait(LIMIT_S) == 0
    assert [each["ctrl-c ends it"] for each in start.printed()] == [True, True]


def test_a_passed_descriptor_has_its_number_there(start):
    """Whatever the number is here."""
    mine, theirs = socket.socketpair()
    with mine, theirs:
        process = start(REPEATS, "{descriptor}", passed=theirs.fileno())
        mine.send(b"hello")
        assert process.wait(LIMIT_S) == 0
        assert mine.recv(9) == b"HELLO"


def test_a_stop_and_an_end_are_seen(start):
    """A process that a signal has stopped has not ended; its exit code, or signal, is that of `subprocess`."""
    process = start(STOPS)
    eventually(lambda: is_stopped(process))
    assert process.poll() is None
    process.send_signal(signal.SIGCONT)
    assert process.wait(LIMIT_S) == process.poll() == 7
    assert not is_stopped(process)
    killed = start(STOPS)
    killed.kill()
    assert killed.wait(LIMIT_S) == -signal.SIGKILL


def test_no_process_is_not_stopped():
    """Before the first start."""
    assert not is_stopped(None)


def test_a_new_process_takes_the_place_of_one_that_has_ended(start, forking):
    """The use that finds it ended fails and says so, and so does who asks later for what it started; the next works."""
    left = start(TELLS)
    forking._process.kill()
    forking._process.wait(LIMIT_S)
    with pytest.raises(LabError, match="the process that forks has ended"):
        start(TELLS)
    assert start(TELLS).wait(LIMIT_S) == 0
    with pytest.raises(LabError, match=f"started process {left.pid}: its exit code is lost"):
        left.wait(LIMIT_S)
    assert start(TELLS).wait(LIMIT_S) == 0
