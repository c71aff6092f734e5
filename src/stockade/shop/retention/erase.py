"""Erases a person's data: the user id becomes an alias everywhere, free texts and the basket go.

Deleting the rows would break the sums: stock that was sold, points that were charged. So the rows stay, and nothing
leads from the alias to the person: it is random and recorded nowhere else. docs/deploy.md lists the columns.

Orders may go on meanwhile. A command that has read the account under its old id finds no such row when it writes, reads
again, and meets the new state. The rows are locked in the order in which a command takes them: orders, points; a
payment needs no place of its own, because whoever takes it has its order. Requests come before refused orders, as where
a command writes them and where the purge deletes them.
Neighbours: `attempts` repeats the transaction; `outcomes` rewrites what is JSON.
"""

import secrets
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any, NamedTuple

from sqlalchemy import Connection, Table, Update, bindparam, delete, func, select, update

from stockade.shop.model.constants import RESERVED
from stockade.shop.model.tables import cart_items, orders, payments, point_accounts, refused_orders
from stockade.shop.retention.attempts import transaction
from stockade.shop.retention.outcomes import without_user
from stockade.store import Database
from stockade.store.id_chunks import id_chunks
from stockade.store.schema.tables import ledger, outbox, requests

ALIAS_PREFIX = "erased-"
EVENTS_AT_ONCE = 1_000
MAX_ORDERS = 200_000  # of one person: they are one transaction
READ_WAIT_S = 30.0


class EraseRefused(Exception):
    """The data cannot be erased now; the message says why and what to do."""


class NoSuchUser(EraseRefused):
    """No row has the user id: all is erased, or it was never there."""


class Erased(NamedTuple):
    """What was erased: the new id, and how many rows of each kind had the old one."""

    alias: str
    orders: int
    refused_orders: int
    payments: int
    entries: int
    requests: int
    cart_items: int
    events: int


def new_alias() -> str:
    """A random id that takes the place of a user's."""
    return f"{ALIAS_PREFIX}{secrets.token_hex(8)}"


async def erase_user(database: Database, user_id: str, *, alias: str = "") -> Erased:
    """Erase one person's data. A second call finds what was written since the first, under the old id.

    Args:
        database: of the shop; the caller has registered this process.
        user_id: as tokens name it.
        alias: takes its place; default: a new random one.

    Raises:
        EraseRefused: the person has an unpaid order, or too many orders.
        NoSuchUser: no row has this id.
        Busy: orders of this person won every attempt, or the database cannot be used.
    """
    chosen = alias or new_alias()
    rows = await transaction(database, lambda conn: _erase_rows(conn, user_id, chosen))
    events = await _erase_events(database, user_id, chosen)
    erased = Erased(chosen, *rows, events)
    if not any(erased[1:]):
        raise NoSuchUser(f"no row has the user id {user_id!r}: is it written as the tokens have it?")
    return erased


