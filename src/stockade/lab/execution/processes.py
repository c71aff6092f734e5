"""Several real processes that take orders of the same rows at the same moment.

Processes are spawned, not forked, and started together by a barrier: without it the first would be done before the
second has begun, and an in-process lock would look safe. They live for a whole lab run and open one strategy after
the other. Neighbours: `worker` is what runs in each, `runner` asks the crew, `fault_runner` single processes.
"""

import asyncio
import multiprocessing
import os
import signal
import threading
from collections.abc import Sequence
from contextlib import suppress
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Barrier
from types import TracebackType
from typing import Any

from stockade.core import Command, Stats
from stockade.lab.errors import LabError
from stockade.lab.execution.executors import Played, Team
from stockade.lab.execution.log_worker import Decide, Rest, Tell
from stockade.lab.execution.worker import Aim, Broken, Play, Prepare, main

ANSWER_WAIT_S = 120.0
END_WAIT_S = 10.0
LOOK_AGAIN_S = 0.005


class WorkerGone(LabError):
    """A worker process ended instead of answering."""


class WorkerProcess:
    """One worker process, and the pipe over which it is asked.

    Args:
        name: shown in process lists and errors.
        barrier: where the processes of a crew start together.
    """

    def __init__(self, name: str, barrier: Barrier | None = None) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe: Connection[Any, Any]
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=main, args=(theirs, barrier), name=name, daemon=True)
        self._reading = threading.Lock()  # held by the thread that waits for an answer
        self._process.start()
        theirs.close()  # else the end of the child would never show as the end of the pipe

    async def ask(self, message: Prepare | Aim | Play | Decide | Tell | Rest) -> Any:
        """Send a message and wait for the answer.

        Raises:
            WorkerGone: it ended.
            LabError: it could not do it, or did not answer in time.
        """
        try:
            self._pipe.send(message)
        except OSError as error:
            raise self._gone() from error
        return await asyncio.to_thread(self._answer)

    def _answer(self) -> Any:
        name = self._process.name
        try:
            with self._reading:
                if not self._pipe.poll(ANSWER_WAIT_S):
                    raise LabError(f"{name} gave no answer in {ANSWER_WAIT_S:.0f} s")
                answer = self._pipe.recv()
        except (EOFError, OSError) as error:
            raise self._gone() from error
        if isinstance(answer, Broken):
            raise LabError(f"{name}: {answer.text}")
        return answer

    def _gone(self) -> WorkerGone:
        self._process.join(END_WAIT_S)
        return WorkerGone(f"{self._process.name} ended (exit code {self._process.exitcode})")

    @property
    def _pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the process exists (a stopped one does)."""
        return self._process.is_alive()

    async def stopped(self, wait_s: float) -> bool:
        """Whether it is stopped by a signal within this time, in seconds; False at once when it ends instead."""
        deadline = asyncio.get_running_loop().time() + wait_s
        while asyncio.get_running_loop().time() < deadline and self.alive:
            if self._was_stopped():
                return True
            await asyncio.sleep(LOOK_AGAIN_S)
        return False

    def _was_stopped(self) -> bool:
        return os.waitid(os.P_PID, self._pid, os.WSTOPPED | os.WNOHANG) is not None

    def resume(self) -> None:
        """Let a stopped process go on."""
        if self.alive:
            with suppress(ProcessLookupError):  # it has ended this moment
                os.kill(self._pid, signal.SIGCONT)

    def close(self) -> None:
        """Tell it to end; `join` waits for that. One that owes an answer, because the run was broken off, is killed.

        The thread that waits for the answer would else read from whatever file gets the closed pipe's number next.
        """
        if not self._reading.acquire(blocking=False):
            self._process.kill()
            self._reading.acquire()
        self._pipe.close()
        self._reading.release()
        self.resume()

    def join(self) -> None:
        """Wait for its end, and insist."""
        self._process.join(END_WAIT_S)
        if self.alive:
            self._process.kill()
            self._process.join(END_WAIT_S)


class ProcessCrew:
    """A fixed number of worker processes. A context manager; leaving it ends them.

    Args:
        processes: how many.
    """

    def __init__(self, processes: int) -> None:
        # kept: without a holder here it would be unlinked before they start
        self._barrier = multiprocessing.get_context("spawn").Barrier(processes)
        self._workers = [WorkerProcess(f"worker process {n}", self._barrier) for n in range(processes)]

    def __enter__(self) -> "ProcessCrew":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for worker in self._workers:
            worker.close()
        for worker in self._workers:
            worker.join()

    async def prepare(self, team: Team) -> None:
        """Let every process open this database and strategy.

        Raises:
            LabError: a process could not; the message is its own.
        """
        await asyncio.gather(*(worker.ask(Prepare(team)) for worker in self._workers))

    async def play(self, commands: Sequence[Command], *, submit: bool = False) -> Played:
        """Deal the commands out in turn and let all processes fire together.

        Args:
            commands: one for each buyer.
            submit: only queue them.

        Raises:
            LabError: a process failed, ended or did not answer.
        """
        size = len(self._workers)
        hands = [Play(tuple(commands[n::size]), submit) for n in range(size)]
        answers = await asyncio.gather(*(self._workers[n].ask(hands[n]) for n in range(size)))
        effort = Stats()
        for answer in answers:
            effort.add(answer.effort)
        return Played([shot for answer in answers for shot in answer.shots], effort)
