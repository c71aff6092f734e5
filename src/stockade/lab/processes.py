"""Several real processes that take orders of the same rows at the same moment.

Processes are spawned, not forked, and started together by a barrier: without it the first would be done before the
second has begun, and an in-process lock would look safe. They live for a whole lab run and open one strategy after
the other. Neighbours: `worker` is what runs in each, `runner` asks.
"""

import asyncio
import multiprocessing
from collections.abc import Sequence
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any

from stockade.core import Command, Stats
from stockade.lab.crew import Played, Team
from stockade.lab.errors import LabError
from stockade.lab.worker import Broken, Play, Prepare, main

ANSWER_WAIT_S = 120.0
END_WAIT_S = 10.0


class ProcessCrew:
    """A fixed number of worker processes. A context manager; leaving it ends them.

    Args:
        processes: how many.
    """

    def __init__(self, processes: int) -> None:
        context = multiprocessing.get_context("spawn")
        self._barrier = context.Barrier(processes)  # kept: without a holder here it would be unlinked before they start
        self._pipes: list[Connection[Any, Any]] = []
        self._processes = []
        for n in range(processes):
            ours, theirs = context.Pipe()
            process = context.Process(target=main, args=(theirs, self._barrier), name=f"lab-worker-{n}", daemon=True)
            process.start()
            theirs.close()  # else the end of the child would never show as the end of the pipe
            self._pipes.append(ours)
            self._processes.append(process)

    def __enter__(self) -> "ProcessCrew":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for pipe in self._pipes:
            pipe.close()
        for process in self._processes:
            process.join(END_WAIT_S)
            if process.is_alive():
                process.kill()
                process.join(END_WAIT_S)

    async def prepare(self, team: Team) -> None:
        """Let every process open this database and strategy.

        Raises:
            LabError: a process could not; the message is its own.
        """
        await self._ask([Prepare(team)] * len(self._pipes))

    async def play(self, commands: Sequence[Command]) -> Played:
        """Deal the commands out in turn and let all processes fire together.

        Raises:
            LabError: a process failed, ended or did not answer.
        """
        size = len(self._pipes)
        answers = await self._ask([Play(tuple(commands[n::size])) for n in range(size)])
        effort = Stats()
        for answer in answers:
            effort.add(answer.effort)
        return Played([shot for answer in answers for shot in answer.shots], effort)

    async def _ask(self, messages: Sequence[Prepare | Play]) -> list[Any]:
        for n, message in enumerate(messages):
            try:
                self._pipes[n].send(message)
            except OSError as error:
                raise self._ended(n) from error
        return await asyncio.gather(*(asyncio.to_thread(self._answer, n) for n in range(len(self._pipes))))

    def _answer(self, n: int) -> Any:
        try:
            if not self._pipes[n].poll(ANSWER_WAIT_S):
                raise LabError(f"worker process {n} gave no answer in {ANSWER_WAIT_S:.0f} s")
            answer = self._pipes[n].recv()
        except (EOFError, ConnectionResetError) as error:
            raise self._ended(n) from error
        if isinstance(answer, Broken):
            raise LabError(f"worker process {n}: {answer.text}")
        return answer

    def _ended(self, n: int) -> LabError:
        self._processes[n].join(END_WAIT_S)
        return LabError(f"worker process {n} ended (exit code {self._processes[n].exitcode})")
