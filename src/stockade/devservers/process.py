"""One running server: starts, pauses, kills and ends it, whatever kind it is.

A server is ready when its log says so. That needs no client library, and cannot be confused with another process on the
same port. Neighbours: `postgres.py`, `mariadb.py`, `redis.py`, `pgbouncer.py` and `kafka/cluster.py` make the
`ServerSpec`, `launch.py` starts its program.
"""

import os
import random
import re
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from stockade.devservers.errors import PortTaken, ServerFailed
from stockade.devservers.launch import Launch, Program, User, launch

HOST = "127.0.0.1"
_POLL_S = 0.01
_STATE_WAIT_S = 5.0  # until a process that was sent a signal has ended or stopped
_FIRST_PORT = 15_000
_PORT_TRIES = 200


def free_port() -> int:
    """A free port of 127.0.0.1, below the range of the ports of outgoing connections.

    While a killed server is down, its client's own connection could get a port of that range: then the client connects
    to itself (TCP simultaneous open), and the restarted server finds its port in use.
    """
    try:
        low = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    except OSError:
        low = 32_768
    for _ in range(_PORT_TRIES):
        port = random.randrange(_FIRST_PORT, low) if low > _FIRST_PORT else 0
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise ServerFailed(f"no free port on {HOST} in {_PORT_TRIES} tries")


@dataclass(frozen=True, slots=True)
class ServerSpec:
    """How to run one server.

    Attributes:
        kind: `postgres`, `mariadb`, `redis`, `kafka` or `pgbouncer`.
        program: to execute.
        arguments: of the program, port included, so that a restart uses the same port and data.
        port: on 127.0.0.1.
        url: for clients.
        ready: regular expression of the log line that says that it accepts connections.
        stop_signal: ends it in order and keeps the data.
        end_signal: ends it at once, when its data is not needed any more or this process ends.
        start_limit_s: longest start, recovery after a crash included.
        after_crash: frees what a killed server leaves outside its folder.
    """

    kind: str
    program: Program
    arguments: tuple[str, ...]
    port: int
    url: str
    ready: str
    stop_signal: signal.Signals = signal.SIGTERM
    end_signal: signal.Signals = signal.SIGKILL
    start_limit_s: float = 30.0
    after_crash: Callable[[Path], None] = lambda folder: None


