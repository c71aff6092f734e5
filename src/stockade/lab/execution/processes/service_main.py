"""The main function of a service process: opens the application, carries out requests, and answers them.

`python -m stockade.lab.execution.processes.service_main NUMBER LEVEL`, with the number of an inherited socket, and the
level from which on it logs. It shares nothing with the lab but this socket, and ends with it. Faults hit it; the lab
itself is never hit. Neighbour: `service_process.py`.
"""

import asyncio
import ctypes
import gc
import logging
import os
import signal
import socket
import sys
import threading
import time
from collections import Counter
from contextlib import AsyncExitStack
from contextvars import ContextVar
from functools import partial
from pathlib import Path
from typing import Any

import uvloop
from sqlalchemy import Connection, select

from stockade.core import Command, Key
from stockade.lab.execution.command_log.log_worker import LogWorker, run_log_worker
from stockade.lab.execution.order_senders import LocalSender, SendResult, open_sender
from stockade.lab.execution.processes.answers import Answer, answered, of_error
from stockade.lab.execution.processes.events import relaying_to
from stockade.lab.execution.processes.messages import (
    QUEUED,
    REQUESTS,
    WAITING,
    BeginBurst,
    Cancel,
    Channel,
    Close,
    Count,
    Counters,
    Execute,
    Failed,
    LoadBurst,
    OpenLogWorker,
    OpenService,
    QueryLogWorker,
    ReadRows,
    Reconcile,
    SignalAtPoint,
)
from stockade.lab.history.operation import OK
from stockade.service import Service
from stockade.store import Database

PR_SET_PDEATHSIG = 1
END_WAIT_S = 5.0
POOLED = ("asyncio_", "stockade-sqlite-")  # threads of pools with a bound, made when first needed: no leak
COMMAND: ContextVar[Command | None] = ContextVar("command", default=None)  # that this task carries out
MOST_PASSED = 200  # fault points of commands that want other rows than the most wanted
THREAD_S = 0.01  # how long the warm-up holds each thread of the pool, so that every one is made


def main(number: int, level: str) -> None:
    """Serve the socket of this number until the lab closes it."""
    logging.getLogger("stockade").setLevel(level)  # lost locks are intended here, and the lab reports what came of them
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the lab handles Ctrl-C: it closes the socket
    if sys.platform == "linux":  # a process that a fault has stopped cannot see the end of its socket
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    gc.collect()
    gc.freeze()  # so a cold process has the same garbage collection as a forked one
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(socket.socket(fileno=number)))


async def _serve(pipe: socket.socket) -> None:
    closed = asyncio.Event()
    async with AsyncExitStack() as stack:
        handler = _Handler(stack)
        _, channel = await asyncio.get_running_loop().create_connection(
            lambda: Channel(handler.received, closed.set), sock=pipe
        )
        handler.channel = channel
        await closed.wait()
        await handler.end()