def _erase_rows(conn: Connection, user_id: str, alias: str) -> tuple[int, int, int, int, int, int]:
    """One transaction; how many orders, refused orders, payments, ledger entries, requests and basket items."""
    _lock_orders(conn, user_id)
    conn.execute(select(point_accounts.c.id).where(point_accounts.c.id == user_id).with_for_update())
    # An order that took points while this transaction waited for the account is committed now, and no further one can
    # be: its account is locked, and has another id afterwards.
    found = _lock_orders(conn, user_id)
    if len(found) > MAX_ORDERS:
        raise EraseRefused(f"{user_id!r} has more than {MAX_ORDERS:,} orders: archive old ones first")
    unpaid = [row.id for row in found if row.status == RESERVED]
    if unpaid:
        more = f" and {len(unpaid) - 1} more" if len(unpaid) > 1 else ""
        raise EraseRefused(f"order {unpaid[0]}{more} of {user_id!r} is reserved: cancel it, or wait until it expires")
    order_ids = [row.id for row in found]
    of_user = (ledger.c.kind == "points", ledger.c.row_id == user_id)
    refused = conn.execute(select(refused_orders.c.id).where(refused_orders.c.user_id == user_id)).scalars().all()
    request_ids = {*order_ids, *refused, *conn.execute(select(ledger.c.request_id).where(*of_user)).scalars()}
    changed_payments = 0
    for ids in id_chunks(order_ids):
        steps = select(ledger.c.request_id).where(ledger.c.kind == "order", ledger.c.row_id.in_(ids))
        request_ids.update(conn.execute(steps).scalars())
        changed = conn.execute(update(orders).where(orders.c.id.in_(ids)).values(user_id=alias, reason=""))
        assert changed.rowcount == len(ids)
    for ids in id_chunks(order_ids):
        changed_payments += conn.execute(
            update(payments).where(payments.c.order_id.in_(ids)).values(user_id=alias)
        ).rowcount
    conn.execute(update(point_accounts).where(point_accounts.c.id == user_id).values(id=alias))
    entries = conn.execute(update(ledger).where(*of_user).values(row_id=alias)).rowcount
    rewritten = _rewrite_outcomes(conn, request_ids, user_id, alias)
    for ids in id_chunks(sorted(refused)):  # those that were read: of a later one the outcome still names the user
        conn.execute(update(refused_orders).where(refused_orders.c.id.in_(ids)).values(user_id=alias))
    items = conn.execute(delete(cart_items).where(cart_items.c.user_id == user_id)).rowcount
    return len(order_ids), len(refused), changed_payments, entries, rewritten, items


def _lock_orders(conn: Connection, user_id: str) -> Sequence[Any]:
    mine = select(orders.c.id, orders.c.status).where(orders.c.user_id == user_id).order_by(orders.c.id)
    return conn.execute(mine.limit(MAX_ORDERS + 1).with_for_update()).all()


def _rewrite_outcomes(conn: Connection, request_ids: Iterable[str], user_id: str, alias: str) -> int:
    """Rewrite the recorded outcomes of these requests where they name the user; how many did."""
    rewritten = 0
    for ids in id_chunks(sorted(request_ids)):
        rows = conn.execute(select(requests.c.id, requests.c.outcome).where(requests.c.id.in_(ids))).all()
        changes = [
            {"id_": row.id, "outcome_": new} for row in rows if (new := without_user(row.outcome, user_id, alias))
        ]
        if changes:
            conn.execute(_set(requests, "outcome"), changes)
        rewritten += len(changes)
    return rewritten


async def _erase_events(database: Database, user_id: str, alias: str) -> int:
    """Rewrite the events that are in the outbox, some at a time; how many named the user."""
    last = await database.read(lambda conn: conn.execute(select(func.max(outbox.c.id))).scalar(), timeout_s=READ_WAIT_S)
    at, rewritten = 0, 0
    while last is not None and at < last:
        step = partial(_rewrite_events, after=at, user_id=user_id, alias=alias)
        at, changed = await transaction(database, step)
        rewritten += changed
    return rewritten


def _rewrite_events(conn: Connection, after: int, user_id: str, alias: str) -> tuple[int, int]:
    """Look at the next events; the id of the last of them, and how many were rewritten.

    The key of an event stays where it names no user; where it does, the event stays in its partition, so its order
    among the events of the old key is kept.
    """
    next_ones = select(outbox.c.id, outbox.c.key, outbox.c.body).where(outbox.c.id > after)
    rows = conn.execute(next_ones.order_by(outbox.c.id).limit(EVENTS_AT_ONCE)).all()
    old_key, new_key = f"points:{user_id}", f"points:{alias}"
    changes = [
        {"id_": row.id, "key_": new_key if row.key == old_key else row.key, "body_": new}
        for row in rows
        if (new := without_user(row.body, user_id, alias))
    ]
    if changes:
        conn.execute(_set(outbox, "key", "body"), changes)
    return (rows[-1].id if len(rows) == EVENTS_AT_ONCE else 2**63 - 1), len(changes)


def _set(table: Table, *names: str) -> Update:
    values: dict[str, Any] = {name: bindparam(f"{name}_") for name in names}
    return update(table).where(table.c.id == bindparam("id_")).values(values)
