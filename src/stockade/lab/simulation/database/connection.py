"""A connection of a simulated process to the simulated server, as the store uses it, and the pool that makes them.

A body of the store runs in a greenlet, as over an asynchronous driver: each statement suspends the task. The functions
around it (begin, commit, what a lost connection means) are those of production, in `store.engine.backends`.
Neighbours: `server.py`, `statements.py`.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any, TypeVar, cast

from sqlalchemy import Connection
from sqlalchemy.util import await_only, greenlet_spawn

from stockade.lab.simulation.database.offsets import offset_statement
from stockade.lab.simulation.database.server import (
    FIRST_STATEMENT,
    LOST,
    DatabaseServer,
    ServerError,
    Session,
    Statement,
)
from stockade.lab.simulation.world import Process
from stockade.store.engine.backends import TransactionRun, run_autocommit, run_in_transaction, run_read
from stockade.store.engine.dialect import Dialect

T = TypeVar("T")


class SimulatedConnection:
    """One connection, used for one transaction or one read.

    Args:
        server: at its other end.
        process: that has it.
        autocommit: each statement is a transaction of its own.
        ends: counts those that are given up before their transaction is decided.
    """

    def __init__(
        self, server: DatabaseServer, process: Process, *, autocommit: bool = False, ends: "Ends | None" = None
    ) -> None:
        self.session = Session(server)
        self._ends = ends or Ends()
        self.server = server
        self._process = process
        self._autocommit = autocommit
        self._open = False
        process.at_crash[self] = self._end_soon

    def ask(self, statement: Statement) -> Any:
        """Send a statement and wait for its result; called in the greenlet of a body.

        Raises:
            ServerError: what the server answers, or that the connection is lost.
        """
        return await_only(self._send(self._alone(statement) if self._autocommit else statement))

    def _alone(self, statement: Statement) -> Statement:
        try:
            result = yield from statement
        except ServerError:
            self.session.end()
            raise
        yield from self.session.commit()
        return result

    def _send(self, statement: Statement) -> "asyncio.Future[Any]":
        world, faults, session = self.server.world, self.server.faults, self.session
        world.step(self._process)
        future: asyncio.Future[Any] = self._process.loop.create_future()
        latency_s = world.rng.random() * faults.latency_s
        if faults.slow and world.rng.random() < faults.slow:
            latency_s += world.rng.random() * faults.slow_s
        session.busy_until = max(session.busy_until, world.now + latency_s) + 1e-7
        lost = world.rng.random() if faults.lose_request or faults.lose_reply else 1.0

        def answer(result: Any, error: BaseException | None) -> None:
            if faults.lose_request <= lost < faults.lose_request + faults.lose_reply:
                session.kill()
                result, error = None, ServerError(LOST, "connection reset by peer")
            self._process.loop.call_soon(_settle, future, result, error)

        def arrive() -> None:
            if session.alive and lost >= faults.lose_request:
                self.server.carry_out(session, statement, answer)
                return
            session.kill()
            statement.close()
            self._process.loop.call_soon(_settle, future, None, ServerError(LOST, "connection reset by peer"))

        world.after(session.busy_until - world.now, arrive)
        return future

    # -- what `store.engine.backends` needs of a connection ------------------------------------------------

    def begin(self) -> "SimulatedConnection":
        """Begin; the server hears of it with the first statement."""
        self._open = True
        return self

    def in_transaction(self) -> bool:
        return self._open

    def commit(self) -> None:
        self._open = False
        self.ask(self.session.commit())

    def rollback(self) -> None:
        self._open = False
        self.ask(self.session.roll_back())

    def invalidate(self) -> None:
        """Throw the connection away: the server rolls back when it notices, after what was sent before."""
        self._open = False
        if self.session.alive:
            self._ends.begun()
            self._end_soon(self._ends.came)

    def _end_soon(self, then: Callable[[], None] = lambda: None) -> None:
        world, session = self.server.world, self.session

        def end() -> None:
            session.kill()
            then()

        if session.alive:
            session.busy_until = max(session.busy_until, world.now) + 1e-7
            world.after(session.busy_until - world.now, end)

    def give_back(self) -> None:
        """The transaction has ended."""
        del self._process.at_crash[self]

    def execute(self, statement: Any, values: Mapping[str, Any] | None = None) -> "Matched":
        """A statement on the offsets of a log; every other one goes through the dialect."""
        return Matched(self.ask(offset_statement(self.session, statement, values or {})))


class Ends:
    """The ends of connections that were asked for and have not come: until then, what was sent may be committed."""

    def __init__(self) -> None:
        self.open = 0
        self.all_came = asyncio.Event()
        self.all_came.set()

    def begun(self) -> None:
        """The end of one is asked for."""
        self.open += 1
        self.all_came.clear()

    def came(self) -> None:
        """The server has ended it."""
        self.open -= 1
        if not self.open:
            self.all_came.set()


class Matched:
    """The records that a statement matched."""

    def __init__(self, records: Sequence[Mapping[str, Any]]) -> None:
        self._records = records
        self.rowcount = len(records)

    def one(self) -> Any:
        """The only record, by names."""
        (record,) = self._records
        return SimpleNamespace(**record)


def _settle(future: "asyncio.Future[Any]", result: Any, error: BaseException | None) -> None:
    if not future.done():
        if error is None:
            future.set_result(result)
        else:
            future.set_exception(error)


class SimulatedBackend:
    """Runs the bodies of one simulated process, each on a connection of its own.

    Args:
        server: that the connections lead to.
        process: that has them.
        dialect: of the server.
    """

    readers = 8

    def __init__(self, server: DatabaseServer, process: Process, dialect: Dialect) -> None:
        self.dialect = dialect
        self._server, self._process = server, process
        self._ends = Ends()

    async def read(self, body: Callable[[Connection], T], limit_s: float) -> T:
        made = SimulatedConnection(self._server, self._process)
        try:
            return cast(T, await greenlet_spawn(run_read, cast(Connection, made), self.dialect, body, limit_s))
        finally:
            made.give_back()

    async def write(self, body: Callable[[Connection], T], run: TransactionRun) -> T:
        made = SimulatedConnection(self._server, self._process, autocommit=run.autocommit, ends=self._ends)
        if run.isolation == "SERIALIZABLE":
            made.session.snapshot = FIRST_STATEMENT
        way = run_autocommit if run.autocommit else run_in_transaction
        try:
            return cast(T, await greenlet_spawn(way, cast(Connection, made), self.dialect, body, run))
        finally:
            made.give_back()

    def lost(self) -> None:
        """Nothing: no connection is used twice."""

    @property
    def unsettled(self) -> bool:
        """Whether a connection that was given up has not ended at the server."""
        return bool(self._ends.open)

    async def settle(self) -> None:
        """Wait until those have ended."""
        await self._ends.all_came.wait()

    async def close(self) -> None:
        """Nothing: no connection is kept."""
