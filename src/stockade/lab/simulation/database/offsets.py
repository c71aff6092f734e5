"""The statements on the offsets of a log: what moves them, compares them, and takes a partition.

Neighbours: `store.consumer_offsets` sends them, by a connection of `connection.py`.
"""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Insert, Select, Update

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
    if any(statement is each for each in known):
        return _of_a_batch(session, table, values, (statement is known.wait, statement is known.move))
    if isinstance(statement, Insert) and statement.table is DEFAULT.consumer_offsets:
        return _insert(session, table, values)
    if isinstance(statement, Update | Select):
        given = statement.compile().params
        if {"topic_1", "part_1"} <= given.keys():
            return _of_a_reader(session, table, given, writes=isinstance(statement, Update))
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
    key = (given["topic_1"], given["part_1"])
    if not writes:
        yield from ()  # it waits for nothing, and is a generator as every statement
        return _found(session.read(table, key))
    yield from session.lock((table.name, key))
    record = session.newest(table, key)
    if record is not None:
        position = given.get("position", record["position"])
        session.write(table, key, {**record, "position": position, "epoch": record["epoch"] + 1})
    return _found(record)


def _found(record: Record | None) -> list[Record]:
    return [] if record is None else [record]


def _insert(session: Session, table: SimulatedTable, values: Mapping[str, Any]) -> Statement:
    yield from insert(session, table, values)
    return [values]
