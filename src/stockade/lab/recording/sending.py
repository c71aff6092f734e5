"""Sends one request as a client does: again at another process while its outcome is not known, with the same id.

Each try is an operation of its own. Some requests are sent twice on purpose: at once, later, or after the processes
were restarted. Neighbours: `load.py` has the clients, `final_phase.py` sends what is undecided at the end.
"""

import asyncio
import heapq
import itertools
import random
from collections.abc import Sequence
from typing import Final

from stockade.core import Command, IdempotencyKeyReused, Key
from stockade.lab.execution.processes.service_process import ServiceProcess
from stockade.lab.history.operation import FAILED, REFUSED, UNKNOWN
from stockade.lab.recording.load_control import LoadSettings
from stockade.lab.recording.recorder import Recorder
from stockade.lab.recording.service_processes import ServiceProcesses
from stockade.lab.workloads.workload import Request

TRIES: Final = 6  # of one request, before it waits for the end of the recording
FIRST_PAUSE_S: Final = 0.01  # after a try without a decision; doubled after each
LONGEST_PAUSE_S: Final = 0.5
ANSWER_GRACE_S: Final = 3.0  # after the deadline, before a client believes that there will be no answer
GIVE_UP_S: Final = 0.02  # the longest patience of a client that gives up
SECOND_CLIENT: Final = 1_000_000  # added to the number of a client for the second of two equal requests at once
LATER: Final = (50, 500)  # requests between the two
MAX_KEPT: Final = 2_000  # requests that are sent again later, and after the restart
ROWS_READ: Final = 3  # most rows of one read
MAX_USED: Final = 300  # rows whose last command is kept


class Sender:
    """Sends requests and records the operations.

    Args:
        processes: that take them.
        recorder: keeps the operations.
        settings: of the load.
        rows: that clients read now and then.

    Attributes:
        undecided: requests without a decision, by id.
        used: by row, as `stock:42`: a command that needed it and was decided, of the rows that were used last.
        after_restart: decided ones to send again when the processes were restarted.
        stopping: no further tries of what is being decided now.
    """

    def __init__(
        self, processes: ServiceProcesses, recorder: Recorder, settings: LoadSettings, rows: Sequence[Key]
    ) -> None:
        self._processes, self._recorder, self._settings = processes, recorder, settings
        self._rows = [list(group) for _, group in itertools.groupby(sorted(rows), key=lambda key: key.kind)]
        self._later: list[tuple[int, int, Request]] = []
        self._wait_ns = round(settings.wait_s * 1e9)
        self._order = itertools.count()
        self._sent = 0
        self.undecided: dict[str, Request] = {}
        self.used: dict[str, Command] = {}
        self.after_restart: list[Request] = []
        self.stopping = False

    async def send(self, client: int, request: Request, rng: random.Random) -> None:
        """Send a request, and now and then something beside it.

        Args:
            client: that sends it.
            request: what is sent.
            rng: the client's choices.
        """
        self._sent += 1
        settings = self._settings
        if self._rows and rng.random() < settings.read_share:
            await self._read(client, rng)
        if self._later and self._later[0][0] <= self._sent:
            await self.decide(client, heapq.heappop(self._later)[2], rng)
        if not settings.duplicate_share or rng.random() >= settings.duplicate_share:
            decided = await self.decide(client, request, rng)
            if decided and request.reuse is not None:
                self._send_later(Request(request.reuse))
            return
        when = rng.choice(("at once", "later", "after the restart"))
        if when == "at once":
            second = self.decide(client + SECOND_CLIENT, request, settings.rng(client, self._sent), home=client + 1)
            await asyncio.gather(self.decide(client, request, rng), second)
            return
        await self.decide(client, request, rng)
        if when == "later":
            self._send_later(request, rng.randint(*LATER))
        elif when == "after the restart" and len(self.after_restart) < MAX_KEPT:
            self.after_restart.append(request)

    def _send_later(self, request: Request, after: int = LATER[0]) -> None:
        if len(self._later) < MAX_KEPT:
            heapq.heappush(self._later, (self._sent + after, next(self._order), request))

    async def decide(
        self, client: int, request: Request, rng: random.Random, *, home: int | None = None, tries: int = 0
    ) -> bool:
        """Send a request until it is decided; whether it is.

        Args:
            client: that sends it.
            request: what is sent.
            rng: the client's choices.
            home: the number of the process that gets the first try; None: by the client.
            tries: at most; 0: `TRIES`.
        """
        request_id = request.command.request_id
        pause_s = FIRST_PAUSE_S
        for number in range(tries or TRIES):
            type_ = await self._try(client, request, rng, (client if home is None else home) + number)
            if type_ not in (UNKNOWN, FAILED):
                self.undecided.pop(request_id, None)
                self._note_used(request.command)
                return True
            if self.stopping:
                break
            await asyncio.sleep(pause_s * rng.uniform(0.5, 1))
            pause_s = min(pause_s * 2, LONGEST_PAUSE_S)
        self.undecided[request_id] = request
        return False

    def _note_used(self, command: Command) -> None:
        for key in map(str, command.keys):
            self.used.pop(key, None)
            self.used[key] = command
            if len(self.used) > MAX_USED:
                del self.used[next(iter(self.used))]

    async def _try(self, client: int, request: Request, rng: random.Random, number: int) -> str:
        process, settings = self._process(number), self._settings
        gives_up = settings.cancel_share and rng.random() < settings.cancel_share
        sent = self._recorder.invoked(
            client, process.name, request.command, self._wait_ns, deltas=request.deltas, takes=request.takes
        )
        answer = await process.execute(
            request.command,
            settings.wait_s + ANSWER_GRACE_S,
            give_up_s=rng.uniform(0.0005, GIVE_UP_S) if gives_up else 0.0,
        )
        self._recorder.returned(sent, answer)
        return REFUSED if answer.code == IdempotencyKeyReused.code else answer.type

    async def _read(self, client: int, rng: random.Random) -> None:
        group = rng.choice(self._rows)
        keys = rng.sample(group, min(len(group), rng.randint(1, ROWS_READ)))
        process = self._process(client)
        sent = self._recorder.invoked(client, process.name, None, 0, keys=tuple(map(str, keys)))
        ids = tuple(key.id for key in keys)
        answer = await process.read(keys[0].kind, ids, self._settings.wait_s + ANSWER_GRACE_S)
        self._recorder.returned(sent, answer)

    def _process(self, number: int) -> ServiceProcess:
        """The process of this number, or the next one that runs: a load balancer sends nothing to one that is away."""
        processes = self._processes.processes
        turn = [processes[(number + n) % len(processes)] for n in range(len(processes))]
        return next((process for process in turn if process.running), turn[0])
