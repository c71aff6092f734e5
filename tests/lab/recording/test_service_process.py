"""The lab's side of a service process, without the service: signals at fault points, its end, its output, its close."""

import asyncio
import signal
import subprocess
import sys

import pytest

from stockade.lab.errors import LabError
from stockade.lab.execution.processes import events, service_process
from stockade.lab.execution.processes.messages import Close
from stockade.lab.execution.processes.service_process import ServiceProcess
from stockade.lab.recording.deliveries import read_deliveries
from stockade.lab.recording.service_processes import ServiceProcesses
from tests.waiting import eventually_async

CHILD = "import sys\nfor line in sys.stdin: print(line, end='', flush=True)"


class Process(ServiceProcess):
    """A service process that says nothing by the wire: `replies` are what the lab is told, or raised."""

    def __init__(self):
        super().__init__("service 0", None)
        self.replies, self.asked = [], []

    async def start(self, environment=None):
        """A child that repeats what it reads, with the output that a service process has."""
        self.note_errors()
        if self._output is not None:
            self._output.close()
        self._may_end, self._armed = False, None
        self._output, theirs = service_process._output_file()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-ISc", CHILD], stdin=subprocess.PIPE, stdout=theirs, text=True
            )
        self._opened = True

    @property
    def running(self):
        """See `ServiceProcess`."""
        return self._opened

    async def ask(self, message, wait_s=0.0):
        """See `ServiceProcess`."""
        self.asked.append(message)
        reply = self.replies.pop(0) if self.replies else None
        if isinstance(reply, LabError):
            raise reply
        return reply

    async def kill(self):
        """See `ServiceProcess`."""
        await super().kill()
        self._process.stdin.close()

    async def end(self, number):
        """Send a signal, and wait until it has ended, as the lab sees by the socket."""
        self._process.send_signal(number)
        self._process.stdin.close()
        await asyncio.to_thread(self._process.wait)
        self._closed()

    async def says(self, line):
        """Let it print, and wait until it has."""
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()

        async def printed():
            self._output.seek(0)
            return line in self._output.read().decode()

        await eventually_async(printed)


@pytest.fixture
async def group():
    """A group of one process, with a child."""
    found = ServiceProcesses("service", 0, None)
    found.processes = [Process()]
    await found.processes[0].start()
    yield found
    await found.close()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
async def test_a_signal_at_a_fault_point_is_told_from_every_other_end(group, number):
    """The signal itself is one, also if it comes at the last moment; a crash is none, and is noted."""
    (process,) = group.processes
    assert await group.signal_at_point(0, "loaded", number)
    process._process.send_signal(number)
    assert await group.was_signalled(0, 5.0)
    await group.replace(0)
    assert await group.signal_at_point(0, "loaded", number)
    await process.end(signal.SIGSEGV)
    assert not await group.was_signalled(0, 5.0)
    assert not await group.signal_at_point(0, "loaded", number), "it does not serve"
    assert not await group.was_signalled(0, 0.0)
    await group.replace(0)
    assert [code for _, code, _ in process.ends] == [-signal.SIGSEGV]


async def test_a_signal_that_was_wanted_is_no_end_of_its_own(group):
    """The process that was killed at its fault point is not in the history as one that ended by itself."""
    (process,) = group.processes
    await group.signal_at_point(0, "loaded", signal.SIGKILL)
    await process.end(signal.SIGKILL)
    assert await group.was_signalled(0, 5.0)
    await group.replace(0)
    assert not process.ends


async def test_a_process_that_cannot_take_a_signal_back_is_replaced(group):
    """So it does not come after its fault; one that can goes on."""
    (process,) = group.processes
    pid = process.pid
    await group.signal_at_point(0, "loaded", signal.SIGSTOP)
    assert not await group.was_signalled(0, 0.0)
    assert process.pid == pid
    await group.signal_at_point(0, "loaded", signal.SIGSTOP)
    process.replies = [LabError("gave no answer")]
    assert not await group.was_signalled(0, 0.0)
    assert pid != process.pid != 0


async def test_its_output_is_emptied_while_it_prints(group):
    """What it prints afterwards begins at the beginning, however much it has printed before."""
    (process,) = group.processes
    await process.says("Traceback (most recent call last): one")
    process.note_errors()
    await process.says("Traceback (most recent call last): two")
    process._output.seek(0)
    assert process._output.read() == b"Traceback (most recent call last): two\n"
    assert process.errors == ["printed: Traceback (most recent call last): one"]


@pytest.mark.parametrize("opened", [True, False])
async def test_a_close_that_fails_or_hangs_is_noted(group, opened):
    """One that was killed has nothing to close."""
    (process,) = group.processes
    process._opened = opened
    process.replies = [LabError("service 0 gave no answer in 15 s")]
    await group.close()
    assert (Close() in process.asked) == opened
    assert process.errors == ["did not close in order: service 0 gave no answer in 15 s"] * opened


def test_an_event_behind_a_torn_line_is_kept(tmp_path, monkeypatch):
    """A write that was cut off delivers nothing, and spoils nothing that another process writes after it."""
    sink = events.FileSink(str(tmp_path / "events"))
    write = events.os.write
    with monkeypatch.context() as patched:
        patched.setattr(events.os, "write", lambda file, data: write(file, data[:10]))
        with pytest.raises(OSError, match="could not be written whole"):
            sink.append("a:1", "stock:1")
    sink.append("b:1", "stock:1")
    asyncio.run(sink.close())
    assert [each.event_id for each in read_deliveries(tmp_path / "events", {"b:1": 0}, ())] == ["b:1"]
