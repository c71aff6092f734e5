"""Order processes: they share the work, start together, and their end is noticed."""

import contextlib
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from stockade.lab.errors import LabError
from stockade.lab.execution.order_processes import ProcessGroup, ProcessSender
from stockade.lab.execution.order_senders import LocalSender, SenderConfig
from stockade.lab.execution.processes import service_main
from stockade.lab.execution.processes.messages import Close, LoadBurst, OpenService
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
async def sender():
    """Two processes."""
    async with ProcessSender(2) as processes:
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
    os.kill(sender.processes[1].pid, signal.SIGKILL)
    with pytest.raises(LabError, match=f"order process 1 ended: exit code {-signal.SIGKILL}"):
        await sender.prepare(SenderConfig(target.url, "pessimistic"))


async def test_what_an_order_process_cannot_do_is_its_message(target, sender):
    """A strategy that does not run on this database is refused in the process, and the reason comes back."""
    with pytest.raises(LabError, match="advisory"):
        await sender.prepare(SenderConfig(target.url, "advisory"))


async def test_processes_end_with_the_sender(target):
    """Leaving the context leaves no process behind, not even one that a fault has stopped and nobody has resumed."""
    async with ProcessSender(2) as processes:
        await processes.prepare(SenderConfig(target.url, "pessimistic"))
        pids = processes.pids
        await processes.processes[1].pause()
    assert (len(pids), processes.pids) == (2, [])


async def test_a_close_that_fails_is_an_error_once_all_have_ended():
    """The processes of a burst keep no output that anybody looks through."""

    async def ask(message):
        raise LabError("gave no answer")

    group = ProcessGroup(["first", "second"])
    await group.open(Close())
    group.processes[0].ask = ask
    with pytest.raises(LabError, match="did not close in order: gave no answer"):
        await group.__aexit__(None, None, None)
    assert group.pids == []


async def test_a_close_that_fails_does_not_hide_why_it_is_closed():
    """The error of the block goes on: leaving the block raises none of its own."""

    async def close(*, in_order):
        raise LabError("did not end")

    group = ProcessGroup(["first", "second"])
    group.processes[0].close = close
    await group.processes[1].open(Close())
    await group.__aexit__(ValueError, ValueError("the reason"), None)
    assert group.pids == []


async def test_a_burst_that_is_interrupted_does_not_keep_its_processes(target, sender):
    """They have their buyers ready, who wait for a beginning that never comes; what they have open is replaced."""
    orders = workload(RepeatNames("interrupted", 0, 4, 4, now_ms=1))
    await create_rows(target, [orders])
    await sender.prepare(SenderConfig(target.url, "pessimistic"))
    for process in sender.processes:
        await process.ask(LoadBurst(orders.orders))
    await sender.prepare(SenderConfig(target.url, "optimistic"))
    result = await sender.send(orders.orders)
    assert [each.status for each in result.responses] == ["accepted"] * 4


def test_a_stopped_process_ends_with_its_killed_parent(tmp_path):
    """No process is left to resume it: the kernel ends it."""
    code = """
        import asyncio, signal
        from stockade.lab.execution.processes.messages import Close
        from stockade.lab.execution.processes.service_process import ServiceProcess

        async def main():
            process = ServiceProcess("w", Close())
            await process.start()
            await process.pause()
            print(process.pid, flush=True)
            signal.pause()

        asyncio.run(main())
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
        yield LocalSender(None)

    monkeypatch.setattr(service_main, "open_sender", opening)
    async with contextlib.AsyncExitStack() as stack:
        handler = service_main._Handler(stack)
        await handler._carry_out(OpenService(SenderConfig("sqlite://", "sequencer"), fault_points))
    assert [each is not None for each in checkpoints] == [fault_points]
