"""One running server: started, watched, hurt on purpose, ended. Knows nothing of databases.

Neighbours: `postgres.py`, `mariadb.py`, `redis.py` and `kafka.py` say in a `Recipe` how theirs is run, `launch.py`
forks it.
A server is ready when it says so in its log: no client library, and no answer of a stranger on the same port.
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
_FIRST_PORT = 15_000
_PORT_TRIES = 200


def free_port() -> int:
    """A free port of 127.0.0.1 below the range that outgoing connections take theirs from.

    A port of that range could go to a client's own connection while a killed server is down: the client then meets
    itself (TCP simultaneous open), and the restarted server finds its port taken.
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
class Recipe:
    """How one server is run.

    Attributes:
        kind: `postgres`, `mariadb`, `redis`, `kafka` or `pgbouncer`.
        program: what to execute.
        arguments: its command line, port included, so that a restart is the same server again.
        port: where it listens on 127.0.0.1.
        url: how clients name it.
        ready: regular expression of the log line that says it takes connections.
        stop_signal: asks for an orderly end that keeps the data.
        end_signal: ends it at once, for when the data is thrown away or this process dies.
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
    """A private server. It ends with this process at the latest.

    Attributes:
        kind: `postgres`, `mariadb`, `redis`, `kafka` or `pgbouncer`.
        url: how clients name it (no driver inside).
        port: on 127.0.0.1; a restart keeps it.
        folder: data and log; removed with the group of servers it belongs to.
        start_s: seconds that the last start took.
    """

    def __init__(self, recipe: Recipe, folder: Path, user: User | None) -> None:
        self.kind, self.url, self.port, self.folder = recipe.kind, recipe.url, recipe.port, folder
        self.start_s = 0.0
        self._recipe, self._user = recipe, user
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

    def log(self, tail: int = 4_000) -> str:
        """The last `tail` characters of everything it has printed."""
        return self._log.read_text(errors="replace")[-tail:] if self._log.exists() else ""

    def start(self) -> None:
        """Start it on its port and data, and wait until it takes connections.

        Raises:
            PortTaken: another process listens on the port.
            ServerFailed: it runs already, ended, or was not ready in time.
        """
        if self.running:
            raise ServerFailed(f"{self.kind} runs already, pid {self.pid}")
        recipe, begun = self._recipe, time.monotonic()
        skip = self._log.stat().st_size if self._log.exists() else 0
        self._process = launch(
            Launch(recipe.program, recipe.arguments, self.folder, self._log, recipe.end_signal, self._user)
        )
        self._crashed = False
        while time.monotonic() - begun < recipe.start_limit_s:
            said = self._log.read_bytes()[skip:].decode(errors="replace")
            if re.search(recipe.ready, said):
                self.start_s = time.monotonic() - begun
                return
            if self._process.poll() is not None:
                break
            time.sleep(_POLL_S)
        self.end()
        error = PortTaken if re.search(r"in use|Could not create server TCP", said) else ServerFailed
        raise error(f"{self.kind} did not start on port {self.port}:\n{said[-4_000:]}")

    def stop(self, patience_s: float = 15.0) -> None:
        """Ask for an orderly end and wait for it; kill after `patience_s` seconds. The data stays."""
        self._finish(self._recipe.stop_signal, patience_s)

    def end(self, patience_s: float = 5.0) -> None:
        """End it at once, because its data is no longer wanted; free what it holds outside its folder."""
        self._finish(self._recipe.end_signal, patience_s)
        if self._crashed:
            self._recipe.after_crash(self.folder)

    def kill(self) -> None:
        """A crash: SIGKILL to every process of the server at the same time. `restart` then recovers from the data."""
        if not self.running:
            return
        family = self._freeze()
        for pid in reversed(family):
            _send(pid, signal.SIGKILL)
        self._reap(5.0)
        _wait_until(lambda: all(_state(pid) in "ZX" for pid in family), f"{self.kind} to be gone")
        self._crashed = True

    def pause(self) -> None:
        """A machine that hangs: SIGSTOP to every process of the server. Connections stay open and silent."""
        self._freeze()

    def resume(self) -> None:
        """Let a paused server go on."""
        for pid in reversed(self._family()):
            _send(pid, signal.SIGCONT)

    def restart(self) -> None:
        """Stop it if it runs, then start it on the same port and data.

        Raises:
            ServerFailed: it did not come back; the message carries its log.
        """
        self.stop()
        self.start()

    def _family(self) -> list[int]:
        return [self.pid, *_children(self.pid)] if self.running else []

    def _freeze(self) -> list[int]:
        """Stop the first process, so that it forks no more, then its children (PostgreSQL has one per connection)."""
        if not self.running:
            raise ServerFailed(f"{self.kind} does not run")
        _send(self.pid, signal.SIGSTOP)
        _wait_until(lambda: _state(self.pid) in "TZX", f"{self.kind} to stop")
        family = self._family()
        for pid in family[1:]:
            _send(pid, signal.SIGSTOP)
        _wait_until(lambda: all(_state(pid) in "TZX" for pid in family), f"{self.kind} to stop")
        return family

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
        return  # it ended by itself a moment ago, which is what every caller wants in the end


def _wait_until(done: Callable[[], bool], what: str, limit_s: float = 5.0) -> None:
    end = time.monotonic() + limit_s
    while not done():
        if time.monotonic() > end:
            raise ServerFailed(f"waited {limit_s} s for {what}")
        time.sleep(0.001)


def _stat(pid: int) -> tuple[str, int] | None:
    """State letter and parent of a process, or None. Field 2 of the line may hold blanks and brackets."""
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
