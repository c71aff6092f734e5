"""Starts the program of a service process: forked from one that has imported it, or cold where it needs that.

Neighbours: `forking_process.py` forks, `service_main.py` is the program, `service_process.py` supervises it.
"""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import BinaryIO, Final

from stockade.lab.errors import LabError
from stockade.lab.execution.processes.fork_main import is_stopped_child
from stockade.lab.execution.processes.forking_process import ForkedProcess, ForkingProcess, can_fork, with_import_path

SERVICE: Final = "stockade.lab.execution.processes.service_main"
IMPORTED: Final = (SERVICE, "asyncpg", "asyncmy", "hiredis", "confluent_kafka.admin")  # drivers are imported when used
# Two, because all processes that one of them forks go through sets in the same order: code that locks in that order
# would never meet its deadlock.
FORKING: Final = (ForkingProcess(IMPORTED), ForkingProcess(IMPORTED))
POLL_S: Final = 0.002

Process = subprocess.Popen[bytes] | ForkedProcess


async def start_process(
    forking: ForkingProcess,
    channel: socket.socket,
    output: BinaryIO | None,
    level: str,
    environment: Mapping[str, str],
) -> Process:
    """Start it.

    Args:
        forking: forks it, unless it starts cold.
        channel: its end of the connection with the lab; closed here, when it has been started.
        output: gets what it prints; closed here, too. None: the lab's user sees it.
        level: from which on it logs.
        environment: further variables. They may be for the interpreter (libfaketime is), which reads them when it
            begins: such a process starts cold.

    Raises:
        LabError: it cannot be started.
    """
    if environment or not can_fork():
        return _cold(channel, output, level, environment)
    return await asyncio.to_thread(_forked, forking, channel, output, level)


def _forked(forking: ForkingProcess, channel: socket.socket, output: BinaryIO | None, level: str) -> Process:
    with channel, _open(output):
        return forking.start(
            SERVICE,
            ["{descriptor}", level],
            environment=with_import_path(os.environ),
            folder=str(Path.cwd()),
            streams=(1, 2) if output is None else (output.fileno(), output.fileno()),
            path=sys.path,
            passed=channel.fileno(),
        )


def _cold(channel: socket.socket, output: BinaryIO | None, level: str, environment: Mapping[str, str]) -> Process:
    with channel, _open(output):  # not in a pool's thread: the kernel kills the process when that thread ends
        try:
            return subprocess.Popen(
                [sys.executable, "-m", SERVICE, str(channel.fileno()), level],
                env={**with_import_path(os.environ), **environment},
                pass_fds=[channel.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        except OSError as error:
            raise LabError(f"{SERVICE} cannot be started: {error}") from error


def _open(output: BinaryIO | None) -> AbstractContextManager[BinaryIO | None]:
    return nullcontext() if output is None else output


def is_stopped(process: Process | None) -> bool:
    """Whether a signal has stopped it; False for one that has ended."""
    if process is None or process.poll() is not None:
        return False
    return process.is_stopped() if isinstance(process, ForkedProcess) else is_stopped_child(process.pid)


async def was_hit(process: Process, number: int, wait_s: float) -> bool:
    """Whether SIGSTOP stops a process, or another signal ends it, within this time, in seconds."""
    deadline = time.monotonic() + wait_s
    while True:
        if process.poll() is not None:
            return process.returncode == -number
        if number == signal.SIGSTOP and is_stopped(process):
            return True
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(POLL_S)
