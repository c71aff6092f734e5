"""Rows as dictionaries, for archives. Neighbours: `archive`, `gateway_records`."""

from collections.abc import Iterable
from typing import Any

from sqlalchemy import Connection, Table, select

Record = dict[str, Any]


def rows(conn: Connection, table: Table, *conditions: Any) -> list[Record]:
    """Records in the order of their key."""
    found = conn.execute(select(table).where(*conditions).order_by(*table.primary_key))
    return [row._asdict() for row in found]


def grouped(records: Iterable[Record], name: str) -> dict[str, list[Record]]:
    """Records by the value of a column."""
    groups: dict[str, list[Record]] = {}
    for record in records:
        groups.setdefault(record[name], []).append(record)
    return groups
