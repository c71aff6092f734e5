"""The race: two buyers want the last unit, and somebody says who goes on.

Each buyer is a service of its own, with connections of its own, as two processes are; under `sequencer` both are
callers of one service, because its queue is in the process. Nothing is made up: the strategies and the store are those
of production, the rows are read from the database after every step. Neighbours: `step_control.py` stops the
transactions, `story.py` says in words of the page what happened.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any, Final

from sqlalchemy import Connection

from stockade.core import Accepted, Backoff, Command, Decision, JsonValue, Outcome, Rows, StockadeError
from stockade.lab.checks import violations
from stockade.lab.errors import LabError
from stockade.lab.model.burst import Burst
from stockade.lab.model.repeat_result import ACCEPTED, FAILED, REJECTED, LedgerEntry, RepeatResult, Response
from stockade.lab.presets.reference import PRESET
from stockade.lab.runs.repeats import create_rows, fresh_names
from stockade.lab.runs.snapshot import read_snapshot
from stockade.lab.slow_motion.row_view import RowView, loaded_row, read_row
from stockade.lab.slow_motion.step_control import ACTOR, Actor, StepControl
from stockade.lab.targets.target_database import TargetDatabase, open_target_database
from stockade.service import Service, open_service
from stockade.store import Database
from stockade.strategies.options import Options

CONTROLS: Final = ("unprotected", "pessimistic", "optimistic", "sequencer")
A, B, QUEUE = "A", "B", "sequencer"
BAD_ORDER: Final = (A, B, A, A, B, B)  # both have read before either has written
WAIT_S: Final = 900.0  # of a command: somebody reads meanwhile
LEASE_S: Final = 4 * WAIT_S  # of the registration: its heartbeat could not write while a buyer holds SQLite's file
SILENT_S: Final = 0.25  # without an answer to its statement: the others may go on
SETTLE_S: Final = 10.0  # longest time that one step takes
POLL_S: Final = 0.005


class WatchedOrder:
    """A buyer's order; keeps what it was given to decide on."""

    def __init__(self, command: Command) -> None:
        self._command = command
        self.decided_on: RowView | None = None
        self.decision = ""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._command, name)

    def decide(self, rows: Rows) -> Decision:
        """See `Command.decide`; the decision is the command's own."""
        found = self._command.decide(rows)
        self.decided_on = loaded_row(rows, self._command.keys[0])
        if found.outcome is not None:
            self.decision = "accept" if found.outcome.accepted else "refuse"
        return found


class Buyer:
    """One of the two.

    Attributes:
        name: `A` or `B`.
        order: that it sends.
        began_ns: when it sent it, on the monotonic clock; 0: not yet.
        task: that waits for the answer.
    """

    def __init__(self, name: str, order: Command, service: Service) -> None:
        self.name = name
        self.order = WatchedOrder(order)
        self.service = service
        self.began_ns = self.ended_ns = 0
        self.task: asyncio.Task[Outcome] | None = None

    @property
    def ended(self) -> bool:
        """Whether it has its answer."""
        return self.task is not None and self.task.done()

    def start(self) -> None:
        """Send the order."""
        self.began_ns = time.monotonic_ns()
        self.task = asyncio.create_task(self._send(), name=f"stockade-buyer-{self.name}")

    async def _send(self) -> Outcome:
        ACTOR.set(self.name)
        try:
            return await self.service.execute(self.order)
        finally:
            self.ended_ns = time.monotonic_ns()

    @property
    def answer(self) -> str:
        """`ACCEPTED`, the code of the refusal or of the error; empty while there is none."""
        if self.task is None or not self.task.done():
            return ""
        if self.task.cancelled() or (error := self.task.exception()) is None:
            outcome = None if self.task.cancelled() else self.task.result()
            return "CANCELLED" if outcome is None else "ACCEPTED" if isinstance(outcome, Accepted) else outcome.code
        return error.code if isinstance(error, StockadeError) else type(error).__name__

    @property
    def status(self) -> str:
        """`ACCEPTED` or `REJECTED`; `FAILED` where it has an error, or nothing, instead of a decision."""
        if self.task is None or not self.task.done() or self.task.cancelled() or self.task.exception() is not None:
            return FAILED
        return ACCEPTED if isinstance(self.task.result(), Accepted) else REJECTED

    def response(self) -> Response:
        """For the checks of the lab."""
        code = "" if self.status == ACCEPTED else self.answer
        return Response(self.order.request_id, self.status, code, "", "", self.began_ns, self.ended_ns)


