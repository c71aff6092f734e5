"""A user's points: the account and its entries, straight from the ledger."""

from typing import Annotated, Any

import msgspec
from msgspec import Meta
from sqlalchemy import Connection, bindparam, select

from stockade.core.timestamps import rfc3339
from stockade.shop.model import constants
from stockade.shop.model.fields import Balance, EntryKind, FreePoints, Held, Time
from stockade.shop.model.tables import point_accounts
from stockade.shop.queries.page import Page, after, check_limit, decode_cursor, page
from stockade.store.schema.tables import ledger

_SCOPE = "entries"


class Points(msgspec.Struct, frozen=True):
    """A points account. available = balance - held."""

    balance: Balance
    held: Held
    available: FreePoints


class PointEntry(msgspec.Struct, frozen=True):
    """One movement of a balance.

    Attributes:
        id: number of the entry within the account; request ids are not shown.
        kind: CHARGE, USE or REFUND.
        amount: won, negative when used.
        balance_after: the balance after this entry.
        ref: the charge or the order.
        at: RFC 3339, UTC.
    """

    id: Annotated[str, Meta(description="Number of the entry within the account.", examples=["2"])]
    kind: EntryKind
    amount: Annotated[
        int, Meta(description="Points; negative when used.", examples=[-2000], extra_json_schema={"format": "int64"})
    ]
    balance_after: Balance
    ref: Annotated[
        str, Meta(description="Id of the charge or of the order.", examples=["019a5c3e7c00b0c1d2e3f40516273849"])
    ]
    at: Time


# version 0: the store inserted the row for a first charge that was never committed
_ACCOUNT = select(point_accounts.c.balance, point_accounts.c.held).where(
    point_accounts.c.id == bindparam("id"), point_accounts.c.version > 0
)
_ENTRIES = (
    select(
        ledger.c.version,
        ledger.c.request_id,
        ledger.c.note,
        ledger.c.delta,
        ledger.c.amount_after,
        ledger.c.ref,
        ledger.c.at_ms,
    )
    .where(ledger.c.kind == "points")
    .order_by(ledger.c.version.desc(), ledger.c.request_id.desc())
)


def points(conn: Connection, user_id: str) -> Points | None:
    """A user's account, or None before the first charge."""
    row = conn.execute(_ACCOUNT, {"id": user_id}).one_or_none()
    return None if row is None else Points(row.balance, row.held, row.balance - row.held)


def point_entries(
    conn: Connection, user_id: str, *, limit: int = 20, cursor: str | None = None
) -> Page[PointEntry] | None:
    """A page of a user's entries, newest first; None without an account.

    Raises:
        BadQuery: limit or cursor is not allowed.
    """
    check_limit(limit)
    behind = decode_cursor(cursor, _SCOPE, int, str)
    if points(conn, user_id) is None:
        return None
    statement = _ENTRIES.where(ledger.c.row_id == user_id)
    if behind is not None:
        statement = statement.where(after([ledger.c.version, ledger.c.request_id], behind, descending=True))
    rows = conn.execute(statement.limit(limit + 1)).all()
    return page(rows, limit, _entry, _SCOPE, lambda row: (row.version, row.request_id))


def _entry(row: Any) -> PointEntry:
    return PointEntry(
        str(row.version),
        row.note.removeprefix(constants.ARCHIVED).upper(),
        row.delta,
        row.amount_after,
        row.ref,
        rfc3339(row.at_ms),
    )
