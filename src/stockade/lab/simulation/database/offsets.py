"""The statements on the offsets of a log: what moves them, compares them, and takes a partition.

Neighbours: `store.consumer_offsets` sends them, by a connection of `connection.py`.
"""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Insert

from stockade.lab.simulation.database.server import Session, Statement
from stockade.lab.simulation.database.statements import insert
from stockade.lab.simulation.database.tables import Record, SimulatedTable
from stockade.store.consumer_offsets import _statements as offset_statements
from stockade.store.schema.tables import DEFAULT


def offset_statement(session: Session, statement: Any, values: Mapping[str, Any]) -> Statement:
    """One statement; the records that it matched.

    Raises:
        NotImplementedError: the simulated database does not know it.
    """
    table, known = session.server.tables[DEFAULT.consumer_offsets.name], offset_statements(DEFAULT)
    if statement is known.move or statement is known.hold or statement is known.wait:
        return _of_a_batch(session, table, values, (statement is known.wait, statement is known.move))
    if statement is known.take or statement is known.set_by_hand or statement is known.read:
        return _of_a_reader(session, table, values, writes=statement is not known.read)
    if isinstance(statement, Insert) and statement.table is DEFAULT.consumer_offsets:
        return _insert(session, table, values)
    raise NotImplementedError(f"the simulated database does not know this statement: {statement}")


def _of_a_batch(
    session: Session, table: SimulatedTable, values: Mapping[str, Any], kind: tuple[bool, bool]
) -> Statement:
    """Wait for the row, or move or compare its position under an epoch."""
    waits, moves = kind
    key = (values["topic_"], values["part_"])
    yield from session.lock((table.name, key))
    record = session.newest(table, key)
    if waits or record is None:
        return [record] if record is not None else []
    if record["epoch"] != values["epoch_"] or record["position"] not in (values["old_"], values["new_"]):
        return []
    if moves:
        session.write(table, key, {**record, "position": values["new_"]})
    return [record]


def _of_a_reader(session: Session, table: SimulatedTable, given: Mapping[str, Any], *, writes: bool) -> Statement:
    """Raise the epoch of a partition, and set its position where one is given; or read both."""
    key = (given["topic_"], given["part_"])
    if not writes:
        yield from ()  # it waits for nothing, and is a generator as every statement
        return _found(session.read(table, key))
    yield from session.lock((table.name, key))
    record = session.newest(table, key)
    if record is not None:
        position = given.get("new_", record["position"])
        session.write(table, key, {**record, "position": position, "epoch": record["epoch"] + 1})
    return _found(record)


def _found(record: Record | None) -> list[Record]:
    return [] if record is None else [record]


def _insert(session: Session, table: SimulatedTable, values: Mapping[str, Any]) -> Statement:
    yield from insert(session, table, values)
    return [values]
