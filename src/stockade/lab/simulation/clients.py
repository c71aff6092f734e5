"""Clients of the simulated services: each sends one request after the other, and again what it got no answer to.

They stand outside the processes, as a lab does: no fault hits them. Neighbours: `workload.py` makes the requests,
`simulation.py` starts the clients.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from stockade.lab.execution.processes.answers import PROCESS_ENDED, Answer, of_error
from stockade.lab.history.operation import FAILED, PROCESS_AWAY, UNKNOWN, Operation
from stockade.lab.simulation.service import Service
from stockade.lab.simulation.settings import Settings
from stockade.lab.simulation.workload import Mix, Request
from stockade.lab.simulation.world import World
from stockade.shop.commands import PlaceOrder

PAUSE_S = 0.05  # before the second try; each further one waits that much longer
CANCELLED_S = 0.02  # a client that gives up does so within this time
THINK_S = 0.004  # the longest pause between two requests


class Clients:
    """All clients of a run.

    Args:
        world: where they are.
        services: the processes that take requests now; the caller replaces those that crash.
        mix: makes the requests.
        settings: cancellations, duplicates, and how often a request without a certain answer is sent.

    Attributes:
        operations: that have ended.
        open: requests that have not ended.
        cancel_at: a task, and at which of the next statements and calls of all processes its client gives up.
    """

    def __init__(self, world: World, services: Sequence[Service], mix: Mix, settings: Settings) -> None:
        self._world, self._services, self._mix = world, services, mix
        self._faults, self._tries = settings.faults, settings.tries
        self.operations: list[Operation] = []
        self.open = 0
        self.cancel_at: tuple[int, asyncio.Task[Any]] | None = None
        self._number = 0

    def start(self, client: int, count: int) -> None:
        """Let a client send so many requests."""
        self.open += 1
        self._later(self._world.rng.random() * THINK_S, lambda: self._next(client, count))

    def at_step(self) -> None:
        """A process is about to send something: a client may give up here."""
        if self.cancel_at is not None:
            left, task = self.cancel_at
            self.cancel_at = (left - 1, task) if left else None
            if not left:
                self._world.after(0.0, lambda: _cancel(task))

    def _later(self, seconds: float, action: Callable[[], None]) -> None:
        self._world.after(seconds, action)

    def _next(self, client: int, count: int) -> None:
        if not count:
            self.open -= 1
            return
        request, rng = self._mix.next(), self._world.rng
        if self._faults.duplicate and rng.random() < self._faults.duplicate:
            self.open += 1
            self._later(rng.random() * THINK_S, lambda: self._send(client + 100, request, 1, self._end))
        think_s = rng.random() * THINK_S
        self._send(client, request, 1, lambda: self._later(think_s, lambda: self._next(client, count - 1)))

    def _end(self) -> None:
        self.open -= 1

    def _send(self, client: int, request: Request, number_of_try: int, then: Callable[[], None]) -> None:
        """Send a request, and again if its outcome is not known, or if no process took it."""
        world = self._world
        service = self._services[world.rng.randrange(len(self._services))]
        number, invoked = self._number, world.now
        self._number += 1
        ended = False

        def returned(answer: Answer) -> None:
            nonlocal ended
            if ended:
                return
            ended = True
            self._record(number, client, service, request, (invoked, answer))
            if (answer.type == UNKNOWN or answer.code == PROCESS_AWAY) and number_of_try < self._tries:
                pause_s = PAUSE_S * number_of_try
                self._later(pause_s, lambda: self._send(client, request, number_of_try + 1, then))
            else:
                then()

        if service.process.loop.crashed or service.strategy is None:
            returned(Answer(FAILED, PROCESS_AWAY))
            return
        task = service.run(service.execute(request.command), lambda task: returned(_answer(task)))
        service.process.at_crash[returned] = lambda: returned(Answer(UNKNOWN, PROCESS_ENDED))
        if client == 0 and number_of_try == 1 and self._faults.cancel_step >= 0:
            self.cancel_at = (self._faults.cancel_step, task)
        if self._faults.cancel and world.rng.random() < self._faults.cancel and number_of_try == 1:
            self._later(world.rng.random() * CANCELLED_S, lambda: _cancel(task))

    def _record(
        self, number: int, client: int, service: Service, request: Request, times: tuple[float, Answer]
    ) -> None:
        invoked, answer = times
        command = request.command
        if isinstance(command, PlaceOrder) and answer.type == "ok" and not answer.replayed:
            self._mix.placed.append((command.request_id, command.user_id))
        self.operations.append(
            Operation(
                number=number,
                client=client,
                process=service.process.name,
                command=command.name,
                keys=tuple([str(key) for key in command.keys]),
                request_id=command.request_id,
                fingerprint=command.fingerprint,
                invoke_ns=round(invoked * 1e9),
                return_ns=round(self._world.now * 1e9),
                type=answer.type,
                code=answer.code,
                replayed=answer.replayed,
                answer=answer.answer,
                versions=answer.versions,
                deltas=request.deltas,
                unexpected=answer.unexpected,
                in_doubt=answer.in_doubt,
            )
        )


def _cancel(task: "asyncio.Task[Any]") -> None:
    task.cancel()


def _answer(task: "asyncio.Task[Answer]") -> Answer:
    if task.cancelled():
        return of_error(asyncio.CancelledError())
    error = task.exception()
    return task.result() if error is None else of_error(error)