class Server:
    """A private server. It never outlives this process.

    Attributes:
        kind: `postgres`, `mariadb`, `redis`, `kafka` or `pgbouncer`.
        url: for clients; it names no driver.
        port: on 127.0.0.1; a restart keeps it.
        folder: data and log; removed with its group of servers.
    """

    def __init__(self, spec: ServerSpec, folder: Path, user: User | None) -> None:
        self.kind, self.url, self.port, self.folder = spec.kind, spec.url, spec.port, folder
        self._spec, self._user = spec, user
        self._log = folder / "log"
        self._process: subprocess.Popen[bytes] | None = None
        self._crashed = False

    def __repr__(self) -> str:
        return f"<{self.kind} {self.url} {f'pid {self.pid}' if self.running else 'not running'}>"

    @property
    def running(self) -> bool:
        """Whether the process exists (a paused one does)."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """Process id of the last start.

        Raises:
            ServerFailed: it was never started.
        """
        if self._process is None:
            raise ServerFailed(f"{self.kind} was never started")
        return self._process.pid

    @property
    def pids(self) -> list[int]:
        """All processes of the server, the main one first; none if it does not run."""
        return [self.pid, *_children(self.pid)] if self.running else []

    @property
    def user(self) -> User | None:
        """Whom it runs as; None: as this process."""
        return self._user

    def log(self, tail: int = 4_000) -> str:
        """The last `tail` characters of everything it has printed."""
        return self._log.read_text(errors="replace")[-tail:] if self._log.exists() else ""

    def start(self) -> None:
        """Start it on its port and data, and wait until it accepts connections.

        Raises:
            PortTaken: another process listens on the port.
            ServerFailed: it runs already, ended, or was not ready in time.
        """
        if self.running:
            raise ServerFailed(f"{self.kind} runs already, pid {self.pid}")
        spec, began = self._spec, time.monotonic()
        skip = self._log.stat().st_size if self._log.exists() else 0
        self._process = launch(
            Launch(spec.program, spec.arguments, self.folder, self._log, spec.end_signal, self._user)
        )
        self._crashed = False
        while time.monotonic() - began < spec.start_limit_s:
            output = self._log.read_bytes()[skip:].decode(errors="replace")
            if re.search(spec.ready, output):
                return
            if self._process.poll() is not None:
                break
            time.sleep(_POLL_S)
        self.end()
        error = PortTaken if re.search(r"in use|Could not create server TCP", output) else ServerFailed
        raise error(f"{self.kind} did not start on port {self.port}:\n{output[-4_000:]}")

    def stop(self, patience_s: float = 15.0) -> None:
        """End it in order, or kill it after `patience_s` seconds. The data stays."""
        self._finish(self._spec.stop_signal, patience_s)

    def end(self, patience_s: float = 5.0) -> None:
        """End it at once, because its data is not needed any more; free what it has left outside its folder."""
        self._finish(self._spec.end_signal, patience_s)
        if self._crashed:
            self._spec.after_crash(self.folder)

    def kill(self) -> None:
        """Crash it: SIGKILL to all processes of the server at the same time. `restart` then recovers from the data."""
        if not self.running:
            return
        processes = self._freeze()
        for pid in reversed(processes):
            _send(pid, signal.SIGKILL)
        self._reap(5.0)
        _wait_until(lambda: all(_state(pid) in "ZX" for pid in processes), f"{self.kind} to be gone")
        self._crashed = True

    def pause(self) -> None:
        """Suspend it: SIGSTOP to all processes of the server. Connections stay open, without answers."""
        self._freeze()

    def resume(self) -> None:
        """Resume a paused server."""
        for pid in reversed(self.pids):
            _send(pid, signal.SIGCONT)

    def restart(self) -> None:
        """Stop it if it runs, then start it on the same port and data.

        Raises:
            ServerFailed: it did not start; the message carries its log.
        """
        self.stop()
        self.start()

    def _freeze(self) -> list[int]:
        """Stop the main process, so that it forks no more, then its children (PostgreSQL has one a connection)."""
        if not self.running:
            raise ServerFailed(f"{self.kind} does not run")
        _send(self.pid, signal.SIGSTOP)
        _wait_until(lambda: _state(self.pid) in "TZX", f"{self.kind} to stop")
        processes = self.pids
        for pid in processes[1:]:
            _send(pid, signal.SIGSTOP)
        _wait_until(lambda: all(_state(pid) in "TZX" for pid in processes), f"{self.kind} to stop")
        return processes

    def _finish(self, how: signal.Signals, patience_s: float) -> None:
        if not self.running:
            return
        self.resume()
        _send(self.pid, how)
        if not self._reap(patience_s):
            self.kill()

    def _reap(self, limit_s: float) -> bool:
        assert self._process is not None
        try:
            self._process.wait(limit_s)
        except subprocess.TimeoutExpired:
            return False
        return True


def _send(pid: int, what: signal.Signals) -> None:
    try:
        os.kill(pid, what)
    except ProcessLookupError:
        return  # it has just ended by itself: no caller needs it any more


def _wait_until(done: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + _STATE_WAIT_S
    while not done():
        if time.monotonic() > end:
            raise ServerFailed(f"waited {_STATE_WAIT_S} s for {what}")
        time.sleep(0.001)


def _stat(pid: int) -> tuple[str, int] | None:
    """State letter and parent of a process, or None. Field 2 of the line may contain blanks and brackets."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return fields[0], int(fields[1])


def _state(pid: int) -> str:
    found = _stat(pid)
    return found[0] if found else "X"


def _children(parent: int) -> Iterator[int]:
    for process in Path("/proc").glob("[0-9]*"):
        if (found := _stat(int(process.name))) and found[1] == parent and found[0] not in "ZX":
            yield int(process.name)
