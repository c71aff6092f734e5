"""`stockade lab --live` as a command: what it prints, what it refuses, and that it ends in order with what runs."""

import signal
import subprocess
import sys

import httpx2
import pytest
from typer.testing import CliRunner

from stockade.cli import app
from tests.lab.live.serving import processes_of
from tests.waiting import eventually

LONG = {"kind": "recording", "workload": "order-stream", "controls": ["sequencer"], "seconds": 100, "processes": 1}


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--port", "9000"], "--port needs --live"),
        (["--live", "--preset", "cart"], "--preset is without effect with --live"),
        (["--live", "record"], "--live before record is without effect"),
        (["--live", "--host", "no such host", "--port", "0"], "--host no such host"),
    ],
)
def test_what_is_refused(words, says):
    """Options that would be without effect, and an address that there is not: exit code 2 and one line."""
    done = CliRunner().invoke(app, ["lab", *words], env={"COLUMNS": "200"})
    assert done.exit_code == 2
    assert says in " ".join(done.output.split())


def test_it_ends_in_order():
    """Ctrl-C ends the page and the run that goes on, with exit code 0."""
    command = [sys.executable, "-m", "stockade", "lab", "--live", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as server:
        line = server.stdout.readline()
        assert line.startswith("The live page of the lab: http://127.0.0.1:")
        url = line.split()[-1]
        token = url.split("/")[-2]
        httpx2.post(f"{url}run", json=LONG, headers={"x-stockade-token": token}).raise_for_status()
        (run,) = eventually(lambda: children_of(server.pid))
        eventually(lambda: processes_of(run))
        server.send_signal(signal.SIGINT)
        assert server.wait(20) == 0
        assert "Traceback" not in server.stderr.read()
    eventually(lambda: processes_of(run) == [])


def test_a_killed_page_takes_its_run_with_it():
    """Nothing is left that nobody can stop."""
    command = [sys.executable, "-m", "stockade", "lab", "--live", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        url = server.stdout.readline().split()[-1]
        headers = {"x-stockade-token": url.split("/")[-2]}
        httpx2.post(f"{url}run", json=LONG, headers=headers).raise_for_status()
        (run,) = eventually(lambda: children_of(server.pid))
        eventually(lambda: len(processes_of(run)) > 1)
        server.kill()
    eventually(lambda: processes_of(run) == [], limit_s=20.0)


def children_of(pid):
    """Ids of the children of a process that lead a session of their own: its runs."""
    return [session for session in processes_of(None, parent=pid) if processes_of(session)]
