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
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Final

from stockade.lab.execution.processes.forking_process import ForkedProcess, ForkingProcess, can_fork

MODULE: Final = "stockade.lab.execution.processes.service_main"
IMPORTED: Final = (MODULE, "asyncpg", "asyncmy", "hiredis", "confluent_kafka.admin")  # drivers are imported when used
FORKING: Final = ForkingProcess(IMPORTED)  # of this process, for all that it supervises
POLL_S: Final = 0.002

Process = subprocess.Popen[bytes] | ForkedProcess


async def start_process(
    channel: socket.socket, output: BinaryIO | None, level: str, environment: Mapping[str, str]
) -> Process:
    """Start it; a caller that is cancelled meanwhile waits for the start, so that it can be ended.

    Args:
        channel: its end of the connection with the lab; closed here.
        output: gets what it prints; None: the lab's user does.
        level: from which on it logs.
        environment: further variables. They may be for the interpreter (libfaketime is), which reads them when it
            begins: such a process starts cold.

    Raises:
        LabError: the process that forks has ended.
    """
    if environment or not can_fork():
        return await asyncio.to_thread(_cold, channel, output, level, environment)
    return await asyncio.to_thread(_forked, channel, output, level)


def _forked(channel: socket.socket, output: BinaryIO | None, level: str) -> Process:
    streams = (1, 2) if output is None else (output.fileno(), output.fileno())
    with channel:
        return FORKING.start(
            MODULE,
            ["{descriptor}", level],
            environment=os.environ,
            folder=str(Path.cwd()),
            streams=streams,
            path=sys.path,
            passed=channel.fileno(),
        )


def _cold(channel: socket.socket, output: BinaryIO | None, level: str, environment: Mapping[str, str]) -> Process:
    with channel:
        return subprocess.Popen(
            [sys.executable, "-m", MODULE, str(channel.fileno()), level],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), **environment},
            pass_fds=[channel.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )


def is_stopped(process: Process | None) -> bool:
    """Whether a signal has stopped it; False for one that has ended."""
    if process is None or process.poll() is not None:
        return False
    if isinstance(process, ForkedProcess):
        return process.is_stopped()
    with suppress(ChildProcessError):  # it has ended, and another thread has waited for it
        return os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WNOHANG | os.WNOWAIT) is not None
    return False


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
