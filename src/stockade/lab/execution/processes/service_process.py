"""The lab's side of one service process: starts it, sends it requests, and does to it what a fault wants.

Many requests are open at a time, each with its number. A process that ends answers its open requests with unknown.
Neighbours: `service_main.py` is the process, `process_start.py` starts it, `messages.py` is the wire,
`../order_processes.py` (bursts) and `recording/service_processes.py` groups of them.
"""

import asyncio
import itertools
import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, Final

from stockade.core import Command
from stockade.lab.errors import LabError
from stockade.lab.execution.processes.answers import CANCELLED, NO_ANSWER, PROCESS_ENDED, Answer
from stockade.lab.execution.processes.messages import (
    Cancel,
    Channel,
    Close,
    Count,
    Counters,
    Execute,
    Failed,
    ReadRows,
    SignalAtPoint,
)
from stockade.lab.execution.processes.process_start import FORKING, Process, is_stopped, start_process, was_hit
from stockade.lab.history.operation import FAILED, PROCESS_AWAY, UNKNOWN

OPEN_WAIT_S: Final = 60.0
CONTROL_WAIT_S: Final = 15.0
DISARM_WAIT_S: Final = 2.0
END_WAIT_S: Final = 10.0
STATE_WAIT_S: Final = 5.0
OUTPUT_CHARACTERS: Final = 2_000  # of what a process that failed has printed
NOTE_CHARACTERS: Final = 600  # of what is kept of an error, or of the output of a process that ended
OUTPUT_BYTES: Final = 1_000_000  # that are looked through for traces of errors
ERRORS: Final = ("Traceback (most recent call last)", "was never retrieved", "was never awaited", "Fatal Python error")


NEXT: Final = itertools.cycle(FORKING)


class ProcessEnded(LabError):
    """A service process ended instead of answering."""


