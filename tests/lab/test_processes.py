"""Worker processes: they share the work, start together, and their end is noticed."""

import os
import signal
import subprocess
import sys

import pytest

from stockade.lab.crew import Team
from stockade.lab.errors import LabError
from stockade.lab.ground import open_ground
from stockade.lab.presets.seed_004 import scene
from stockade.lab.processes import ProcessCrew
from stockade.lab.runner import _prepare
from stockade.lab.stage import Stage


@pytest.fixture
async def ground():
    """A temporary SQLite file."""
    async with open_ground("sqlite", 4) as opened:
        yield opened


@pytest.fixture
def crew():
    """Two processes."""
    with ProcessCrew(2) as processes:
        yield processes


async def test_processes_share_the_buyers_and_start_together(ground, crew):
    """30 answers from both processes, whose first orders begin before any of the other's end is far away."""
    play = scene(Stage("together", 0, 30, 20, now_ms=1))
    await _prepare(ground, [play])
    await crew.prepare(Team(ground.url, "sequencer"))
    shots, effort = await crew.play(play.orders)
    assert {shot.request_id for shot in shots} == {order.request_id for order in play.orders}
    assert sum(shot.answer == "accepted" for shot in shots) == 20
    assert effort.commands == 30
    begins = [min(shot.began_ns for shot in part) for part in (shots[:15], shots[15:])]
    ends = [max(shot.ended_ns for shot in part) for part in (shots[:15], shots[15:])]
    assert max(begins) < min(ends), "the processes must overlap, else a mutex would look safe"


async def test_a_killed_worker_ends_the_run_with_a_message(ground, crew):
    """Nobody waits for a process that is gone."""
    await crew.prepare(Team(ground.url, "pessimistic"))
    crew._processes[1].kill()
    crew._processes[1].join(10)
    with pytest.raises(LabError, match=f"worker process 1 ended .exit code {-signal.SIGKILL}"):
        await crew.prepare(Team(ground.url, "pessimistic"))


async def test_what_a_worker_cannot_do_is_its_message(ground, crew):
    """A strategy that does not run on this database is refused in the worker, and the reason comes back."""
    with pytest.raises(LabError, match="advisory"):
        await crew.prepare(Team(ground.url, "advisory"))


def test_workers_end_with_the_crew():
    """Leaving the context leaves no process behind."""
    with ProcessCrew(1) as processes:
        (worker,) = processes._processes
        assert worker.is_alive()
    assert worker.exitcode == 0


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_lab_that_is_stopped_leaves_nothing_behind(tmp_path, sent, code):
    """Stopped in the middle it ends its workers and removes its database."""
    command = [sys.executable, "-m", "stockade", "lab", "--processes", "2", "--repeats", "5000"]
    run = subprocess.Popen(
        [*command, "--strategies", "sequencer"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )
    try:
        head = iter(run.stdout.readline, "")
        assert next(line for line in head if line.startswith("strategy"))
        assert list(tmp_path.glob("stockade-lab-*"))
        run.send_signal(sent)
        _, errors = run.communicate(timeout=60)
    finally:
        run.kill()
        run.wait()
    assert run.returncode == code
    assert "Traceback" not in errors
    assert not list(tmp_path.glob("stockade-lab-*"))
