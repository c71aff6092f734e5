"""Several serving processes on one listening socket: starts them, replaces a crashed one, stops them all.

At most `MAX_RESTARTS` crashes within `RESTART_WINDOW_S` are replaced; then all processes are stopped, because a service
that crashes every few seconds must not look healthy. Neighbours: `serving_process` is each of them; the command line
calls `supervise`; docs/adr/0017 says why this is not uvicorn's supervisor.
"""

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

import msgspec

from stockade.shop.config.settings import BadSetting, Settings
from stockade.shop.http.server.serving_protocol import READY, READY_WAIT_S
from stockade.shop.operations.logs import logger
from stockade.shop.operations.metrics import MULTIPROCESS_DIR, process_ended

MAX_RESTARTS = 5
RESTART_WINDOW_S = 60.0
_KILL_AFTER_S = 5.0  # beyond the process's own bounds
_RESTART_PAUSE_S = 0.2


class ServingFailed(Exception):
    """The serving processes do not start, or crash again and again; the message has the reason.

    Attributes:
        unusable: whether a serving process reported why it cannot start with these settings.
    """

    def __init__(self, message: str, *, unusable: bool = False) -> None:
        super().__init__(message)
        self.unusable = unusable


class Supervisor:
    """The serving processes of one service.

    Args:
        settings: of every serving process.
        listening: the bound sockets that they share.
        ready: called once when every serving process accepts connections.
    """

    def __init__(self, settings: Settings, listening: Sequence[socket.socket], ready: Callable[[], None]) -> None:
        self._settings = settings
        self._listening = listening
        self._ready = ready
        self._stopping = asyncio.Event()
        self._crashes: deque[float] = deque(maxlen=MAX_RESTARTS + 1)
        self._life_read, self._life_write = os.pipe()
        self._metrics = Path(tempfile.mkdtemp(prefix="stockade-metrics-"))

    async def run(self) -> None:
        """Start the serving processes and keep them running until SIGINT or SIGTERM.

        Raises:
            ServingFailed, BadSetting: they do not start, or crash too often.
        """
        loop = asyncio.get_running_loop()
        for sig in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(sig, self._stop)
        started = asyncio.Barrier(self._settings.workers + 1)
        why: Exception | None = None
        try:
            async with asyncio.TaskGroup() as group:
                for number in range(1, self._settings.workers + 1):
                    group.create_task(self._keep(number, started))
                await started.wait()
                self._ready()
        except* (ServingFailed, BadSetting) as failed:
            why = failed.exceptions[0]
        finally:
            for sig in (signal.SIGINT, signal.SIGTERM):
                loop.remove_signal_handler(sig)
            self.close()
        if why is not None:  # raised here: what is raised inside `except*` is a group on Python 3.11.2
            raise why

    def _stop(self) -> None:
        self._stopping.set()
        # while a process has one open, the kernel queues connections that no process will ever accept
        for each in self._listening:
            each.close()

    def close(self) -> None:
        """Close the pipe, which stops any process that is left, and remove the folder of the metrics."""
        os.close(self._life_write)
        os.close(self._life_read)
        shutil.rmtree(self._metrics, ignore_errors=True)

    async def _keep(self, number: int, started: asyncio.Barrier) -> None:
        """Run one serving process, again after each crash, until the service stops."""
        process = await self._start(number)
        await started.wait()
        while True:
            await self._until_end(process)
            if self._stopping.is_set():
                return
            logger().error("worker ended", worker=number, pid=process.pid, code=process.returncode)
            while True:
                self._count_crash()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._stopping.wait(), _RESTART_PAUSE_S)
                try:
                    process = await self._start(number)
                    break
                except ServingFailed as failed:  # the database may be away for a moment
                    logger().error("worker did not start", worker=number, reason=str(failed))

    def _count_crash(self) -> None:
        """Count a crash.

        Raises:
            ServingFailed: more than `MAX_RESTARTS` within `RESTART_WINDOW_S`.
        """
        now_s = time.monotonic()
        self._crashes.append(now_s)
        if len(self._crashes) > MAX_RESTARTS and now_s - self._crashes[0] < RESTART_WINDOW_S:
            raise ServingFailed(f"workers crashed more than {MAX_RESTARTS} times in {RESTART_WINDOW_S:g} s")

    async def _start(self, number: int) -> asyncio.subprocess.Process:
        """Start one serving process and wait until it accepts connections.

        Raises:
            ServingFailed: it does not within `READY_WAIT_S`; with the process's own message.
        """
        ready_read, ready_write = os.pipe()
        listening = [each.fileno() for each in self._listening]
        words = (self._life_read, ready_write, number, *listening)
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "stockade.shop.http.server.serving_process", *map(str, words)),
            stdin=asyncio.subprocess.PIPE,
            pass_fds=(self._life_read, ready_write, *listening),
            env={**os.environ, MULTIPROCESS_DIR: str(self._metrics)},
            start_new_session=True,  # Ctrl-C must reach the supervisor only, which stops the serving processes
        )
        os.close(ready_write)
        message = b""
        try:
            assert process.stdin is not None
            process.stdin.write(msgspec.json.encode(asdict(self._settings)))
            process.stdin.close()
            message = await _read_message(ready_read)
        finally:
            if message != READY:
                await self._end(process)
        if message != READY:
            text = message.decode(errors="replace") or f"worker {number} did not start; see its log"
            raise ServingFailed(text, unusable=bool(message))
        return process

    async def _until_end(self, process: asyncio.subprocess.Process) -> None:
        """Wait until the serving process ends, or end it when the service stops."""
        ended = asyncio.create_task(process.wait())
        stopping = asyncio.create_task(self._stopping.wait())
        try:
            await asyncio.wait((ended, stopping), return_when=asyncio.FIRST_COMPLETED)
        finally:
            ended.cancel()
            stopping.cancel()
            await self._end(process)

    async def _end(self, process: asyncio.subprocess.Process) -> None:
        """SIGTERM, and SIGKILL when the serving process has not ended within its own limits."""
        limit_s = self._settings.drain_s + self._settings.stop_wait_s + self._settings.wait_s + _KILL_AFTER_S
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            try:
                await asyncio.wait_for(process.wait(), limit_s)
            except TimeoutError:
                logger().error("worker killed: it did not stop in time", pid=process.pid, waited_s=limit_s)
                process.kill()
                await process.wait()
        process_ended(self._metrics, process.pid)


async def _read_message(ready_read: int) -> bytes:
    """The message of a new serving process: READY, or its reason; empty when it ended or took too long."""
    loop = asyncio.get_running_loop()
    readable = asyncio.Event()
    loop.add_reader(ready_read, readable.set)
    try:
        await asyncio.wait_for(readable.wait(), READY_WAIT_S)
        return os.read(ready_read, 4_096)
    except TimeoutError:
        return b""
    finally:
        loop.remove_reader(ready_read)
        os.close(ready_read)


async def supervise(settings: Settings, listening: Sequence[socket.socket], ready: Callable[[], None]) -> None:
    """Serve with `settings.workers` processes until SIGINT or SIGTERM.

    Args:
        settings: those in force.
        listening: bound sockets, that of the API first.
        ready: called once when every serving process accepts connections.

    Raises:
        ServingFailed: see `Supervisor.run`.
    """
    for each in listening:
        each.set_inheritable(True)
    await Supervisor(settings, listening, ready).run()
