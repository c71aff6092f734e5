"""Starts of the program without its imports, which take a second of processor time each time.

A process that has imported the program, one for each process of tests, forks for each start and runs `stockade` (or
another module) in the new process: another pid, folder, environment, standard output and error. Nothing else is shared.
What a test changes in the program, and the processes that `stockade serve` starts itself, begin cold. Neighbours:
`service.py` and `tests/kafka/harness.py` use it.
"""

import atexit
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from contextlib import suppress
from pathlib import Path

ROOT = Path(__file__).parents[2]
PRELOADED = (
    "stockade.cli.typer_app",
    "stockade.cli.serving.ready",
    "stockade.shop.http.server.server",
    "stockade.shop.http.server.supervisor",
    "stockade.shop.config.load",
    "stockade.kafka.worker",
    "confluent_kafka",
    "asyncpg",
    "asyncmy",
    "redis.asyncio",
    "alembic.command",
    "typer._adapters",
)
MOST_BYTES = 2**16  # of a request; an environment is smaller
ANSWER_LIMIT_S = 60.0
END_LIMIT_S = 10.0


class WarmStarts:
    """The process that forks, started by the first use."""

    def __init__(self):
        self._forking, self._link, self._owner = None, None, None
        self._asking = threading.Lock()

    def start(self, words, *, cwd, env, stdout, stderr, module="stockade"):
        """Start the program with these words.

        Args:
            words: its arguments.
            cwd: its folder.
            env: its environment.
            stdout: file descriptor, duplicated.
            stderr: the same.
            module: what runs, as by `python -m`.
        """
        request = {"module": module, "words": [str(each) for each in words], "cwd": str(cwd), "env": env}
        return StartedProcess(self, self._ask(request, [stdout, stderr]))

    def status(self, pid):
        """The exit code of a process that has ended, as `subprocess` says it."""
        code = self._ask({"ended": pid}, [])
        if code is None:
            raise RuntimeError(f"the forking process has ended that started {pid}: its exit code is lost")
        return code

    def _ask(self, request, descriptors):
        message = json.dumps(request).encode()
        assert len(message) < MOST_BYTES, "the environment is too long for one message"
        with self._asking:
            if self._owner != os.getpid():
                self._begin()
            try:
                socket.send_fds(self._link, [message], descriptors)
                answer = self._link.recv(64)
            except BaseException as error:
                self._leave()
                if isinstance(error, OSError):
                    raise RuntimeError("the forking process has ended") from error
                raise
            if not answer:
                self._leave()
                raise RuntimeError("the forking process has ended")
            return json.loads(answer)

    def _begin(self):
        self._link, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._link.settimeout(ANSWER_LIMIT_S)
        command = [sys.executable, "-m", "tests.cli.warm_start", str(theirs.fileno())]
        self._forking = subprocess.Popen(command, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, cwd=ROOT)
        theirs.close()
        self._owner = os.getpid()
        atexit.register(self._end, os.getpid())

    def _leave(self):
        """The next use starts anew: a late answer would be taken for that of the next request."""
        self._owner = None
        self._link.close()
        self._forking.kill()
        self._forking.wait(END_LIMIT_S)

    def _end(self, owner):
        if owner == os.getpid():  # not in a fork of the tests' process
            self._link.close()
            self._forking.wait(END_LIMIT_S)


class StartedProcess:
    """A process that was started, with the part of `subprocess.Popen` that the tests use.

    Attributes:
        pid: of the process.
        stdout: reads its output, where `service.py` has opened a pipe.
        returncode: None while it runs.
    """

    def __init__(self, starts, pid):
        self.pid, self.stdout, self.returncode = pid, None, None
        self._starts, self._pidfd, self._ending = starts, os.pidfd_open(pid), threading.Lock()

    def poll(self):
        """The exit code, None while it runs."""
        with suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def wait(self, timeout=None):
        """Wait for the end; the exit code, negative for a signal."""
        if self.returncode is None:
            ending = select.poll()  # `select.select` takes no descriptor above 1023
            ending.register(self._pidfd, select.POLLIN)
            if not ending.poll(None if timeout is None else timeout * 1000):
                raise subprocess.TimeoutExpired("stockade", timeout)
        with self._ending:
            if self.returncode is None:
                self.returncode = self._starts.status(self.pid)
                os.close(self._pidfd)
        return self.returncode

    def send_signal(self, number):
        """Send a signal, unless it has ended."""
        if self.poll() is None:
            signal.pidfd_send_signal(self._pidfd, number)

    def terminate(self):
        """Send SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self):
        """Send SIGKILL."""
        self.send_signal(signal.SIGKILL)


def exit_code(pid):
    """The exit code of a process that has ended; None for one that another forking process has started."""
    try:
        _, status = os.waitpid(pid, 0)
    except ChildProcessError:
        return None
    return os.waitstatus_to_exitcode(status)


def serve_starts(link):
    """Fork for each request until the tests' process ends; returns in each new process only: what it runs."""
    while True:
        message, descriptors, *_ = socket.recv_fds(link, MOST_BYTES, 2)
        if not message:
            sys.exit()
        request = json.loads(message)
        if pid := request.get("ended"):
            link.send(json.dumps(exit_code(pid)).encode())
            continue
        if pid := os.fork():
            link.send(str(pid).encode())
            for each in descriptors:
                os.close(each)
            continue
        signal.signal(signal.SIGINT, signal.default_int_handler)
        link.close()
        for each, place in zip(descriptors, (1, 2), strict=True):
            os.dup2(each, place)
            os.close(each)
        os.chdir(request["cwd"])
        os.environ.clear()
        os.environ.update(request["env"])
        tempfile.tempdir = None  # TMPDIR may be another one now
        sys.path[0] = request["cwd"]
        return request["module"], request["words"]


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches it too: it serves until the tests have ended
    for name in PRELOADED:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()  # a new process does not look through what it shares, which would copy it
    module, sys.argv[1:] = serve_starts(socket.socket(fileno=int(sys.argv[1])))
    runpy.run_module(module, run_name="__main__", alter_sys=True)
