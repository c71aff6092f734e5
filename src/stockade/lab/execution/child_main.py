"""The main function of a child process: receives messages, executes orders or runs a log worker, sends answers.

It shares nothing with its parent but a pipe and a barrier. It ends when the pipe is closed. Neighbour:
`child_processes.py` is the parent's side.
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
from stockade.lab.execution.command_log.log_worker import (
    LogWorker,
    LogWorkerConfig,
    LogWorkerProgress,
    run_log_worker,
)
from stockade.lab.execution.order_senders import LocalSender, SenderConfig, SendResult, open_sender

BARRIER_WAIT_S = 30.0
PR_SET_PDEATHSIG = 1


@dataclass(frozen=True, slots=True)
class OpenShop:
    """Close what is open, then open this. Answer: Done.

    With `fault_points` the store stops at its fault points, so it never writes a batch as a single statement.
    """

    config: SenderConfig
    fault_points: bool = False


@dataclass(frozen=True, slots=True)
class SignalAtPoint:
    """Send this process a signal when its store next reaches a fault point. Answer: Done.

    Attributes:
        point: `begin`, `loaded` or `saved`, see `SqlStore`.
        signal: SIGSTOP or SIGKILL, as a number.
    """

    point: str
    signal: int


@dataclass(frozen=True, slots=True)
class SendCommands:
    """Wait at the barrier if there is one, then send the commands (`submit`: queue them). Answer: SendResult."""

    commands: tuple[Command, ...]
    submit: bool = False


@dataclass(frozen=True, slots=True)
class Reconcile:
    """Finish the payments that were left open. Answer: Done."""


@dataclass(frozen=True, slots=True)
class StartLogWorker:
    """Close what is open, then decide this log. Answer: Done."""

    config: LogWorkerConfig


@dataclass(frozen=True, slots=True)
class QueryLogWorker:
    """Answer: LogWorkerProgress."""


@dataclass(frozen=True, slots=True)
class CloseAll:
    """Close what is open. Answer: Done."""


@dataclass(frozen=True, slots=True)
class Done:
    """The message was carried out."""


@dataclass(frozen=True, slots=True)
class Failed:
    """The message could not be carried out; the answer to any message."""

    text: str


Message = OpenShop | SignalAtPoint | SendCommands | Reconcile | StartLogWorker | QueryLogWorker | CloseAll
Answer = Done | Failed | SendResult | LogWorkerProgress


def main(pipe: "Connection[Any, Any]", barrier: ProcessBarrier | None) -> None:
    """Answer the messages of the pipe until it is closed."""
    logging.getLogger("stockade").setLevel(logging.ERROR)  # lost locks are intended here, and the table reports them
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent handles Ctrl-C: it closes the pipe
    if sys.platform == "linux":  # a process that a fault has stopped cannot see the end of its pipe
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(pipe, barrier))


async def _serve(pipe: "Connection[Any, Any]", barrier: ProcessBarrier | None) -> None:
    async with AsyncExitStack() as stack:
        handler = _MessageHandler(stack, barrier)
        while True:
            try:
                message = await asyncio.to_thread(pipe.recv)
                pipe.send(await handler.answer(message))
            except (EOFError, ConnectionResetError, BrokenPipeError):
                return  # the parent has closed the pipe, or has ended


class _MessageHandler:
    def __init__(self, stack: AsyncExitStack, barrier: ProcessBarrier | None) -> None:
        self._stack, self._barrier = stack, barrier
        self._sender: LocalSender | None = None
        self._signal: SignalAtPoint | None = None
        self._log_worker: LogWorker | None = None

    async def answer(self, message: Message) -> Answer:
        try:
            return await self._carry_out(message)
        except Exception as error:  # noqa: BLE001 - reported to the parent, which ends the run with it
            if self._barrier:
                self._barrier.abort()
            return Failed(f"{type(error).__name__}: {error}")

    async def _carry_out(self, message: Message) -> Answer:
        match message:
            case OpenShop():
                await self._stack.aclose()
                opening = open_sender(message.config, self._reach_point if message.fault_points else None)
                self._sender = await self._stack.enter_async_context(opening)
            case StartLogWorker():
                await self._stack.aclose()
                self._log_worker = await self._stack.enter_async_context(run_log_worker(message.config))
            case CloseAll():
                await self._stack.aclose()
            case SignalAtPoint():
                self._signal = message
            case QueryLogWorker():
                assert self._log_worker is not None, "QueryLogWorker before StartLogWorker"
                return self._log_worker.progress()
            case Reconcile():
                assert self._sender is not None, "Reconcile before OpenShop"
                await self._sender.reconcile()
            case SendCommands():
                assert self._sender is not None, "SendCommands before OpenShop"
                barrier = self._wait_for_others if self._barrier else None
                return await self._sender.send(message.commands, submit=message.submit, barrier=barrier)
        return Done()

    def _wait_for_others(self) -> None:
        assert self._barrier is not None
        self._barrier.wait(BARRIER_WAIT_S)

    def _reach_point(self, point: str) -> None:
        """The store is at a fault point; a signal to the own process is delivered before `kill` returns."""
        if self._signal is not None and self._signal.point == point:
            number, self._signal = self._signal.signal, None
            os.kill(os.getpid(), number)
