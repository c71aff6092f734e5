"""All writes of a batch as one compound statement of MariaDB: `BEGIN NOT ATOMIC INSERT …; INSERT …; UPDATE …; END`.

A statement for each table is a round trip for each, while every other batch waits for the hot row. But the server
parses the text of the compound statement each time, so large batches use the driver's bulk statements instead.

The values are literals that mean the same under every setting of the server: any text but letters, digits and `_ : . -`
is sent in hexadecimal. Neighbour: `dialect` sends the statement.
Source: MariaDB Server documentation, "BEGIN END" and "Hexadecimal Literals".
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import Table

from stockade.store.engine.statement import Values, Writes
from stockade.store.schema.resource import Resource

MOST_ROWS = 400  # of all tables, some forty orders: measured with batches of 1 to 100
MOST = 900_000  # characters: less than the least `max_allowed_packet` that was ever a default

_plain = re.compile(r"[\w:.-]*\Z", re.ASCII).match


class NoLiteral(TypeError):
    """A value of a type that is left to the driver."""


def literal(value: Any) -> str:
    """The value as a literal.

    Raises:
        NoLiteral: it is no int, str, bytes or None.
    """
    kind = type(value)
    if kind is int:
        return str(value)
    if kind is str:
        return f"'{value}'" if _plain(value) else f"_utf8mb4 X'{value.encode().hex()}'"
    if value is None:
        return "NULL"
    if kind is bytes:
        return f"X'{value.hex()}'"
    if kind is bool:
        return str(int(value))
    raise NoLiteral(f"no literal for a {kind.__name__}")


def compound(writes: Writes) -> str | None:
    """The statement; None if the driver's own statements are faster or necessary: many rows, long ones, other types.

    Rows are deleted and updated one by one, by their keys: a list of keys could be read, and so locked, in another
    order.
    """
    tables = (*writes.inserts.values(), *writes.deletes.values(), *writes.updates.values())
    if len(tables) < 2 or sum(map(len, tables)) > MOST_ROWS:
        return None
    try:
        statements = [*_inserts(writes.inserts), *_deletes(writes.deletes), *_updates(writes.updates)]
    except NoLiteral:
        return None
    text = f"BEGIN NOT ATOMIC {'; '.join(statements)}; END"
    return text if len(text) <= MOST else None


def quoted(table: Table) -> str:
    """The name of a table in a statement, with the database that its `schema` is."""
    return f"`{table.schema}`.`{table.name}`" if table.schema else f"`{table.name}`"


def _inserts(inserts: Mapping[Table, Sequence[Values]]) -> Iterator[str]:
    for table, rows in inserts.items():
        names = tuple(rows[0])
        into = f"{quoted(table)} ({', '.join([f'`{name}`' for name in names])})"
        columns = [_column([row[name] for row in rows]) for name in names]
        values = "), (".join(map(", ".join, zip(*columns, strict=True)))
        yield f"INSERT INTO {into} VALUES ({values})"  # noqa: S608 - names of our own tables, and literals


def _column(values: Sequence[Any]) -> list[str]:
    """A literal for each value; checking all together takes half as long as checking each."""
    kinds = set(map(type, values))
    if kinds == {int}:
        return list(map(str, values))
    if kinds == {str} and _plain("".join(values)):
        return [f"'{value}'" for value in values]
    return list(map(literal, values))


def _deletes(deletes: Mapping[Table, Sequence[Values]]) -> Iterator[str]:
    for table, rows in deletes.items():
        for row in rows:
            yield f"DELETE FROM {quoted(table)} WHERE {_equal(row.items(), ' AND ')}"  # noqa: S608 - as above


def _updates(updates: Mapping[Resource, Sequence[Values]]) -> Iterator[str]:
    for resource, rows in updates.items():
        for row in rows:
            moves = _equal([each for each in row.items() if each[0] != "id_"], ", ")
            yield f"UPDATE {quoted(resource.table)} SET {moves} WHERE id = {literal(row['id_'])}"  # noqa: S608 - as above


def _equal(values: Any, between: str) -> str:
    return between.join([f"`{name}` = {literal(value)}" for name, value in values])
