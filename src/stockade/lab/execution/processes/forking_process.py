"""Starts Python modules without their imports, which would take a second of processor time at each start.

A process that has imported them forks for each start, and runs a module in the new process: with its own pid, folder,
environment, import path, limit of open files, standard output and error. What else a process inherits is as it was when
the forking one began: locale, time zone, other limits, and what the interpreter reads at its beginning (`PYTHON…`,
`LD_PRELOAD`), the seed of the hashes of texts among it. What depends on one of these starts cold. Neighbours:
`fork_main.py` is the process, `process_start.py` starts service processes by it.
"""

import atexit
import json
import os
import resource
import select
import signal
import socket
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from stockade.lab.errors import LabError

FORKER: Final = "stockade.lab.execution.processes.fork_main"
ANSWER_BYTES: Final = 2**10
START_LIMIT_S: Final = 60.0  # of the first, which waits for the imports
ANSWER_LIMIT_S: Final = 10.0
END_LIMIT_S: Final = 10.0
POLL_S: Final = 0.002
LOST: Final = 255  # exit code of a process whose own is not known: the one that forked it has ended


class ForkingProcess:
    """A process that forks; the first start begins it, and it ends with this process.

    Args:
        modules: that it imports before; one that cannot be imported is left out.
    """

    def __init__(self, modules: Sequence[str]) -> None:
        self._modules = modules
        self._process: subprocess.Popen[bytes] | None = None
        self._link: socket.socket | None = None
        self._owner = 0  # pid of the process that began it; a fork of that process begins its own
        self._asking = threading.Lock()

    def start(
        self,
        module: str,
        words: Sequence[str],
        *,
        environment: Mapping[str, str],
        folder: str,
        streams: tuple[int, int],
        path: Sequence[str],
        passed: int | None = None,
    ) -> "ForkedProcess":
        """Run a module in a new process, as by `python -m`; takes milliseconds, the first time a second.

        Args:
            module: its name.
            words: its arguments; `{descriptor}` is replaced by the number of the passed descriptor there.
            environment: all its variables.
            folder: in which it runs.
            streams: descriptors of its standard output and error, duplicated.
            path: where it looks for modules, as `sys.path`.
            passed: a further descriptor that it gets, duplicated.

        Raises:
            LabError: it cannot be started: too many processes or open files, or the process that forks has ended, or
                gave no answer within 10 s, the first time 60.
        """
        start = {
            "module": module,
            "words": list(words),
            "environment": dict(environment),
            "folder": folder,
            "path": list(path),
            "open_files": resource.getrlimit(resource.RLIMIT_NOFILE),
        }
        with self._asking:
            try:
                if self._owner != os.getpid():
                    self._begin()
                with os.fdopen(os.memfd_create("start"), "w+b") as file:  # an environment may be longer than a message
                    file.write(json.dumps(start).encode())
                    file.seek(0)
                    passing = [file.fileno(), *streams, *([] if passed is None else [passed])]
                    pid = self._ask("start", 0, passing)
            except OSError as error:
                raise LabError(f"{module} cannot be started: {error}") from error
            if not isinstance(pid, int):
                raise LabError(f"{module} cannot be started: {pid}")
            assert self._process is not None
            return ForkedProcess(self, self._process, module, pid)

    def ask(self, process: "subprocess.Popen[bytes]", question: str, pid: int) -> Any:
        """Ask about a process that it has started.

        Args:
            process: the one that forked it.
            question: `exit code` or `is stopped`.
            pid: of the process that it is about.

        Raises:
            LabError: the process that forked it has ended, or gave no answer within 10 s.
        """
        if process.returncode is not None:  # without waiting for the imports of the one that takes its place
            raise LabError("the process that forked it has ended")
        with self._asking:
            if self._owner != os.getpid() or process is not self._process:
                raise LabError("the process that forked it has ended")
            return self._ask(question, pid)

    def _ask(self, question: str, pid: int, descriptors: Sequence[int] = ()) -> Any:
        assert self._link is not None
        try:
            socket.send_fds(self._link, [json.dumps([question, pid]).encode()], descriptors)
        except (BrokenPipeError, ConnectionResetError):
            self._abandon()
            raise LabError("the process that forks has ended") from None
        try:
            answer = self._link.recv(ANSWER_BYTES)
        except BaseException as error:  # a late answer would be taken for that of the next question
            self._abandon()
            if isinstance(error, OSError):
                raise LabError(f"the process that forks has ended: {error}") from error
            raise
        if not answer:
            self._abandon()
            raise LabError("the process that forks has ended")
        self._link.settimeout(ANSWER_LIMIT_S)
        return json.loads(answer)

    def _begin(self) -> None:
        self._link, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._link.settimeout(START_LIMIT_S)
        with theirs:
            try:
                self._process = subprocess.Popen(
                    [sys.executable, "-m", FORKER, str(theirs.fileno()), *self._modules],
                    env=with_import_path(os.environ),
                    pass_fds=[theirs.fileno()],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                )
            except OSError:
                self._link.close()
                raise
        self._owner = os.getpid()
        atexit.register(self._end, self._process)

    def _abandon(self) -> None:
        """Kill it; the kernel then kills the service processes, which ask for that. The next start begins a new one."""
        assert self._link is not None
        assert self._process is not None
        self._owner = 0
        self._link.close()
        _kill(self._process)

    def _end(self, process: "subprocess.Popen[bytes]") -> None:
        if self._owner != os.getpid() or process is not self._process or self._link is None:
            return
        self._owner = 0
        self._link.close()
        _kill(process)  # it has nothing to save


