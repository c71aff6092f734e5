"""One piece of damage, and statements that do it. Neighbours: `breakages`, `gateway_breakages`."""

from typing import NamedTuple

from sqlalchemy import insert, literal, select

from stockade.store.schema.tables import ledger, outbox


class Breakage(NamedTuple):
    """Damage done by statements, and the violation that its rule must report, among others.

    `forbidden` says that no database with our constraints would let it happen.
    """

    rule: str
    subject: str
    statements: list
    forbidden: bool = False


NO_ID = "0" * 32


def of(kind, row_id, note=None, ref=None):
    """A WHERE for ledger entries."""
    found = (ledger.c.kind == kind) & (ledger.c.row_id == row_id)
    if note is not None:
        found &= ledger.c.note == note
    if ref is not None:
        found &= ledger.c.ref == ref
    return found


def copied(where, **changes):
    """INSERT a changed copy of a ledger entry."""
    return copied_row(ledger, where, **{"request_id": NO_ID, **changes})


def copied_row(table, where, **changes):
    """INSERT a changed copy of a record."""
    columns = [column.name for column in table.c if column.name != "id" or "id" in changes or table is not outbox]
    values = [literal(changes[name]) if name in changes else table.c[name] for name in columns]
    return insert(table).from_select(columns, select(*values).where(where))


def entry(kind, row_id, **values):
    """INSERT a ledger entry."""
    empty = {"request_id": NO_ID, "version": 99, "delta": 0, "held": 0, "amount_after": 0, "held_after": 0}
    return insert(ledger).values(
        {"kind": kind, "row_id": row_id, **empty, "note": "", "ref": "", "at_ms": 2**41, **values}
    )
