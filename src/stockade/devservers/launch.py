"""Starts programs so that they end with this process, however it ends, `kill -9` included.

The kernel sends the death signal when the *thread* that forked ends, not the process. So one daemon thread, which lives
as long as the process, forks all servers. Neighbours: `child.py` runs before the program, `process.py` calls `launch`.
"""

import json
import os
import queue
import resource
import subprocess
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path

OPEN_FILES = 65_536
_LAUNCH_LIMIT_S = 30.0
_CHILD = Path(__file__).with_name("child.py")


@dataclass(frozen=True, slots=True)
class Program:
    """Something to execute.

    Attributes:
        path: the file.
        name: its argv[0], for a file that serves under several names; empty for the path.
        libraries: folder with its shared libraries, if it is unpacked and not installed.
    """

    path: Path
    name: str = ""
    libraries: Path | None = None

    @property
    def environment(self) -> dict[str, str]:
        """A clean environment: a server must not inherit the caller's PGDATA, LANG or proxies."""
        env = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "HOME": "/nonexistent"}
        return {**env, "LD_LIBRARY_PATH": str(self.libraries)} if self.libraries else env


@dataclass(frozen=True, slots=True)
class User:
    """The unprivileged account that servers run as when this process is root."""

    uid: int
    gid: int


@dataclass(frozen=True, slots=True)
class Launch:
    """One start: the program with its arguments, its log file, and the signal that it gets when this process ends."""

    program: Program
    arguments: Sequence[str]
    folder: Path
    log: Path
    death_signal: int
    user: User | None


def raise_open_files() -> int:
    """Raise this process's own limit of open files as far as possible, for a lab with a thousand connections.

    Returns:
        The new limit.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < OPEN_FILES:
        soft = min(OPEN_FILES, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return soft


def server_open_files() -> int:
    """How many files a server that we start may open."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return OPEN_FILES if os.geteuid() == 0 else min(OPEN_FILES, hard)


def launch(what: Launch) -> subprocess.Popen[bytes]:
    """Start a program whose life is bound to this process. May be called from any thread."""
    return _launcher().run(what)


class _Launcher:
    def __init__(self) -> None:
        self.pid = os.getpid()
        self._requests: queue.SimpleQueue[tuple[Launch, Future[subprocess.Popen[bytes]]]] = queue.SimpleQueue()
        threading.Thread(target=self._serve, name="stockade-launcher", daemon=True).start()

    def run(self, what: Launch) -> subprocess.Popen[bytes]:
        answer: Future[subprocess.Popen[bytes]] = Future()
        self._requests.put((what, answer))
        return answer.result(_LAUNCH_LIMIT_S)

    def _serve(self) -> None:
        while True:
            what, answer = self._requests.get()
            try:
                answer.set_result(_start(what))
            except Exception as error:  # noqa: BLE001 - raised in the calling thread
                answer.set_exception(error)


def _start(what: Launch) -> subprocess.Popen[bytes]:
    user = {"uid": what.user.uid, "gid": what.user.gid} if what.user else {"uid": None, "gid": 0}
    task = {**user, "parent": os.getpid(), "death_signal": what.death_signal, "open_files": OPEN_FILES}
    program = str(what.program.path)
    shim = [sys.executable, "-I", "-S", str(_CHILD), json.dumps(task), program, what.program.name or program]
    with what.log.open("ab") as log:
        return subprocess.Popen(
            [*shim, *what.arguments],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=what.folder,
            env=what.program.environment,
            start_new_session=True,  # Ctrl-C in the terminal must not reach the servers
        )


_lock = threading.Lock()
_the_launcher: _Launcher | None = None


def _launcher() -> _Launcher:
    global _the_launcher  # noqa: PLW0603 - one thread per process is the point; after a fork the child needs its own
    with _lock:
        if _the_launcher is None or _the_launcher.pid != os.getpid():
            _the_launcher = _Launcher()
        return _the_launcher
