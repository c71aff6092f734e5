"""The main function of a worker process: waits for messages of `processes`, takes orders, sends the answers back.

Started by multiprocessing's `spawn`, so it shares nothing with its parent but a pipe and the barrier. It ends when the
pipe does, also when the parent was killed.
"""

import asyncio
import signal
from contextlib import AsyncExitStack
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Barrier as ProcessBarrier
from typing import Any

from stockade.core import Command
from stockade.lab.crew import Played, Team, Worker, at_work

BARRIER_WAIT_S = 30.0


@dataclass(frozen=True, slots=True)
class Prepare:
    """Close what was open and open this."""

    team: Team


@dataclass(frozen=True, slots=True)
class Play:
    """Wait at the barrier, then fire."""

    commands: tuple[Command, ...]


@dataclass(frozen=True, slots=True)
class Ready:
    """The strategy is started."""


@dataclass(frozen=True, slots=True)
class Broken:
    """The worker could not do it."""

    text: str


def main(pipe: "Connection[Any, Any]", barrier: ProcessBarrier) -> None:
    """Serve the pipe until it is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's business; it closes the pipe
    asyncio.run(_serve(pipe, barrier))


async def _serve(pipe: "Connection[Any, Any]", barrier: ProcessBarrier) -> None:
    async with AsyncExitStack() as stack:
        desk = _Desk(stack, barrier)
        while True:
            try:
                message = await asyncio.to_thread(pipe.recv)
                pipe.send(await desk.answer(message))
            except (EOFError, ConnectionResetError, BrokenPipeError):
                return  # the parent has closed the pipe, or is gone


class _Desk:
    def __init__(self, stack: AsyncExitStack, barrier: ProcessBarrier) -> None:
        self._stack, self._barrier = stack, barrier
        self._worker: Worker | None = None

    async def answer(self, message: Prepare | Play) -> Ready | Played | Broken:
        try:
            if isinstance(message, Prepare):
                await self._stack.aclose()
                self._worker = await self._stack.enter_async_context(at_work(message.team))
                return Ready()
            assert self._worker is not None, "Play before Prepare"
            return await self._worker.play(message.commands, lambda: self._barrier.wait(BARRIER_WAIT_S))
        except Exception as error:  # noqa: BLE001 - reported to the parent, which ends the run with it
            self._barrier.abort()
            return Broken(f"{type(error).__name__}: {error}")