class TwoBuyers:
    """One race. `open_race` makes it.

    Attributes:
        control: name of the strategy.
        target: the database.
        workload: its two orders.
        steps: how many steps were made.
    """

    def __init__(
        self, control: str, target: TargetDatabase, workload: Burst, *, steps: StepControl, buyers: list[Buyer]
    ) -> None:
        self.control, self.target, self.workload = control, target, workload
        self._control, self.buyers = steps, {each.name: each for each in buyers}
        self.steps = 0

    @property
    def in_queue(self) -> bool:
        """Whether one task carries out both orders."""
        return self.control == QUEUE

    def actor(self, name: str) -> Actor:
        """Whose transaction it is."""
        return self._control.actor(name)

    def state_of(self, buyer: Buyer) -> str:
        """`outside`, `answered`, `loaded`, `saved`, `queued`, `unanswered` (its statement, so far) or `running`."""
        if buyer.task is None:
            return "outside"
        if buyer.ended:
            return "answered"
        if self.in_queue:
            return "queued"
        actor = self.actor(buyer.name)
        return actor.point or ("unanswered" if actor.unanswered else "running")

    @property
    def ended(self) -> bool:
        """Whether both have their answer."""
        return all(each.ended for each in self.buyers.values())

    @property
    def movable(self) -> list[str]:
        """Who can make a step now."""
        if self.in_queue:
            began = any(each.task is not None for each in self.buyers.values())
            return [QUEUE] if self.actor(QUEUE).point or not began else []
        return [each.name for each in self.buyers.values() if self.state_of(each) in ("outside", "loaded", "saved")]

    @property
    def next(self) -> str:
        """Who would go on so that the race is as bad as it can be; empty: it has ended."""
        movable = self.movable
        order = (*BAD_ORDER[self.steps :], A, B, QUEUE)
        return next((name for name in order if name in movable), "")

    async def step(self, who: str) -> None:
        """Let one go on to its next point, and wait until everybody stands still.

        Args:
            who: one of `movable`.

        Raises:
            LabError: it cannot go on now; or the database did not answer within `SETTLE_S`.
        """
        if who not in self.movable:
            raise LabError(f"{who} cannot go on now; these can: {', '.join(self.movable) or 'nobody, it has ended'}")
        if who == QUEUE and not self.actor(QUEUE).point:
            for buyer in self.buyers.values():
                buyer.start()
        elif who in self.buyers and self.buyers[who].task is None:
            self.buyers[who].start()
        else:
            self._control.release(self.actor(who))
        self.steps += 1
        await self._settle()

    async def _settle(self) -> None:
        """Wait until each buyer has its answer or is stopped, or is silent while somebody else can go on.

        Why the database is silent is not asked: it may be a lock that the other one holds, or a slow disk.
        """
        deadline = time.monotonic() + SETTLE_S
        silent_since = time.monotonic()
        while time.monotonic() < deadline:
            await asyncio.sleep(POLL_S)
            moving = [each for each in self._running() if not self.actor(each).point]
            if not moving:
                return
            if not all(self.actor(each).unanswered for each in moving):
                silent_since = time.monotonic()
            elif time.monotonic() - silent_since > SILENT_S and self.movable:
                return
        raise LabError(f"the database did not answer within {SETTLE_S:.0f} s")

    def _running(self) -> list[str]:
        running = [each.name for each in self.buyers.values() if each.task is not None and not each.ended]
        return [QUEUE] if running and self.in_queue else running

    async def row(self) -> RowView:
        """The row as everybody else sees it: what is committed."""
        return await self.target.admin_database.read(partial(read_row, sku_id=self.workload.counted_rows[0].id))

    async def verdict(self) -> tuple[list[dict[str, JsonValue]], list[LedgerEntry]]:
        """What is wrong now that both have their answer, and what the ledger says; the checks are those of the lab."""

        def read(connection: Connection) -> RepeatResult:
            snapshot = read_snapshot(connection, self.workload)
            responses = tuple(each.response() for each in self.buyers.values())
            return RepeatResult(self.workload, "OUT_OF_STOCK", responses, snapshot)

        result = await self.target.admin_database.read(read)
        found: list[dict[str, JsonValue]] = [{"rule": each.rule, "detail": each.detail} for each in violations(result)]
        return found, list(result.snapshot.ledger)

    async def abandon(self) -> None:
        """Roll back what is open."""
        self._control.abandon()
        tasks = [each.task for each in self.buyers.values() if each.task is not None]
        if not tasks:
            return
        done, _ = await asyncio.wait(tasks, timeout=SETTLE_S)
        for task in done:  # that it was given up is no news
            task.cancelled() or task.exception()


@asynccontextmanager
async def open_race(control: str, database: str) -> AsyncIterator[TwoBuyers]:
    """A race over one unit that is about to begin.

    Args:
        control: one of `CONTROLS`.
        database: `sqlite`, `postgres`, `mariadb` or a URL.

    Raises:
        LabError: there is no such control, or the database cannot be opened.
    """
    if control not in CONTROLS:
        raise LabError(f"slow motion has {', '.join(CONTROLS)}, not {control!r}")
    async with AsyncExitStack() as stack:
        target = await stack.enter_async_context(open_target_database(database, connections=8))
        workload = PRESET.variants[0].workload(fresh_names(2, 1))
        await create_rows(target, [workload])
        steps = StepControl(partial(read_row, sku_id=workload.counted_rows[0].id))
        services = [await _open_service(stack, target, control, steps) for _ in range(1 if control == QUEUE else 2)]
        orders = zip((A, B), workload.orders, strict=True)
        buyers = [Buyer(name, order, services[n % len(services)]) for n, (name, order) in enumerate(orders)]
        race = TwoBuyers(control, target, workload, steps=steps, buyers=buyers)
        with steps.listening():
            try:
                yield race
            finally:
                await race.abandon()


async def _open_service(stack: AsyncExitStack, target: TargetDatabase, control: str, steps: StepControl) -> Service:
    options = Options(wait_s=WAIT_S, backoff=Backoff(first_ms=0.0, cap_ms=0.0))
    tables = target.application.tables
    database = await Database.open(target.url, pool_size=1, wait_s=WAIT_S, tables=tables)
    stack.push_async_callback(database.close)
    token = ACTOR.set(QUEUE if control == QUEUE else "")  # its task, which is started here, carries out both orders
    try:
        opening = open_service(
            target.application,
            database,
            control,
            options,
            allow_overselling=True,
            guard_lease_s=LEASE_S,
            checkpoint=steps.checkpoint,
        )
        return await stack.enter_async_context(opening)
    finally:
        ACTOR.reset(token)
