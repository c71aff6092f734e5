"""The process that forks: what it starts begins as by `python -m`, it serves until it is told to end, and its place is
taken when it has ended.
"""

import itertools
import json
import os
import resource
import signal
import socket
import subprocess
import sys
from errno import EMFILE
from unittest.mock import Mock

import pytest

from stockade.lab.errors import LabError
from stockade.lab.execution.processes.forking_process import LOST, ForkingProcess, can_fork, with_import_path
from stockade.lab.execution.processes.process_start import is_stopped
from tests.waiting import eventually

pytestmark = pytest.mark.skipif(not can_fork(), reason="the end of a process of another one cannot be waited for here")
LIMIT_S = 30
TELLS = """
import json, os, resource, signal, sys, tempfile
print(json.dumps({
    "signals": [str(signal.getsignal(each)) for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)],
    "blocked": [*map(int, signal.pthread_sigmask(signal.SIG_BLOCK, ()))],
    "words": sys.argv[1:], "file": os.path.basename(sys.argv[0]), "name": __name__, "spec": __spec__.name,
    "module": sys.modules["__main__"].__name__, "environment": dict(os.environ), "folder": os.getcwd(),
    "temporary": tempfile.gettempdir(), "path": sys.path, "input": sys.stdin.read(), "umask": os.umask(0),
    "files": resource.getrlimit(resource.RLIMIT_NOFILE), "open": sorted(os.listdir("/proc/self/fd")),
}), flush=True)
"""
STOPS = "import os, signal\nos.kill(os.getpid(), signal.SIGSTOP)\nraise SystemExit(7)\n"
REPEATS = "import os, sys\nnumber = int(sys.argv[1])\nos.write(number, os.read(number, 9).upper())\n"


@pytest.fixture
def forking():
    """A process that forks, ended afterwards."""
    process = ForkingProcess(["json", "no.such.module"])
    yield process
    process._end(process._process)


@pytest.fixture
def start(forking, tmp_path):
    """Function that starts a module with this text; `start.printed()` is what has been printed."""
    out, names = (tmp_path / "out").open("w+"), itertools.count()

    def begin(text, *words, environment=None, passed=None):
        module = f"told{next(names)}"  # one of its own: the process before may not have read its text yet
        (tmp_path / f"{module}.py").write_text(text)
        where = {"folder": str(tmp_path), "streams": (out.fileno(), out.fileno()), "path": [str(tmp_path), *sys.path]}
        return forking.start(module, words, environment=environment or dict(os.environ), passed=passed, **where)

    def printed():
        out.seek(0)
        return [json.loads(line) for line in out.read().splitlines()]

    begin.printed, begin.out = printed, out
    with out:
        yield begin


def test_what_is_started_begins_as_by_python_m(start, tmp_path):
    """Words, variables, folder, path, signals, limits and open files are those of a process that begins cold."""
    environment = {**with_import_path(os.environ), "TMPDIR": str(tmp_path), "ONLY": "there"}
    assert start(TELLS, "a", "b c", environment=environment).wait(LIMIT_S) == 0
    command = [sys.executable, "-m", "told0", "a", "b c"]
    streams = {"stdin": subprocess.DEVNULL, "stdout": start.out, "stderr": start.out}
    subprocess.run(command, cwd=tmp_path, env=environment, check=True, timeout=LIMIT_S, **streams)
    forked, cold = start.printed()
    assert forked["path"][0] == cold["path"][0] == str(tmp_path)
    assert {*cold.pop("path")} <= {*forked.pop("path")}  # a folder stands there once, or twice
    assert forked == cold


def test_the_limit_of_open_files_is_that_of_the_start(start):
    """It may have been raised since the forking process began."""
    assert start("pass").wait(LIMIT_S) == 0
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft - 1, hard))
    try:
        assert start(TELLS).wait(LIMIT_S) == 0
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    (told,) = start.printed()
    assert told["files"] == [soft - 1, hard]


def test_its_environment_may_be_long(start):
    """Longer than a message, or the variable of a program, may be."""
    assert start(TELLS, environment={"LONG": "x" * 300_000}).wait(LIMIT_S) == 0
    (told,) = start.printed()
    assert told["environment"] == {"LONG": "x" * 300_000}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_for_all_does_not_end_the_one_that_forks(start, forking, number):
    """Ctrl-C, and the end of a job, reach every process: it serves until this one has ended."""
    assert start("pass").wait(LIMIT_S) == 0
    first = forking._process
    os.kill(first.pid, number)
    assert start("pass").wait(LIMIT_S) == 0
    assert forking._process is first


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


def test_a_new_process_takes_the_place_of_one_that_has_ended(start, forking):
    """The start that finds it ended fails and says so, the next works; of what it started, only the end is known."""
    left, stopped = start("pass"), start(STOPS)
    eventually(lambda: is_stopped(stopped))
    forking._process.kill()
    forking._process.wait(LIMIT_S)
    with pytest.raises(LabError, match="the process that forks has ended"):
        start("pass")
    assert not is_stopped(stopped), "nobody can say"
    stopped.kill()
    for _ in range(2):
        assert start("pass").wait(LIMIT_S) == 0
        assert left.wait(LIMIT_S) == stopped.wait(LIMIT_S) == LOST


def test_what_cannot_be_started_says_so_and_the_next_can(start, forking, monkeypatch):
    """A closed stream is the caller's fault, too many files nobody's: the process that forks serves on."""
    assert start("pass").wait(LIMIT_S) == 0
    first = forking._process
    with pytest.raises(LabError, match=r"told\d cannot be started: .*Bad file descriptor"):
        start("pass", passed=10**6)
    with monkeypatch.context() as patched:
        patched.setattr(os, "pidfd_open", Mock(side_effect=OSError(EMFILE, "Too many open files")))
        with pytest.raises(LabError, match=r"told\d cannot be started: .*Too many open files"):
            start("pass")
    assert start("pass").wait(LIMIT_S) == 0
    assert forking._process is first


def test_one_that_is_silent_is_replaced(start, forking):
    """A late answer would be taken for that of the next question."""
    assert start("pass").wait(LIMIT_S) == 0
    first = forking._process
    forking._link.settimeout(0.2)
    os.kill(first.pid, signal.SIGSTOP)
    with pytest.raises(LabError, match="the process that forks has ended: timed out"):
        start("pass")
    assert first.returncode == -signal.SIGKILL
    assert start("pass").wait(LIMIT_S) == 0
    assert forking._process is not first


def test_a_signal_that_is_ignored_here_is_ignored_there(start, forking):
    """As under `nohup`; and one that comes while the process begins is not lost."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert start("import os, signal\nos.kill(os.getpid(), signal.SIGHUP)").wait(LIMIT_S) == 0
    finally:
        signal.signal(signal.SIGHUP, before)
    process = start("import signal\nsignal.pause()")
    process.terminate()
    assert process.wait(LIMIT_S) == -signal.SIGTERM