class ForkedProcess:
    """A process that was started by a `ForkingProcess`, with the part of `subprocess.Popen` that is needed.

    Args:
        forking: has started it.
        forked_by: the process that forked it.
        module: that it runs.
        pid: of the process.

    Attributes:
        pid: as given.
        returncode: its exit code, negative for a signal, `LOST` if nobody knows it; None while it runs, and until
            `poll` or `wait` has seen it.

    Raises:
        LabError: too many files are open; the process is killed.
    """

    def __init__(self, forking: ForkingProcess, forked_by: "subprocess.Popen[bytes]", module: str, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._forking, self._forked_by, self._module = forking, forked_by, module
        self._seeing_end = threading.Lock()
        try:
            self._pidfd = os.pidfd_open(pid)
        except OSError as error:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            raise LabError(f"{module} cannot be started: {error}") from error
        weakref.finalize(self, os.close, self._pidfd)  # open as long as this object: another thread may wait for it

    def poll(self) -> int | None:
        """The exit code, None while it runs."""
        with suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end; the exit code, negative for a signal.

        Args:
            timeout: how long, in seconds; None: however long it takes.

        Raises:
            subprocess.TimeoutExpired: it still runs.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        ending = select.poll()  # `select.select` takes no descriptor above 1023
        ending.register(self._pidfd, select.POLLIN)
        while self.returncode is None:
            left_s = None if deadline is None else max(0.0, deadline - time.monotonic())
            if ending.poll(None if left_s is None else left_s * 1000):
                with self._seeing_end:
                    if self.returncode is None:
                        self.returncode = self._exit_code()
            if self.returncode is None:
                if left_s == 0.0:
                    raise subprocess.TimeoutExpired(self._module, timeout or 0.0)
                time.sleep(POLL_S)  # a tracer (strace) must see the end before its parent can
        return self.returncode

    def _exit_code(self) -> int | None:
        """Of one that has ended; None while its parent does not know it yet."""
        try:
            code: int | None = self._forking.ask(self._forked_by, "exit code", self.pid)
        except LabError:
            return LOST
        return code

    def is_stopped(self) -> bool:
        """Whether a signal has stopped it."""
        if self.poll() is not None:
            return False
        # `strace` stops it for a moment at each call too; only its parent can tell the two apart
        with suppress(FileNotFoundError, ProcessLookupError, LabError):  # it, or the one that forked it, has ended
            state = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[0]
            return state in "Tt" and bool(self._forking.ask(self._forked_by, "is stopped", self.pid))
        return False

    def send_signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        if self.poll() is None:
            with suppress(ProcessLookupError):  # it has ended this moment
                signal.pidfd_send_signal(self._pidfd, number)

    def terminate(self) -> None:
        """Send SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Send SIGKILL."""
        self.send_signal(signal.SIGKILL)


def _kill(process: "subprocess.Popen[bytes]") -> None:
    process.kill()
    with suppress(subprocess.TimeoutExpired):  # the kernel ends it later; nobody asks it anything any more
        process.wait(END_LIMIT_S)


def with_import_path(environment: Mapping[str, str]) -> dict[str, str]:
    """These variables, and the one by which a Python process finds what this one does."""
    return {**environment, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}


def can_fork() -> bool:
    """Whether the end of a process of another one can be waited for: on Linux from 5.3 on."""
    try:
        os.close(os.pidfd_open(os.getpid()))
    except (AttributeError, OSError):
        return False
    return True
