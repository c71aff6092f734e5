"""Several worker processes on one listening socket: starts them, starts a crashed one again, stops them all.

A worker that crashes is started again at most `MAX_RESTARTS` times within `RESTART_WINDOW_S`; beyond that all are
stopped, because a service that dies every few seconds is better seen than hidden. Neighbours: `worker` is what runs;
the command line calls `supervise`.
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
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import msgspec

from stockade.shop.config.settings import BadSetting, Settings
from stockade.shop.http.server.worker_protocol import READY, READY_WAIT_S
from stockade.shop.operations.logs import logger
from stockade.shop.operations.metrics import MULTIPROCESS_DIR, worker_ended

MAX_RESTARTS = 5
RESTART_WINDOW_S = 60.0
_KILL_AFTER_S = 5.0  # beyond the worker's own bounds
_RESTART_PAUSE_S = 0.2


class WorkersFailed(Exception):
    """The workers do not start, or crash again and again; the message says which and why.

    Attributes:
        unusable: a worker said why it cannot start with these settings.
    """

    def __init__(self, message: str, *, unusable: bool = False) -> None:
        super().__init__(message)
        self.unusable = unusable


class Supervisor:
    """The workers of one service.

    Args:
        settings: handed to every worker.
        listening: the bound socket that they share.
        ready: called once when every worker accepts connections.
    """

    def __init__(self, settings: Settings, listening: socket.socket, ready: Callable[[], None]) -> None:
        self._settings = settings
        self._listening = listening
        self._ready = ready
        self._stopping = asyncio.Event()
        self._crashes: deque[float] = deque(maxlen=MAX_RESTARTS + 1)
        self._life_read, self._life_write = os.pipe()
        self._metrics = Path(tempfile.mkdtemp(prefix="stockade-metrics-"))

    async def run(self) -> None:
        """Start the workers and keep them running until SIGINT or SIGTERM.

        Raises:
            WorkersFailed, BadSetting: they do not start, or crash too often.
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
        except* (WorkersFailed, BadSetting) as failed:
            why = failed.exceptions[0]
        finally:
            for sig in (signal.SIGINT, signal.SIGTERM):
                loop.remove_signal_handler(sig)
            self.close()
        if why is not None:  # raised here: what is raised inside `except*` is a group on Python 3.11.2
            raise why

    def _stop(self) -> None:
        self._stopping.set()
        # While any process holds it open, connections queue on it that no worker will ever take.
        self._listening.close()

    def close(self) -> None:
        """Give up the pipe, on which any worker that is left ends, and the folder of the metrics."""
        os.close(self._life_write)
        os.close(self._life_read)
        shutil.rmtree(self._metrics, ignore_errors=True)

    async def _keep(self, number: int, started: asyncio.Barrier) -> None:
        """Run one worker, again after each crash, until the service stops."""
        worker = await self._start(number)
        await started.wait()
        while True:
            await self._until_end(worker)
            if self._stopping.is_set():
                return
            logger().error("worker ended", worker=number, pid=worker.pid, code=worker.returncode)
            while True:
                self._count_crash()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._stopping.wait(), _RESTART_PAUSE_S)
                try:
                    worker = await self._start(number)
                    break
                except WorkersFailed as failed:  # the database may be away for a moment
                    logger().error("worker did not start", worker=number, reason=str(failed))

    def _count_crash(self) -> None:
        """Remember a crash.

        Raises:
            WorkersFailed: there were too many of late.
        """
        now_s = time.monotonic()
        self._crashes.append(now_s)
        if len(self._crashes) > MAX_RESTARTS and now_s - self._crashes[0] < RESTART_WINDOW_S:
            raise WorkersFailed(f"workers crashed more than {MAX_RESTARTS} times in {RESTART_WINDOW_S:g} s")

    async def _start(self, number: int) -> asyncio.subprocess.Process:
        """Start one worker and wait until it accepts connections.

        Raises:
            WorkersFailed: it does not within `READY_WAIT_S`; the message is its own.
        """
        ready_read, ready_write = os.pipe()
        fds = (self._listening.fileno(), self._life_read, ready_write)
        worker = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "stockade.shop.http.server.worker", *map(str, fds), str(number)),
            stdin=asyncio.subprocess.PIPE,
            pass_fds=fds,
            env={**os.environ, MULTIPROCESS_DIR: str(self._metrics)},
            start_new_session=True,  # Ctrl-C reaches the supervisor only, which then stops the workers in order
        )
        os.close(ready_write)
        word = b""
        try:
            assert worker.stdin is not None
            worker.stdin.write(msgspec.json.encode(asdict(self._settings)))
            worker.stdin.close()
            word = await _read_word(ready_read)
        finally:
            if word != READY:
                await self._end(worker)
        if word != READY:
            text = word.decode(errors="replace") or f"worker {number} did not start; see its log"
            raise WorkersFailed(text, unusable=bool(word))
        return worker

    async def _until_end(self, worker: asyncio.subprocess.Process) -> None:
        """Wait until the worker ends by itself, or end it when the service is to stop."""
        ended = asyncio.create_task(worker.wait())
        stopping = asyncio.create_task(self._stopping.wait())
        try:
            await asyncio.wait((ended, stopping), return_when=asyncio.FIRST_COMPLETED)
        finally:
            ended.cancel()
            stopping.cancel()
            await self._end(worker)

    async def _end(self, worker: asyncio.subprocess.Process) -> None:
        """Ask the worker to stop, and end it when it does not."""
        patience_s = self._settings.drain_s + self._settings.stop_wait_s + self._settings.wait_s + _KILL_AFTER_S
        if worker.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                worker.terminate()
            try:
                await asyncio.wait_for(worker.wait(), patience_s)
            except TimeoutError:
                logger().error("worker killed: it did not stop in time", pid=worker.pid, waited_s=patience_s)
                worker.kill()
                await worker.wait()
        worker_ended(self._metrics, worker.pid)


async def _read_word(ready_read: int) -> bytes:
    """What a new worker says: READY, its reason, or nothing when it died or took too long."""
    loop = asyncio.get_running_loop()
    told = asyncio.Event()
    loop.add_reader(ready_read, told.set)
    try:
        await asyncio.wait_for(told.wait(), READY_WAIT_S)
        return os.read(ready_read, 4_096)
    except TimeoutError:
        return b""
    finally:
        loop.remove_reader(ready_read)
        os.close(ready_read)


async def supervise(settings: Settings, listening: socket.socket, ready: Callable[[], None]) -> None:
    """Serve with `settings.workers` processes until SIGINT or SIGTERM.

    Args:
        settings: those in force.
        listening: a bound socket.
        ready: called once when every worker accepts connections.

    Raises:
        WorkersFailed: see `Supervisor.run`.
    """
    listening.set_inheritable(True)
    await Supervisor(settings, listening, ready).run()