class ServiceProcess:
    """One of several service processes: it can be killed, and started anew.

    Args:
        name: in the history and in errors.
        opening: the first message, `OpenService` or `OpenLogWorker`; None: `open` says it.
        keeps_output: what it prints is kept and looked through for errors; if not, the lab's user sees it.

    Attributes:
        name: as given.
        ends: when it ended without being told to (monotonic clock, ns), its exit code, and its last output.
        errors: what else no fault explains: traces of errors that it printed, one for each start; that it gave no sign
            of life, or lost what it ran.
    """

    def __init__(self, name: str, opening: Any = None, *, keeps_output: bool = True) -> None:
        self.name = name
        self._keeps_output = keeps_output
        self.ends: list[tuple[int, int | None, str]] = []
        self.errors: list[str] = []
        self._may_end, self._ended_ns = False, 0
        self._armed: tuple[Process, int] | None = None  # a process that sends itself a signal
        self._opening = opening
        self._environment: dict[str, str] = {}
        self._forking = next(NEXT)  # a process that is replaced stays with the same
        self._process: Process | None = None
        self._beginning: asyncio.Task[None] | None = None
        self._channel: Channel | None = None
        self._open: dict[int, asyncio.Future[Any]] = {}
        self._next = 0
        self._opened = False
        self._ended = asyncio.Event()
        self._output: Any = None

    @property
    def pid(self) -> int:
        """Process id; 0 while it is away."""
        return self._process.pid if self._process is not None and self._process.poll() is None else 0

    @property
    def running(self) -> bool:
        """Whether it has opened what it is for, and takes requests; a paused one does."""
        return self._channel is not None and self._opened

    async def start(self, environment: Mapping[str, str] | None = None) -> None:
        """Start it, and let it open what it is for.

        Args:
            environment: further variables, for this start and the later ones; None: as before.

        Raises:
            LabError: it cannot; the message is its own.
        """
        if environment is not None:
            self.set_environment(environment)
        self.note_errors()
        if self._output is not None:
            self._output.close()
        self._may_end, self._armed = False, None
        output: BinaryIO | None = None
        try:
            if self._keeps_output:
                self._output, output = _output_file()
            ours, theirs = socket.socketpair()
        except OSError as error:
            raise LabError(f"{self.name} cannot be started: {error}") from error
        try:
            self._beginning = asyncio.create_task(self._begin(theirs, output))
            await asyncio.shield(self._beginning)  # if this is cancelled, the start goes on; `kill` waits for it
            self._ended = asyncio.Event()
            loop = asyncio.get_running_loop()
            _, self._channel = await loop.create_connection(lambda: Channel(self._received, self._closed), sock=ours)
        except BaseException:
            ours.close()
            raise
        await self.ask(self._opening, OPEN_WAIT_S)
        self._opened = True

    async def _begin(self, theirs: socket.socket, output: BinaryIO | None) -> None:
        level = "CRITICAL" if self._keeps_output else "ERROR"
        self._process = await start_process(self._forking, theirs, output, level, self._environment)

    async def open(self, opening: Any) -> None:
        """Let it open this instead of what it has open; one that was never started is started.

        Raises:
            LabError: it cannot; the message is its own.
        """
        self._opening = opening
        if self._process is None:
            await self.start()
        else:
            await self.ask(opening, OPEN_WAIT_S)
            self._opened = True

    def set_environment(self, environment: Mapping[str, str]) -> None:
        """Further variables for the later starts."""
        self._environment = dict(environment)

    async def execute(self, command: Command, wait_s: float, *, give_up_s: float = 0.0) -> Answer:
        """Carry out a command.

        Args:
            command: to carry out.
            wait_s: how long to wait for an answer, in seconds.
            give_up_s: cancel it after so many seconds; 0: wait.
        """
        code, limit_s = (CANCELLED, give_up_s) if give_up_s else (NO_ANSWER, wait_s)
        return await self._answer(Execute(command), limit_s, code)

    async def read(self, kind: str, ids: tuple[str, ...], wait_s: float) -> Answer:
        """Read the versions of rows."""
        return await self._answer(ReadRows(kind, ids), wait_s, NO_ANSWER)

    async def _answer(self, message: Execute | ReadRows, limit_s: float, code: str) -> Answer:
        sent = self._send(message) if self.running else None
        if sent is None:
            return Answer(FAILED, PROCESS_AWAY)
        number, future = sent
        timer = asyncio.get_running_loop().call_later(limit_s, self._give_up, number, code)
        try:
            answer = await future
        finally:
            timer.cancel()
            self._open.pop(number, None)
        if isinstance(answer, Failed):
            raise LabError(f"{self.name}: {answer.text}")
        assert isinstance(answer, Answer)
        return answer

    def _give_up(self, number: int, code: str) -> None:
        future = self._open.get(number)
        if future is not None and not future.done():
            future.set_result(Answer(UNKNOWN, code))
            if self._channel is not None:
                self._channel.send(0, Cancel(number))

    async def ask(self, message: Any, wait_s: float = CONTROL_WAIT_S) -> Any:
        """Send any other message and wait for its reply.

        Raises:
            ProcessEnded: it is away, or ended.
            LabError: it failed, or did not reply in time.
        """
        sent = self._send(message)
        if sent is None:
            raise await self._end() if self._ended.is_set() else ProcessEnded(f"{self.name} does not run")
        number, future = sent
        try:
            async with asyncio.timeout(wait_s):
                reply = await future
        except TimeoutError:
            raise LabError(f"{self.name} gave no answer in {wait_s:.0f} s") from None
        finally:
            self._open.pop(number, None)
        if isinstance(reply, Failed):
            raise LabError(f"{self.name}: {reply.text}")
        if isinstance(reply, Answer):  # of `_closed`
            raise await self._end()
        return reply

    async def _end(self) -> ProcessEnded:
        return ProcessEnded(f"{self.name} ended: {await asyncio.to_thread(self._printed)}")

    def _send(self, message: Any) -> "tuple[int, asyncio.Future[Any]] | None":
        number = self._next = self._next + 1
        if self._channel is None or not self._channel.send(number, message):
            return None
        future = self._open[number] = asyncio.get_running_loop().create_future()
        return number, future

    def _received(self, number: int, value: Any) -> None:
        future = self._open.get(number)
        if future is not None and not future.done():
            future.set_result(value)

    def _closed(self) -> None:
        if self._opened and not self._may_end:
            self._ended_ns = time.monotonic_ns()
        self._channel, self._opened = None, False
        for future in self._open.values():
            if not future.done():
                future.set_result(Answer(UNKNOWN, PROCESS_ENDED))
        self._ended.set()

    def _note(self, text: str) -> None:
        """Keep how it failed, once."""
        if text[:NOTE_CHARACTERS] not in self.errors:
            self.errors.append(text[:NOTE_CHARACTERS])

    def note_errors(self) -> None:
        """Keep what its output so far shows of errors, and how it ended if nobody had told it to."""
        if self._output is None or self._output.closed:
            return
        self._output.seek(max(0, self._output.seek(0, os.SEEK_END) - OUTPUT_BYTES))
        printed = self._output.read().decode(errors="replace").strip()
        if self._ended_ns:
            code = self._process.poll() if self._process is not None else None
            if code != -signal.SIGKILL or self._armed != (self._process, signal.SIGKILL):
                self.ends.append((self._ended_ns, code, printed[-NOTE_CHARACTERS:]))
            self._ended_ns = 0
        places = [at for at in map(printed.find, ERRORS) if at >= 0]
        if places:
            begin = printed.rfind("\n", 0, min(places)) + 1
            self.errors.append(f"printed: {printed[begin:][:NOTE_CHARACTERS]}")
        self._output.truncate(0)

    def _printed(self) -> str:
        if self._process is not None:
            with suppress(subprocess.TimeoutExpired):  # then its output so far says more than nothing
                self._process.wait(END_WAIT_S)
        printed = ""
        if self._output is not None and not self._output.closed:
            self._output.seek(0)
            printed = self._output.read().decode(errors="replace").strip()
        return printed[-OUTPUT_CHARACTERS:] or f"exit code {self._process and self._process.returncode}"

    async def kill(self) -> None:
        """SIGKILL; returns when it has ended and its open requests have their answers."""
        self._may_end = True
        if self._beginning is not None:
            await asyncio.wait([self._beginning])
            if not self._beginning.cancelled():
                self._beginning.exception()  # `start` raises it; so it counts as seen
        self._signal(signal.SIGKILL)
        await self._wait_until_ended()

    async def pause(self) -> None:
        """SIGSTOP; returns when it has stopped."""
        if self._process is not None:
            self._signal(signal.SIGSTOP)
            await was_hit(self._process, signal.SIGSTOP, STATE_WAIT_S)

    async def resume(self) -> None:
        """SIGCONT."""
        self._signal(signal.SIGCONT)

    async def serves(self, wait_s: float) -> bool:
        """Whether it runs and answers within this time, in seconds."""
        if not self.running or is_stopped(self._process):
            return False
        with suppress(LabError):  # it has ended, or a fault has stopped it
            await self.ask(Count(), wait_s)
            return True
        return False

    async def counters(self, wait_s: float = CONTROL_WAIT_S) -> Counters | None:
        """What it counts. None: it has ended, gave no sign of life, or has lost what it ran; `noted` says so.

        Args:
            wait_s: how long it may take to answer, in seconds. Ask only while no fault suspends it: its silence is
                noted.
        """
        try:
            found: Counters = await self.ask(Count(), wait_s)
        except LabError as error:
            if self.running:  # of one that has ended, `ends` says so
                self._note(f"runs and serves nobody: {error}")
            return None
        if found.error:
            self._note(f"has lost its log worker: {found.error}")
            return None
        return found

    async def signal_at_point(self, point: str, number: int) -> bool:
        """Let the process send itself a signal at its next fault point; False if it does not serve."""
        self._armed, process = None, self._process
        if process is None or not self.running or is_stopped(process):
            return False
        self._armed = process, number
        with suppress(LabError):  # it is at its fault point already, has ended, or is silent: `was_signalled` tells
            await self.ask(SignalAtPoint(point, number))
        return True

    async def was_signalled(self, wait_s: float) -> bool:
        """Whether this signal, and no other end, stops or ends the process within this time, in seconds."""
        return self._armed is not None and await was_hit(*self._armed, wait_s)

    async def disarm(self) -> bool:
        """Take back a signal whose fault point has not come. False: the process has got it, or does not answer."""
        if self._armed is None or self._armed[0].poll() is not None:
            return True
        with suppress(LabError):
            await self.ask(SignalAtPoint("", 0), DISARM_WAIT_S)
            self._armed = None
            return True
        return False

    def _signal(self, number: int) -> None:
        if self._process is not None:
            self._process.send_signal(number)

    async def _wait_until_ended(self) -> None:
        process = self._process
        if process is None:
            return
        try:
            await asyncio.to_thread(process.wait, END_WAIT_S)
        except subprocess.TimeoutExpired:
            raise LabError(f"{self.name} did not end in {END_WAIT_S:.0f} s") from None
        if self._channel is not None:
            await self._ended.wait()  # the kernel closes the socket with the process

    async def close(self, *, in_order: bool = True) -> None:
        """Let it close what it has open, then end it.

        Args:
            in_order: False: end it at once, e.g. in the middle of a burst.

        Raises:
            LabError: it did not close in order, and keeps no output: then nobody reads `errors`.
        """
        try:
            if self.running and in_order:
                await self.resume()
                await self.ask(Close())
        except LabError as error:
            if not self._keeps_output:
                raise LabError(f"did not close in order: {error}") from None
            if self.running:  # of one that has ended, `ends` says so
                self._note(f"did not close in order: {error}")
        finally:
            await self.kill()  # what it had open is closed; an interpreter that ends in order takes a second
            self.note_errors()
            if self._output is not None:
                self._output.close()


def _output_file() -> tuple[BinaryIO, BinaryIO]:
    """A file without a name, twice: the lab reads and empties it, its process appends to it wherever its end is."""
    number, path = tempfile.mkstemp(prefix="stockade-output-")
    try:
        return os.fdopen(number, "w+b"), Path(path).open("ab")
    finally:
        Path(path).unlink()
