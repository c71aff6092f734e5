"""The dialect of the simulated database: each statement of the store is sent to the simulated server.

Neighbours: `statements.py` says what they do there; `connection.py` waits for the answer.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, cast

from sqlalchemy import Connection, Table
from sqlalchemy.engine.default import DefaultDialect

from stockade.core import GuardKind
from stockade.lab.simulation.database import statements
from stockade.lab.simulation.database.connection import SimulatedConnection
from stockade.lab.simulation.database.server import Session, Statement
from stockade.store.engine.dialect import Dialect
from stockade.store.engine.statement import ExpectedRows, Values, Writes
from stockade.store.schema.resource import Resource

WAIT_S = 5.0  # the longest wait for one row lock, as a connection to PostgreSQL has it


class SimulatedDialect(Dialect):
    """Has row locks, advisory locks, snapshots, and one statement for a batch, as PostgreSQL has."""

    name: ClassVar[str] = "simulated"
    supports_single_statement: ClassVar[bool] = True

    def __init__(self) -> None:
        super().__init__(DefaultDialect())

    def after_begin(self, connection: Connection, left_s: float, advisory: Sequence[str]) -> None:
        session = _session(connection)
        session.lock_wait_s = min(left_s, WAIT_S)
        if advisory:
            _ask(connection, _hold(session, advisory))

    def bounds_waits_within(self, left_s: float) -> bool:
        return left_s >= 0.9 * WAIT_S

    def load(
        self, connection: Connection, resource: Resource, ids: Sequence[str], lock: bool, *, nowait: bool = False
    ) -> list[Any]:
        session = _session(connection)
        found = statements.load(session, resource, ids, lock=lock and not resource.many, nowait=nowait)
        return cast(list[Any], _ask(connection, found))

    def known_requests(self, connection: Connection, table: Table, ids: Sequence[str]) -> list[Any]:
        return cast(list[Any], _ask(connection, statements.known_requests(_session(connection), table, ids)))

    def insert_all(self, connection: Connection, batches: Mapping[Table, Sequence[Values]]) -> None:
        self.write_all(connection, Writes(batches))

    def delete_all(self, connection: Connection, table: Table, rows: Sequence[Values]) -> None:
        self.write_all(connection, Writes(deletes={table: rows}))

    def update_locked(self, connection: Connection, resource: Resource, rows: Sequence[Values]) -> None:
        self.write_all(connection, Writes(updates={resource: rows}))

    def insert_missing(self, connection: Connection, table: Table, rows: Sequence[Values]) -> None:
        _ask(connection, statements.insert_missing(_session(connection), table, rows))

    def write_all(self, connection: Connection, writes: Writes) -> None:
        if any(writes):
            _ask(connection, statements.write_all(_session(connection), writes))

    def write_if_unchanged(self, connection: Connection, expected: Sequence[ExpectedRows], writes: Writes) -> bool:
        return bool(_ask(connection, statements.write_if_unchanged(_session(connection), expected, writes)))

    def update_guarded(self, connection: Connection, resource: Resource, guard: GuardKind, values: Values) -> int:
        return int(_ask(connection, statements.update_guarded(_session(connection), resource, guard, values)))

    def install_fence(self, connection: Connection, resource: Resource, values: Values) -> int | None:
        return cast("int | None", _ask(connection, statements.install_fence(_session(connection), resource, values)))

    def update_delta(self, connection: Connection, resource: Resource, values: Values) -> Any | None:
        return _ask(connection, statements.update_delta(_session(connection), resource, values))


def _hold(session: Session, names: Sequence[str]) -> Statement:
    for name in names:
        yield from session.lock(("advisory", (name,)))


def _ask(connection: Connection, statement: Statement) -> Any:
    return cast(SimulatedConnection, connection).ask(statement)


def _session(connection: Connection) -> Session:
    return cast(SimulatedConnection, connection).session
