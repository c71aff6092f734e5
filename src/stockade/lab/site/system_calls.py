"""Delays or fails the flushes of running processes: a slow disk and a failing disk, by `strace -e inject`.

A flush that fails is how most file systems report a block that could not be written (Rebello et al., "Can applications
recover from fsync failures?", USENIX ATC 2020). Neighbour: `disk.py` decides which processes.
"""

import asyncio
import os
import signal
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from stockade.lab.errors import LabError

FLUSHES = "fsync,fdatasync,sync_file_range,msync"
ATTACH_WAIT_S = 5.0
DETACH_WAIT_S = 3.0
_POLL_S = 0.01


def slow(delay_s: float) -> str:
    """Each flush takes so many seconds longer."""
    return f"delay_enter={int(delay_s * 1_000_000)}"


FAILING = "error=EIO"


class SystemCallFault:
    """One tracer at a time. Processes that the traced ones start are traced too."""

    def __init__(self) -> None:
        self._tracer: asyncio.subprocess.Process | None = None

    @property
    def has_ended(self) -> bool:
        """Whether the tracer has ended before `end`."""
        return self._tracer is not None and self._tracer.returncode is not None

    async def begin(self, pids: Sequence[int], what: str) -> None:
        """Change the flushes of these processes from now on; returns when all are attached.

        Args:
            pids: process ids.
            what: `slow(…)` or `FAILING`.

        Raises:
            LabError: the tracer could not attach to one of them.
        """
        await self.end()
        named = [part for pid in pids for part in ("-p", str(pid))]
        options = ["-f", "-q", "-o", os.devnull, "-e", f"trace={FLUSHES}", "-e", f"inject={FLUSHES}:{what}"]
        self._tracer = await asyncio.create_subprocess_exec(
            "strace",
            *options,
            *named,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True,
        )
        deadline_s = time.monotonic() + ATTACH_WAIT_S
        while not all(_traced(pid) for pid in pids):
            if self.has_ended and not any(map(_exists, pids)):  # they have ended, and the tracer with them
                return
            if self.has_ended or time.monotonic() > deadline_s:
                await self.end()
                raise LabError(f"strace did not attach to all of the processes {', '.join(map(str, pids))}")
            await asyncio.sleep(_POLL_S)

    async def end(self) -> None:
        """Change nothing any more. Does nothing if nothing was begun."""
        tracer, self._tracer = self._tracer, None
        if tracer is None or tracer.returncode is not None:
            return
        with suppress(ProcessLookupError):
            tracer.send_signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(tracer.wait(), DETACH_WAIT_S)
        except TimeoutError:  # it waits for a process that is dying: the kernel detaches what it still traces
            with suppress(ProcessLookupError):
                tracer.kill()
            await tracer.wait()


def _exists(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def _traced(pid: int) -> bool:
    """Whether it has a tracer; a process that has ended needs none."""
    try:
        return "TracerPid:\t0\n" not in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return True
