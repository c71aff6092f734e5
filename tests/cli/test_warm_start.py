"""The process that forks: it serves until the tests end, and a new one takes its place if it has ended."""

import os
import signal

import pytest

from tests.cli.warm_start import WarmStarts

LIMIT_S = 30
TELLS = "import signal\nprint(signal.getsignal(signal.SIGINT) is signal.default_int_handler)\n"


@pytest.fixture
def start(tmp_path, monkeypatch):
    """Function that starts a module that tells how it takes Ctrl-C; `start.starts` is the process that forks."""
    (tmp_path / "tells.py").write_text(TELLS)
    monkeypatch.chdir(tmp_path)  # `tests` is found all the same
    starts, out = WarmStarts(), (tmp_path / "out").open("w+")

    def begin():
        where = {"cwd": tmp_path, "env": dict(os.environ), "stdout": out.fileno(), "stderr": out.fileno()}
        return starts.start((), module="tells", **where)

    begin.starts, begin.out = starts, out
    with out:
        yield begin
        starts._end(os.getpid())


def test_ctrl_c_ends_what_was_started_and_not_what_starts(start):
    """Ctrl-C reaches every process of the run: the one that forks ignores it, those that it starts take it."""
    assert start().wait(LIMIT_S) == 0
    os.kill(start.starts._forking.pid, signal.SIGINT)
    assert start().wait(LIMIT_S) == 0
    start.out.seek(0)
    assert start.out.read() == "True\nTrue\n"


def test_a_new_process_takes_the_place_of_one_that_has_ended(start):
    """The use that finds it ended fails and says so, and so does who asks later for what it started; the next works."""
    left = start()
    start.starts._forking.kill()
    start.starts._forking.wait(LIMIT_S)
    with pytest.raises(RuntimeError, match="the forking process has ended"):
        start()
    assert start().wait(LIMIT_S) == 0
    with pytest.raises(RuntimeError, match=f"started {left.pid}: its exit code is lost"):
        left.wait(LIMIT_S)
    assert start().wait(LIMIT_S) == 0
