"""What a payment gateway was asked for about orders and charges: read, erased and archived with them.

What is unresolved keeps everything where it is: nobody could say any more what became of the money.
Neighbours: `archive` and `erase` call it for their orders.
"""

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from sqlalchemy import Connection, and_, delete, or_, select, update

from stockade.shop.model import constants
from stockade.shop.model.tables import payment_attempts, point_charges, refunds
from stockade.shop.retention.records import Record, grouped, rows
from stockade.store.id_chunks import id_chunks
from stockade.store.schema.tables import ledger

SETTLED_REFUND: Final = (constants.REFUNDED, constants.REPLACED)  # one that was refused is still owed


class OfOrder(NamedTuple):
    """What a gateway was asked about an order.

    Attributes:
        attempts: to pay it.
        refunds: of these.
        steps: the ledger entries of both.
    """

    attempts: list[Record]
    refunds: list[Record]
    steps: list[Record]

    @property
    def unresolved(self) -> bool:
        """Whether it is not known yet what became of the money."""
        return any(each["status"] in constants.OPEN_ATTEMPT for each in self.attempts) or any(
            each["status"] not in SETTLED_REFUND for each in self.refunds
        )


class ErasedRows(NamedTuple):
    """How many rows had the user id."""

    charges: int
    attempts: int
    refunds: int


def of_orders(conn: Connection, order_ids: Sequence[str]) -> dict[str, OfOrder]:
    """What a gateway was asked about orders that the caller has locked, by order; without those that never were paid
    so."""
    attempts = grouped(rows(conn, payment_attempts, payment_attempts.c.subject_id.in_(order_ids)), "subject_id")
    ids = [each["id"] for some in attempts.values() for each in some]
    given_back = grouped(rows(conn, refunds, refunds.c.payment_id.in_(ids)), "payment_id")
    refund_ids = [each["id"] for some in given_back.values() for each in some]
    of_attempts = and_(ledger.c.kind == "attempt", ledger.c.row_id.in_(ids))
    of_refunds = and_(ledger.c.kind == "refund", ledger.c.row_id.in_(refund_ids))
    steps = grouped([*rows(conn, ledger, of_attempts), *rows(conn, ledger, of_refunds)], "row_id")
    found = {}
    for order_id, some in attempts.items():
        own = [each for attempt in some for each in given_back.get(attempt["id"], ())]
        entries = [entry for each in (*some, *own) for entry in steps.get(each["id"], ())]
        found[order_id] = OfOrder(some, own, entries)
    return found


def remove(conn: Connection, attempt_ids: Sequence[str], refund_ids: Sequence[str]) -> None:
    """Delete attempts and refunds, and their ledger entries."""
    for kind, table, ids in (("refund", refunds, refund_ids), ("attempt", payment_attempts, attempt_ids)):
        for some in id_chunks(ids):
            conn.execute(delete(ledger).where(ledger.c.kind == kind, ledger.c.row_id.in_(some)))
            conn.execute(delete(table).where(table.c.id.in_(some)))


def unresolved_of(conn: Connection, user_id: str, order_ids: Sequence[str]) -> str | None:
    """The id of a payment of a person about which it is not known what became of the money; None: there is none."""
    for ids in id_chunks(_subjects(conn, user_id, order_ids)):
        owed = and_(refunds.c.payment_id == payment_attempts.c.id, refunds.c.status.not_in(SETTLED_REFUND))
        statement = (
            select(payment_attempts.c.id)
            .join_from(payment_attempts, refunds, owed, isouter=True)
            .where(payment_attempts.c.subject_id.in_(ids))
            .where(or_(payment_attempts.c.status.in_(constants.OPEN_ATTEMPT), refunds.c.id.is_not(None)))
        )
        found: str | None = conn.execute(statement.limit(1)).scalar()
        if found is not None:
            return found
    return None


def erase(conn: Connection, user_id: str, order_ids: Sequence[str], alias: str) -> ErasedRows:
    """Put an alias in place of a user id, and take the keys of payments away, by which a gateway knows the person.

    Args:
        conn: in a transaction that holds the locks of the orders.
        user_id: of the person.
        order_ids: all orders of the person.
        alias: takes its place.
    """
    attempts = given_back = 0
    for ids in id_chunks(_subjects(conn, user_id, order_ids)):
        of_them = payment_attempts.c.subject_id.in_(ids)
        paid = list(conn.execute(select(payment_attempts.c.id).where(of_them)).scalars())
        values = {"user_id": alias, "payment_key": ""}
        attempts += conn.execute(update(payment_attempts).where(of_them).values(values)).rowcount
        for some in id_chunks(paid):
            statement = update(refunds).where(refunds.c.payment_id.in_(some)).values(user_id=alias)
            given_back += conn.execute(statement).rowcount
    charges = conn.execute(update(point_charges).where(point_charges.c.user_id == user_id).values(user_id=alias))
    return ErasedRows(charges.rowcount, attempts, given_back)


def _subjects(conn: Connection, user_id: str, order_ids: Iterable[str]) -> list[str]:
    """What a person has paid, or begun to pay; the charges are locked."""
    mine = select(point_charges.c.id).where(point_charges.c.user_id == user_id).order_by(point_charges.c.id)
    return sorted({*order_ids, *conn.execute(mine.with_for_update()).scalars()})
