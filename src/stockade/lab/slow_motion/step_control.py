"""Stops each transaction between its steps until it is told to go on, and notes what it sends meanwhile.

The store calls the checkpoint on the event loop, inside a greenlet, or in one of SQLite's threads. A transaction that
is stopped holds what it has locked, exactly as a slow one would. Neighbour: `two_buyers.py` says who goes on.
"""

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final

from sqlalchemy import Connection, Engine, event
from sqlalchemy.util import await_only

from stockade.lab.slow_motion.row_view import RowView
from stockade.store.engine.statement import PreparedStatement, Values

ACTOR: ContextVar[str] = ContextVar("actor", default="")  # whose task this is; empty: of nobody in the race
LOADED, SAVED = "loaded", "saved"
MOST_STATEMENTS: Final = 40  # that are kept of one step
LONGEST_STOP_S: Final = 900.0  # then the transaction is rolled back: nobody looks any more


class Abandoned(Exception):
    """The race was given up while this transaction was stopped: it is rolled back."""


class Actor:
    """One whose transaction can be stopped.

    Attributes:
        name: `A`, `B`, or that of the strategy whose task carries out a batch.
        point: where it is stopped; empty: it is not.
        sees: the row on its own connection where it stopped last.
        attempts: transactions that it has begun.
        statements: SQL that it has sent since the last step.
        unanswered: the statement that the database has not answered; empty: there is none.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.point = ""
        self.sees: RowView | None = None
        self.attempts = 0
        self.statements: list[str] = []
        self.unanswered = ""
        self.gate: Future[None] | None = None
        self.connection: Connection | None = None


class StepControl:
    """The checkpoint of the stores of one race.

    Args:
        peek: reads the row on the connection of whoever stops.
    """

    def __init__(self, peek: Callable[[Connection], RowView]) -> None:
        self._peek = peek
        self._peeking: ContextVar[bool] = ContextVar("peeking", default=False)
        self._lock = threading.Lock()
        self._abandoned = False
        self.actors: dict[str, Actor] = {}

    def actor(self, name: str) -> Actor:
        """The actor of this name; it is made when it is first needed."""
        with self._lock:
            return self.actors.setdefault(name, Actor(name))

    def checkpoint(self, point: str) -> None:
        """See `SqlStore`: stops at `loaded` and `saved`, where a transaction can be stopped."""
        if not (name := ACTOR.get()):
            return
        actor = self.actor(name)
        if point == "begin":
            actor.attempts += 1
        if point not in (LOADED, SAVED):
            return
        if actor.connection is not None:
            reset = self._peeking.set(True)
            try:
                actor.sees = self._peek(actor.connection)
            finally:
                self._peeking.reset(reset)
        self._stop(actor, point)

    def _stop(self, actor: Actor, point: str) -> None:
        gate: Future[None] = Future()
        with self._lock:
            if self._abandoned:
                raise Abandoned(actor.name)
            actor.gate, actor.point = gate, point
        try:
            asyncio.get_running_loop()
        except RuntimeError:  # a thread of SQLite's backend
            gate.result(LONGEST_STOP_S)
        else:
            await_only(asyncio.wait_for(asyncio.wrap_future(gate), LONGEST_STOP_S))

    def release(self, actor: Actor) -> None:
        """Let it go on to its next point, or to its end."""
        with self._lock:
            gate, actor.gate, actor.point = actor.gate, None, ""
        actor.statements.clear()
        if gate is not None:
            gate.set_result(None)

    def abandon(self) -> None:
        """Roll back whatever is stopped, now and from now on."""
        with self._lock:
            self._abandoned = True
            gates = [each.gate for each in self.actors.values() if each.gate is not None]
        for gate in gates:
            if not gate.done():
                gate.set_exception(Abandoned("the race was given up"))

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Note the statements of all actors inside the block, whatever database they use.

        The store sends most statements past SQLAlchemy's events, so that its own way to send one is watched as well.
        """
        send = PreparedStatement._run  # noqa: SLF001 - the store offers no hook there: it would cost every statement

        def watched(prepared: PreparedStatement, connection: Connection, values: Values) -> Any:
            self._sent(connection, prepared._sql)  # noqa: SLF001 - as above
            try:
                return send(prepared, connection, values)
            finally:
                self._answered()

        def before(connection: Connection, _cursor: Any, statement: str, *_rest: Any) -> None:
            self._sent(connection, statement)

        def after(*_rest: Any) -> None:
            self._answered()

        event.listen(Engine, "before_cursor_execute", before)
        event.listen(Engine, "after_cursor_execute", after)
        PreparedStatement._run = watched  # type: ignore[method-assign,assignment]  # noqa: SLF001 - as above
        try:
            yield
        finally:
            PreparedStatement._run = send  # type: ignore[method-assign]  # noqa: SLF001 - as above
            event.remove(Engine, "before_cursor_execute", before)
            event.remove(Engine, "after_cursor_execute", after)

    def _sent(self, connection: Connection, statement: str) -> None:
        if (name := ACTOR.get()) and not self._peeking.get():
            actor = self.actor(name)
            actor.connection, actor.unanswered = connection, statement
            if len(actor.statements) < MOST_STATEMENTS:
                actor.statements.append(" ".join(statement.split()))

    def _answered(self) -> None:
        if (name := ACTOR.get()) and not self._peeking.get():
            self.actor(name).unanswered = ""
