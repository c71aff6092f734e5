"""Child processes of the lab: real processes that execute orders on the same rows at the same moment.

They are spawned, not forked. They live for a whole lab run and open one strategy after the other. Neighbours:
`child_main.py` is what runs in each, `runs/runner.py` uses a `ProcessSender`, `fault_harness.py` single processes.
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
from typing import Any, Self

from stockade.core import Command, Stats
from stockade.lab.errors import LabError
from stockade.lab.execution.child_main import CloseAll, Failed, Message, OpenShop, Reconcile, SendCommands, main
from stockade.lab.execution.metered_database import ConnectionUse
from stockade.lab.execution.order_senders import SenderConfig, SendResult
from stockade.lab.model.payment import PaymentMeter

ANSWER_WAIT_S = 120.0
END_WAIT_S = 10.0
POLL_S = 0.005


class ChildProcessEnded(LabError):
    """A child process ended instead of answering."""


class ChildProcess:
    """One child process, and the pipe that connects it.

    Args:
        name: shown in process lists and errors.
        barrier: at which the processes of an order sender start together.
    """

    def __init__(self, name: str, barrier: Barrier | None = None) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe: Connection[Any, Any]
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=main, args=(theirs, barrier), name=name, daemon=True)
        self._reading = threading.Lock()  # held by the thread that waits for an answer
        self._process.start()
        theirs.close()  # otherwise the end of the child would not end the pipe

    async def request(self, message: Message) -> Any:
        """Send a message and wait for the answer.

        Raises:
            ChildProcessEnded: the process ended.
            LabError: it failed, or did not answer in time.
        """
        try:
            self._pipe.send(message)
        except OSError as error:
            raise self._ended() from error
        return await asyncio.to_thread(self._answer)

    def _answer(self) -> Any:
        name = self._process.name
        try:
            with self._reading:
                if not self._pipe.poll(ANSWER_WAIT_S):
                    raise LabError(f"{name} gave no answer in {ANSWER_WAIT_S:.0f} s")
                answer = self._pipe.recv()
        except (EOFError, OSError) as error:
            raise self._ended() from error
        if isinstance(answer, Failed):
            raise LabError(f"{name}: {answer.text}")
        return answer

    def _ended(self) -> ChildProcessEnded:
        self._process.join(END_WAIT_S)
        return ChildProcessEnded(f"{self._process.name} ended (exit code {self._process.exitcode})")

    @property
    def pid(self) -> int:
        """Process id."""
        assert self._process.pid is not None
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the process exists (a stopped one does)."""
        return self._process.is_alive()

    async def stopped(self, wait_s: float) -> bool:
        """Whether a signal stops it within this time, in seconds; False at once if it ends instead."""
        deadline = asyncio.get_running_loop().time() + wait_s
        while asyncio.get_running_loop().time() < deadline and self.alive:
            if self._was_stopped():
                return True
            await asyncio.sleep(POLL_S)
        return False

    def _was_stopped(self) -> bool:
        return os.waitid(os.P_PID, self.pid, os.WSTOPPED | os.WNOHANG) is not None

    def resume(self) -> None:
        """Send SIGCONT to a stopped process."""
        if self.alive:
            with suppress(ProcessLookupError):  # it has ended this moment
                os.kill(self.pid, signal.SIGCONT)

    def close(self) -> None:
        """Close the pipe, which ends the process; `join` waits for the end. A process that owes an answer is killed."""
        # the thread that waits for that answer would otherwise read from whatever file gets the pipe's number next
        if not self._reading.acquire(blocking=False):
            self._process.kill()
            self._reading.acquire()
        self._pipe.close()
        self._reading.release()
        self.resume()

    def join(self) -> None:
        """Wait until the process has ended; kill it if that takes too long."""
        self._process.join(END_WAIT_S)
        if self.alive:
            self._process.kill()
            self._process.join(END_WAIT_S)


class ProcessGroup:
    """Child processes that end together. A context manager; leaving it ends them."""

    def __init__(self) -> None:
        self._processes: list[ChildProcess] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self._processes:
            process.close()
        for process in self._processes:
            process.join()

    def start(self, name: str, barrier: Barrier | None = None) -> ChildProcess:
        """Start one more process."""
        self._processes.append(ChildProcess(name, barrier))
        return self._processes[-1]

    @property
    def pids(self) -> list[int]:
        """Process ids of those that exist."""
        return [process.pid for process in self._processes if process.alive]

    async def request_all(self, message: Message) -> list[Any]:
        """Send the same message to every process and wait for all answers.

        Raises:
            LabError: a process failed, ended or did not answer; the message is its own.
        """
        return await asyncio.gather(*(process.request(message) for process in self._processes))


class ProcessSender(ProcessGroup):
    """An order sender that is a fixed number of processes.

    Args:
        processes: how many.
    """

    def __init__(self, processes: int) -> None:
        super().__init__()
        # The processes start each repeat together. Otherwise the first would have finished before the second begins,
        # and an in-process lock would look safe. Kept as a member: without a reference it is removed before they start.
        self._barrier = multiprocessing.get_context("spawn").Barrier(processes)
        for number in range(processes):
            self.start(f"order process {number}", self._barrier)

    async def prepare(self, config: SenderConfig) -> None:
        """Let every process open this database and strategy.

        Raises:
            LabError: a process could not; the message is its own.
        """
        await self.request_all(OpenShop(config))

    async def close_shop(self) -> None:
        """Let every process close what it has open.

        Raises:
            LabError: a process could not; the message is its own.
        """
        await self.request_all(CloseAll())

    async def send(self, commands: Sequence[Command], *, submit: bool = False) -> SendResult:
        """Distribute the commands and let all processes send theirs together.

        Args:
            commands: one for each buyer.
            submit: only queue them.

        Raises:
            LabError: a process failed, ended or did not answer.
        """
        size = len(self._processes)
        shares = [SendCommands(tuple(commands[number::size]), submit) for number in range(size)]
        answers = [process.request(share) for process, share in zip(self._processes, shares, strict=True)]
        results: list[SendResult] = await asyncio.gather(*answers)
        stats, meter = Stats(), PaymentMeter()
        for result in results:
            stats.add(result.stats)
            if result.meter is not None:
                meter.add(result.meter)
        uses = [result.connections for result in results if result.connections is not None]
        connections = sum(uses, ConnectionUse()) if uses else None
        return SendResult([response for result in results for response in result.responses], stats, meter, connections)

    async def reconcile(self) -> None:
        """Let one process finish the payments that were left open.

        Raises:
            LabError: it failed, ended or did not answer.
        """
        await self._processes[0].request(Reconcile())
