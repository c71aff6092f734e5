"""The end of a recording: equal requests after a restart, every unknown one until it is decided, then the final state.

Neighbours: `engine.py` calls it, `final_reads.py` reads the database, `watches` say what was left behind.
"""

import asyncio
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

from sqlalchemy import Connection

from stockade.core import Command, JsonValue, Key
from stockade.lab.checkers.not_judged import KINDS
from stockade.lab.checkers.requests.complete import HAS_ORDERS
from stockade.lab.checkers.system.events import RELAYED
from stockade.lab.checkers.system.log_order import LOG_ENDS
from stockade.lab.checkers.system.served import UNDECIDED
from stockade.lab.history.final_state import FinalState, LedgerLine, LogRecord
from stockade.lab.history.operation import Operation
from stockade.lab.recording.deliveries import read_deliveries, wait_until_sent
from stockade.lab.recording.final_reads import Found, read_found, read_rows
from stockade.lab.recording.load import OFFERED, Offered
from stockade.lab.recording.recorder import Recorder
from stockade.lab.recording.sending import Sender
from stockade.lab.recording.servers import RecordingServers
from stockade.lab.recording.service_processes import ServiceProcesses
from stockade.lab.recording.watches.leftovers import LeftoverWatch
from stockade.lab.runs.run_audit import AUDIT_WAIT_S, LIMIT
from stockade.lab.workloads.workload import Request
from stockade.shop.model.tables import orders

T = TypeVar("T")

DECIDE_WAIT_S: Final = 60.0  # for all requests that are sent then; a try that has begun is waited for
READ_WAIT_S: Final = 60.0
CLIENTS: Final = 16
INSERTED: Final = 1  # the version that an inserted row has
FIRST_CLIENT: Final = 2_000_000  # numbers of the clients of this phase begin here


class FinalPhase:
    """The end of one recording, and what it has to know from before the load.

    Args:
        opened: database, log and workers.
        setup: the commands that made the rows.
        sender: has the undecided requests.
        recorder: has the operations.
        processes: of the service.
        events: file with what the relays delivered; None: there are none.
    """

    def __init__(
        self,
        opened: RecordingServers,
        setup: Sequence[Command],
        sender: Sender,
        recorder: Recorder,
        processes: ServiceProcesses,
        *,
        events: Path | None = None,
    ) -> None:
        self._opened, self._target, self._setup = opened, opened.target, setup
        self._sender, self._recorder, self._processes = sender, recorder, processes
        self._events = events
        self._initial: dict[str, int] = {}

    async def begin(self) -> None:
        """Before the load: the amounts of the rows."""
        keys = {key for command in self._setup for key in command.keys}
        rows = await self._read(partial(read_rows, application=self._target.application, keys=keys))
        self._initial = {row.key: row.amount for row in rows}

    async def end(self, offered: Offered, watch: LeftoverWatch, lease_s: float) -> FinalState:
        """After the load: decide what is open, then read everything.

        Args:
            offered: by an open loop.
            watch: counts what is left.
            lease_s: of a lock, in seconds.

        Raises:
            LabError: a process that does not answer.
        """
        if self._sender.after_restart:
            await asyncio.gather(*(self._processes.replace(number) for number in range(self._processes.count)))
            await self._processes.restore()
            await self._send_all(self._sender.after_restart, time.monotonic() + DECIDE_WAIT_S)
        undecided = await self._decide()
        leftovers = await watch.end(lease_s, self._sender.used)
        if self._events is not None:
            await wait_until_sent(self._target.admin_database)
        operations = self._recorder.operations()
        keys = {key for command in self._setup for key in command.keys} | _keys_of(operations)
        ids = sorted({each.request_id for each in operations if each.request_id})
        setup_ids = frozenset(command.request_id for command in self._setup)
        application = self._target.application
        read = partial(read_found, application=application, keys=keys, request_ids=ids, setup_ids=setup_ids)
        found = await self._read(read)
        sequences = {each.event_id: each.sequence for each in found.outbox}
        extra: dict[str, JsonValue] = {UNDECIDED: undecided, "cpu_s": await self._cpu_s()}
        records: tuple[LogRecord, ...] = ()
        if self._opened.log is not None:
            records = await self._opened.log.records()
            extra[LOG_ENDS] = await self._opened.log.ends()
        if offered.offered:
            extra[OFFERED] = asdict(offered)
        if self._events is not None:
            extra[RELAYED] = True
        extra[HAS_ORDERS] = orders in application.schema.tables
        extra[KINDS] = sorted(each.kind for each in application.resources)
        return FinalState(
            initial={**_inserted(found, self._initial), **self._initial},
            **found._asdict(),
            deliveries=read_deliveries(self._events, sequences, setup_ids) if self._events is not None else (),
            log=records,
            leftovers=leftovers,
            audit=await self._audit(),
            extra=extra,
        )

    async def _decide(self) -> int:
        """Send what is undecided again until it is not, for a bounded time; how many are left."""
        deadline = time.monotonic() + DECIDE_WAIT_S
        while self._sender.undecided and time.monotonic() < deadline:
            await self._send_all(list(self._sender.undecided.values()), deadline)
        return len(self._sender.undecided)

    async def _send_all(self, requests: Sequence[Request], deadline: float) -> None:
        """Send each until it is decided or until the deadline, on the monotonic clock; no try begins after that."""
        left = iter(requests)

        async def client(number: int) -> None:
            rng = random.Random(number)
            for request in left:
                if self._sender.stopping:
                    return
                await self._sender.decide(FIRST_CLIENT + number, request, rng)

        def stop() -> None:
            self._sender.stopping = True

        self._sender.stopping = False
        timer = asyncio.get_running_loop().call_later(max(0.0, deadline - time.monotonic()), stop)
        try:
            await asyncio.gather(*(client(number) for number in range(min(CLIENTS, len(requests)))))
        finally:
            timer.cancel()

    async def _cpu_s(self) -> float:
        counters = [*await self._processes.counters(), *await self._opened.workers.counters()]
        return round(sum(each.cpu_s for each in counters), 3)

    async def _audit(self) -> tuple[tuple[str, str], ...]:
        """What the application's own audit finds; only in a database that has nothing else."""
        if not self._target.private:
            return ()
        audit = partial(self._target.application.audit, limit=LIMIT)
        found = await self._target.admin_database.read(audit, timeout_s=AUDIT_WAIT_S)
        return tuple((each.rule, f"{each.subject}: {each.detail}") for each in found)

    async def _read(self, query: Callable[[Connection], T]) -> T:
        return await self._target.admin_database.read(query, timeout_s=READ_WAIT_S)


def _inserted(found: Found, initial: Mapping[str, int]) -> dict[str, int]:
    """Rows that a decision inserted, without an entry in the ledger: their first entry is their second version."""
    first: dict[str, LedgerLine] = {}
    for line in found.ledger:
        first.setdefault(line.key, line)
    return {
        key: line.amount_after - line.delta
        for key, line in first.items()
        if key not in initial and line.version == INSERTED + 1 and not line.amount_after and not line.delta
    }


def _keys_of(operations: Sequence[Operation]) -> set[Key]:
    """Every row that a request named or an answer mentioned."""
    texts = {text for each in operations for text in (*each.keys, *each.versions)}
    return {Key(kind, id_) for kind, _, id_ in (text.partition(":") for text in texts)}
