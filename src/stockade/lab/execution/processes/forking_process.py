"""Starts of Python modules without their imports, which take a second of processor time each.

A process that has imported them forks for each start, and runs a module in the new process: with its own pid, folder,
environment, import path, standard output and error. Nothing else is shared. What the interpreter reads when it begins
(`PYTHON…`, `LD_PRELOAD`) is that of the forking process: what depends on it starts cold. Neighbours: `fork_main.py` is
the process, `service_process.py` starts service processes by it.
"""

import atexit
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import weakref
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from stockade.lab.errors import LabError

MODULE: Final = "stockade.lab.execution.processes.fork_main"
MOST_BYTES: Final = 64  # of an answer
ANSWER_LIMIT_S: Final = 60.0
END_LIMIT_S: Final = 10.0
HAS_ENDED: Final = "the process that forks has ended"


class ForkingProcess:
    """A process that forks; the first start begins it, and it ends with this process.

    Args:
        modules: that it imports before; one that cannot be imported is left out.
    """

    def __init__(self, modules: Sequence[str]) -> None:
        self._modules = modules
        self._process: subprocess.Popen[bytes] | None = None
        self._link: socket.socket | None = None
        self._owner = 0  # the process that has begun it: a fork of that begins its own
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
            LabError: the process that forks has ended, or did not answer within 60 s.
        """
        start = {
            "module": module,
            "words": list(words),
            "environment": dict(environment),
            "folder": folder,
            "path": list(path),
        }
        with os.fdopen(os.memfd_create("start"), "w+b") as file:  # an environment may be longer than a message
            file.write(json.dumps(start).encode())
            file.seek(0)
            pid = self._ask("start", descriptors=[file.fileno(), *streams, *([] if passed is None else [passed])])
        return ForkedProcess(self, pid)

    def exit_code(self, pid: int) -> int:
        """Of a process that has ended, as `subprocess` says it.

        Raises:
            LabError: the process that forks has ended, and the code is lost.
        """
        code = self._ask("exit code", pid)
        if code is None:
            raise LabError(f"{HAS_ENDED} that started process {pid}: its exit code is lost")
        return int(code)

    def is_stopped(self, pid: int) -> bool:
        """Whether a signal has stopped this process.

        Raises:
            LabError: the process that forks has ended.
        """
        return bool(self._ask("is stopped", pid))

    def _ask(self, question: str, pid: int = 0, descriptors: Sequence[int] = ()) -> Any:
        with self._asking:
            if self._owner != os.getpid():
                if pid:
                    raise LabError(f"{HAS_ENDED} that started process {pid}")
                self._begin()
            assert self._link is not None
            try:
                socket.send_fds(self._link, [json.dumps([question, pid]).encode()], descriptors)
                answer = self._link.recv(MOST_BYTES)
            except BaseException as error:
                self._leave()
                if isinstance(error, OSError):
                    raise LabError(HAS_ENDED) from error
                raise
            if not answer:
                self._leave()
                raise LabError(HAS_ENDED)
            return json.loads(answer)

    def _begin(self) -> None:
        self._link, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._link.settimeout(ANSWER_LIMIT_S)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", MODULE, str(theirs.fileno()), *self._modules],
                env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
            )
        self._owner = os.getpid()
        atexit.register(self._end, self._owner)

    def _leave(self) -> None:
        """The next start begins a new one: a late answer would be taken for that of the next message."""
        assert self._link is not None
        assert self._process is not None
        self._owner = 0
        self._link.close()
        self._process.kill()
        self._process.wait(END_LIMIT_S)

    def _end(self, owner: int) -> None:
        if owner == self._owner == os.getpid() and self._link is not None and self._process is not None:
            self._link.close()
            self._process.wait(END_LIMIT_S)


class ForkedProcess:
    """A process that was started by a `ForkingProcess`, with the part of `subprocess.Popen` that is needed.

    Attributes:
        pid: of the process.
        returncode: its exit code, negative for a signal; None while it runs, and until `poll` or `wait` has seen it.
    """

    def __init__(self, origin: ForkingProcess, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._origin, self._pidfd, self._ending = origin, os.pidfd_open(pid), threading.Lock()
        weakref.finalize(self, os.close, self._pidfd)  # not when it has ended: another thread may wait for it

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
            LabError: the process that has started it has ended.
        """
        if self.returncode is None:
            ending = select.poll()  # `select.select` takes no descriptor above 1023
            ending.register(self._pidfd, select.POLLIN)
            if not ending.poll(None if timeout is None else timeout * 1000):
                raise subprocess.TimeoutExpired(MODULE, timeout or 0.0)
        with self._ending:
            if self.returncode is None:
                self.returncode = self._origin.exit_code(self.pid)
            return self.returncode

    def is_stopped(self) -> bool:
        """Whether a signal has stopped it.

        Raises:
            LabError: the process that has started it has ended.
        """
        if self.poll() is not None:
            return False
        with suppress(FileNotFoundError, ProcessLookupError):  # it has ended
            state = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[0]
            # by `strace` too, for a moment at each call: only its parent can tell which
            return state in "Tt" and self._origin.is_stopped(self.pid)
        return False

    def send_signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        if self.poll() is None:
            signal.pidfd_send_signal(self._pidfd, number)

    def terminate(self) -> None:
        """Send SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Send SIGKILL."""
        self.send_signal(signal.SIGKILL)


def can_fork() -> bool:
    """Whether the end of a process of another one can be waited for: on Linux from 5.3 on."""
    try:
        os.close(os.pidfd_open(os.getpid()))
    except (AttributeError, OSError):
        return False
    return True
