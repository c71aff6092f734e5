"""The main function of a worker process: waits for messages of `processes`, takes orders or decides a log, answers.

Started by multiprocessing's `spawn`, so it shares nothing with its parent but a pipe and the barrier. It ends when the
pipe does, and, where the kernel offers that, with its parent: one that a fault has stopped cannot look at its pipe.
"""

import asyncio
import ctypes
import logging
import os
import signal
import sys
from contextlib import AsyncExitStack
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Barrier as ProcessBarrier
from typing import Any

import uvloop

from stockade.core import Command
from stockade.lab.execution.executors import Played, Team, Worker, at_work
from stockade.lab.execution.log_worker import Decide, Decider, Rest, Tell, Told, deciding

BARRIER_WAIT_S = 30.0
PR_SET_PDEATHSIG = 1


@dataclass(frozen=True, slots=True)
class Prepare:
    """Close what was open and open this."""

    team: Team


@dataclass(frozen=True, slots=True)
class Aim:
    """Send this process a signal when its store next comes to a fault point.

    Attributes:
        point: `begin`, `loaded` or `saved`, see `SqlStore`.
        signal: SIGSTOP or SIGKILL, as a number.
    """

    point: str
    signal: int


@dataclass(frozen=True, slots=True)
class Play:
    """Wait at the barrier if there is one, then fire; `submit`: queue the commands and wait for no decision."""

    commands: tuple[Command, ...]
    submit: bool = False


@dataclass(frozen=True, slots=True)
class Ready:
    """It is done."""


@dataclass(frozen=True, slots=True)
class Broken:
    """The worker could not do it."""

    text: str


def main(pipe: "Connection[Any, Any]", barrier: ProcessBarrier | None) -> None:
    """Serve the pipe until it is closed."""
    logging.getLogger("stockade").setLevel(logging.ERROR)  # lost locks are the experiment here: the table tells of them
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's business; it closes the pipe
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(pipe, barrier))


async def _serve(pipe: "Connection[Any, Any]", barrier: ProcessBarrier | None) -> None:
    async with AsyncExitStack() as stack:
        desk = _Desk(stack, barrier)
        while True:
            try:
                message = await asyncio.to_thread(pipe.recv)
                pipe.send(await desk.answer(message))
            except (EOFError, ConnectionResetError, BrokenPipeError):
                return  # the parent has closed the pipe, or is gone


class _Desk:
    def __init__(self, stack: AsyncExitStack, barrier: ProcessBarrier | None) -> None:
        self._stack, self._barrier = stack, barrier
        self._worker: Worker | None = None
        self._aim: Aim | None = None
        self._decider: Decider | None = None

    async def answer(self, message: Prepare | Aim | Play | Decide | Tell | Rest) -> Ready | Played | Told | Broken:
        try:
            if isinstance(message, Prepare):
                await self._stack.aclose()
                self._worker = await self._stack.enter_async_context(at_work(message.team, self._pass))
                return Ready()
            if isinstance(message, Decide | Rest):
                await self._stack.aclose()
                if isinstance(message, Decide):
                    self._decider = await self._stack.enter_async_context(deciding(message))
                return Ready()
            if isinstance(message, Tell):
                assert self._decider is not None, "Tell before Decide"
                return self._decider.told()
            if isinstance(message, Aim):
                self._aim = message
                return Ready()
            assert self._worker is not None, "Play before Prepare"
            barrier = self._meet if self._barrier else None
            return await self._worker.play(message.commands, submit=message.submit, barrier=barrier)
        except Exception as error:  # noqa: BLE001 - reported to the parent, which ends the run with it
            if self._barrier:
                self._barrier.abort()
            return Broken(f"{type(error).__name__}: {error}")

    def _meet(self) -> None:
        assert self._barrier is not None
        self._barrier.wait(BARRIER_WAIT_S)

    def _pass(self, point: str) -> None:
        """The store has come to a fault point; a signal to oneself is delivered before `kill` returns."""
        if self._aim is not None and self._aim.point == point:
            aim, self._aim = self._aim, None
            os.kill(os.getpid(), aim.signal)