class _Handler:
    """Carries out messages, each in a task of its own."""

    def __init__(self, stack: AsyncExitStack) -> None:
        self._stack = stack
        self.channel: Channel | None = None
        self._service: Service | None = None
        self._sender: LocalSender | None = None
        self._loaded, self._begin = asyncio.Event(), asyncio.Event()
        self._burst: asyncio.Task[SendResult] | None = None
        self._worker: LogWorker | None = None
        self._has_log = False
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._signal: SignalAtPoint | None = None
        self._passed = 0
        self._wanted = Counter[Key]()
        self._highest: dict[str, int] = {}

    def received(self, number: int, message: Any) -> None:
        if isinstance(message, Cancel):
            task = self._tasks.get(message.number)
            if task is not None:
                task.cancel()
            return
        task = self._tasks[number] = asyncio.create_task(self._answer(number, message))
        task.add_done_callback(lambda _: self._tasks.pop(number, None))  # also of one that was cancelled at once

    async def _answer(self, number: int, message: Any) -> None:
        reply: Any
        try:
            if isinstance(message, Execute):
                reply = await self._execute(message)
            elif isinstance(message, ReadRows):
                reply = await self._read(message)
            else:
                reply = await self._carry_out(message)
        except Exception as error:  # noqa: BLE001 - the reply, which ends the recording
            reply = Failed(f"{type(error).__name__}: {error}")
        if self.channel is not None:
            self.channel.send(number, reply)

    async def _execute(self, message: Execute) -> Answer:
        assert self._service is not None, "Execute before OpenService"
        COMMAND.set(message.command)
        self._wanted.update(message.command.keys)
        self._note_queues()
        try:
            return await answered(self._service.execute(message.command), self._service.store.stats)
        except asyncio.CancelledError as error:
            return of_error(error)  # the client has given up; the task ends here all the same
        except Exception as error:  # noqa: BLE001 - it is the client's answer, and the checkers judge it
            return of_error(error)

    async def _read(self, message: ReadRows) -> Answer:
        assert self._service is not None, "ReadRows before OpenService"
        resources = {each.kind: each for each in self._service.application.resources}
        query = partial(_versions, table=resources[message.kind].table, ids=message.ids)
        try:
            found = await self._service.read(query)
        except Exception as error:  # noqa: BLE001 - as of a command
            return of_error(error)
        return Answer(OK, versions={f"{Key(message.kind, id_)}": found.get(id_, 0) for id_ in message.ids})

    async def _carry_out(self, message: Any) -> Any:
        match message:
            case OpenService():
                await self._close()
                await self._open(message)
            case OpenLogWorker():
                await self._close()
                checkpoint = self._reach_point if message.fault_points else None
                self._worker = await self._stack.enter_async_context(run_log_worker(message.config, checkpoint))
            case LoadBurst():
                await self._load(message)
            case BeginBurst():
                burst = self._burst
                assert burst is not None, "BeginBurst before LoadBurst"
                self._begin.set()
                await asyncio.wait([burst])
                return _result_of(burst)
            case Reconcile():
                assert self._sender is not None, "Reconcile before OpenService"
                await self._sender.reconcile()
            case QueryLogWorker():
                assert self._worker is not None, "QueryLogWorker before OpenLogWorker"
                return self._worker.progress()
            case SignalAtPoint():
                self._signal, self._passed = message, 0
            case Count(begin_anew=begin_anew):
                return self._count(begin_anew=begin_anew)
            case Close():
                await self._close()
            case _:
                raise TypeError(f"no message: {message!r:.100}")
        return None

    async def _open(self, message: OpenService) -> None:
        config = message.config
        self._has_log = config.options.kafka is not None
        opening = open_sender(config, self._reach_point if message.fault_points else None)
        self._sender = await self._stack.enter_async_context(opening)
        self._service = self._sender.service
        if message.warm:
            await _open_connections(self._service.database, config.pool_size, config.options.wait_s)
        if message.events:
            await self._stack.enter_async_context(relaying_to(message.events, self._service.database))

    async def _load(self, message: LoadBurst) -> None:
        assert self._sender is not None, "LoadBurst before OpenService"
        assert self._burst is None or self._burst.done(), "LoadBurst in the middle of a burst"
        self._loaded, self._begin = asyncio.Event(), asyncio.Event()
        sending = self._sender.send(message.commands, submit=message.submit, barrier=self._wait_to_begin)
        burst = self._burst = asyncio.create_task(sending)
        loaded = asyncio.create_task(self._loaded.wait())
        await asyncio.wait({burst, loaded}, return_when=asyncio.FIRST_COMPLETED)
        loaded.cancel()
        if burst.done():  # it failed before its buyers were there
            _result_of(burst)

    async def _wait_to_begin(self) -> None:
        self._loaded.set()
        await self._begin.wait()

    async def _close(self) -> None:
        burst, self._burst = self._burst, None
        if burst is not None:  # of a run that was stopped before it began
            burst.cancel()
            await asyncio.gather(burst, return_exceptions=True)
        await self._stack.aclose()

    def _reach_point(self, point: str) -> None:
        """The store is at a fault point; a signal to the own process is delivered before `kill` returns."""
        if self._signal is None or self._signal.point != point:
            return
        number, command = self._signal.signal, COMMAND.get()
        # a strategy that carries out the commands of several callers at once does so in a task, or thread, of its own
        if number == signal.SIGSTOP and command is not None and self._passed < MOST_PASSED:
            self._passed += 1
            if self._wanted.most_common(1)[0][0] not in command.keys:
                return
        self._signal = None
        os.kill(os.getpid(), number)

    def _note_queues(self) -> None:
        """With each request, because a queue is full for moments only."""
        if self._service is not None:
            for name, count in ((QUEUED, self._service.queued), (WAITING, self._service.database.waiting)):
                self._highest[name] = max(self._highest.get(name, 0), count)

    def _count(self, *, begin_anew: bool = False) -> Counters:
        self._note_queues()
        highest = dict(self._highest)
        if begin_anew:
            self._highest.clear()
        held = {
            REQUESTS: sum(not task.done() for task in self._tasks.values()) - 1,  # without this message
            "tasks": len(asyncio.all_tasks()) - len(self._tasks),
            "threads": sum(not each.name.startswith(POOLED) for each in threading.enumerate()),
        }
        partitions: tuple[int, ...] = ()
        stats: dict[str, int] = {}
        if self._service is not None:
            if not self._has_log:  # how many brokers a Kafka client is connected to is its own affair
                held["files"] = _open_files()
            held[QUEUED] = self._service.queued
            held[WAITING] = self._service.database.waiting
            stats = self._service.store.stats.as_dict()
        if self._worker is not None:
            try:
                progress = self._worker.progress()
            except Exception as error:  # noqa: BLE001 - with which the worker has ended: the history notes it
                return Counters(held, highest, cpu_s=time.process_time(), error=f"{type(error).__name__}: {error}")
            partitions, stats = progress.partitions, progress.stats.as_dict()
        return Counters(held, highest, partitions, time.process_time(), stats)

    async def end(self) -> None:
        """The lab is gone: give what is under way a moment."""
        if self._tasks:
            await asyncio.wait(list(self._tasks.values()), timeout=END_WAIT_S)


def _result_of(burst: asyncio.Task[SendResult]) -> SendResult:
    """Its result or its error; one that was cancelled is answered too."""
    if burst.cancelled():
        raise RuntimeError("the burst was cancelled")
    return burst.result()


async def _open_connections(database: Database, pool_size: int, wait_s: float) -> None:
    """Open all connections and threads that are opened when first needed, so that only a leak adds to their number."""
    idle = partial(Connection.exec_driver_sql, statement="SELECT 1")
    writes = [database.write(idle, timeout_s=wait_s) for _ in range(pool_size)]
    reads = [database.read(idle, timeout_s=wait_s) for _ in range(pool_size)]
    # not by `time.sleep`, which fails under libfaketime
    threads = [asyncio.to_thread(threading.Event().wait, THREAD_S) for _ in range(min(32, (os.cpu_count() or 1) + 4))]
    await asyncio.gather(*writes, *reads, *threads)


def _versions(connection: Connection, table: Any, ids: tuple[str, ...]) -> dict[str, int]:
    query = select(table.c.id, table.c.version).where(table.c.id.in_(ids))
    return {row.id: row.version for row in connection.execute(query)}


def _open_files() -> int:
    folder = Path("/proc/self/fd")
    return sum(1 for _ in folder.iterdir()) if folder.is_dir() else 0


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
