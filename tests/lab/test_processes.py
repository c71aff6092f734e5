"""Order processes: they share the work, start together, and their end is noticed."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from stockade.lab.errors import LabError
from stockade.lab.execution import child_main
from stockade.lab.execution.child_processes import ProcessSender
from stockade.lab.execution.order_senders import SenderConfig
from stockade.lab.model.burst import RepeatNames
from stockade.lab.presets.reference import workload
from stockade.lab.runs.repeats import create_rows
from stockade.lab.targets.target_database import open_target_database
from tests.waiting import eventually


@pytest.fixture
async def target():
    """A temporary SQLite file."""
    async with open_target_database("sqlite", 4) as opened:
        yield opened


@pytest.fixture
def sender():
    """Two processes."""
    with ProcessSender(2) as processes:
        yield processes


async def test_processes_share_the_buyers_and_start_together(target, sender):
    """30 answers from both processes, whose first orders begin before any of the other's end is far away."""
    orders = workload(RepeatNames("together", 0, 30, 20, now_ms=1))
    await create_rows(target, [orders])
    await sender.prepare(SenderConfig(target.url, "sequencer"))
    responses, stats, *_ = await sender.send(orders.orders)
    assert {response.request_id for response in responses} == {order.request_id for order in orders.orders}
    assert sum(response.status == "accepted" for response in responses) == 20
    assert stats.commands == 30
    begins = [min(response.began_ns for response in part) for part in (responses[:15], responses[15:])]
    ends = [max(response.ended_ns for response in part) for part in (responses[:15], responses[15:])]
    assert max(begins) < min(ends), "the processes must overlap, else a mutex would look safe"


async def test_a_killed_order_process_ends_the_run_with_a_message(target, sender):
    """The run does not wait for a process that has ended."""
    await sender.prepare(SenderConfig(target.url, "pessimistic"))
    sender._processes[1]._process.kill()
    sender._processes[1]._process.join(10)
    with pytest.raises(LabError, match=f"order process 1 ended .exit code {-signal.SIGKILL}"):
        await sender.prepare(SenderConfig(target.url, "pessimistic"))


async def test_what_an_order_process_cannot_do_is_its_message(target, sender):
    """A strategy that does not run on this database is refused in the process, and the reason comes back."""
    with pytest.raises(LabError, match="advisory"):
        await sender.prepare(SenderConfig(target.url, "advisory"))


def test_processes_end_with_the_sender():
    """Leaving the context leaves no process behind."""
    with ProcessSender(1) as processes:
        (process,) = processes._processes
        assert process.alive
    assert process._process.exitcode == 0


def test_a_stopped_process_ends_with_the_sender():
    """A fault that was interrupted leaves a process that cannot look at its pipe: it is resumed, and ends."""
    with ProcessSender(1) as processes:
        (process,) = processes._processes
        os.kill(process._process.pid, signal.SIGSTOP)
        assert asyncio.run(process.stopped(wait_s=10))
    assert process._process.exitcode == 0


def test_a_stopped_process_ends_with_its_killed_parent(tmp_path):
    """No process is left to resume it: the kernel ends it."""
    code = """
        import asyncio, os, signal
        from stockade.lab.execution.child_processes import ChildProcess
        from stockade.lab.execution.child_main import SignalAtPoint
        if __name__ == "__main__":
            process = ChildProcess("w")
            asyncio.run(process.request(SignalAtPoint("nowhere", 0)))
            os.kill(process._process.pid, signal.SIGSTOP)
            print(process._process.pid, flush=True)
            signal.pause()
    """
    script = tmp_path / "parent.py"
    script.write_text(textwrap.dedent(code))
    parent = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True)
    pid = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    parent.stdout.close()
    eventually(lambda: not Path(f"/proc/{pid}").exists() or "State:\tZ" in Path(f"/proc/{pid}/status").read_text())


@pytest.mark.parametrize(
    ("sent", "code", "options"),
    [
        (signal.SIGTERM, 143, ("--strategies", "sequencer")),
        (signal.SIGINT, 130, ("--strategies", "pessimistic", "--fault", "pause")),
    ],
)
def test_a_lab_that_is_stopped_leaves_nothing_behind(tmp_path, sent, code, options):
    """Stopped in the middle it ends its processes, one that a fault has stopped too, and removes its database."""
    command = [sys.executable, "-m", "stockade", "lab", "--processes", "2", "--repeats", "5000"]
    run = subprocess.Popen(
        [*command, *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        # a suite in the background of a shell ignores SIGINT, and so would everything it starts
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
    )
    try:
        head = iter(run.stdout.readline, "")
        assert next(line for line in head if line.startswith("strategy"))
        assert list(tmp_path.glob("stockade-*"))
        run.send_signal(sent)
        _, errors = run.communicate(timeout=60)
    finally:
        run.kill()
        run.wait()
    assert run.returncode == code
    assert "Traceback" not in errors
    assert not list(tmp_path.glob("stockade-*"))


@pytest.mark.parametrize("fault_points", [False, True])
async def test_only_a_fault_needs_fault_points(monkeypatch, fault_points):
    """Order processes without a fault run the store as in one process: fault points switch the single statement off."""
    checkpoints = []

    @contextlib.asynccontextmanager
    async def opening(config, checkpoint):
        checkpoints.append(checkpoint)
        yield

    monkeypatch.setattr(child_main, "open_sender", opening)
    async with contextlib.AsyncExitStack() as stack:
        handler = child_main._MessageHandler(stack, None)
        await handler.answer(child_main.OpenShop(SenderConfig("sqlite://", "sequencer"), fault_points=fault_points))
    assert [each is not None for each in checkpoints] == [fault_points]
