"""Reads what the database contains when a recording has ended, of the rows and requests of this recording only.

Plain reads by the lab's own connections. Neighbours: `history/final_state.py` defines the values, `checkers/` judge
them, `final_phase.py` decides first what is undecided.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Select, select

from stockade.core import Accepted, Key
from stockade.lab.execution.processes.answers import hash_of
from stockade.lab.history.final_state import FinalRow, LedgerLine, OrderLine, OutboxLine, RecordedRequest
from stockade.service import Application
from stockade.service.audit.counters import counter_columns
from stockade.shop.model import constants
from stockade.shop.model.tables import orders, payments
from stockade.store.id_chunks import id_chunks
from stockade.store.outcome_codec import decode_outcome
from stockade.store.schema.resource import Resource


class Found(NamedTuple):
    """What was read; the fields are those of `FinalState`."""

    rows: tuple[FinalRow, ...]
    ledger: tuple[LedgerLine, ...]
    requests: tuple[RecordedRequest, ...]
    orders: tuple[OrderLine, ...]
    outbox: tuple[OutboxLine, ...]


def read_rows(connection: Connection, application: Application, keys: Iterable[Key]) -> list[FinalRow]:
    """The rows with their counters (0 where a row has none) and versions; a row that does not exist is missing.

    Args:
        connection: to read on.
        application: whose rows they are.
        keys: of the rows; kinds whose rows are only inserted are left out.
    """
    resources = {each.kind: each for each in application.resources}
    found: list[FinalRow] = []
    for kind, ids in _by_kind(keys, resources):
        table = resources[kind].table
        amount, held = counter_columns(resources[kind])
        query = select(table.c.id, amount.label("amount"), held.label("held"), table.c.version)
        rows = _in_chunks(connection, query, table.c.id, ids)
        found += [FinalRow(str(Key(kind, row.id)), row.amount, row.held, row.version) for row in rows]
    return found


def read_found(
    connection: Connection,
    application: Application,
    keys: Iterable[Key],
    request_ids: Sequence[str],
    *,
    setup_ids: frozenset[str],
) -> Found:
    """Read everything the checkers need of one database.

    Args:
        connection: to read on.
        application: of the recording.
        keys: every row that a request named or an answer mentioned.
        request_ids: every request that was sent.
        setup_ids: requests that made the rows: their entries in the ledger are left out.
    """
    resources = {each.kind: each for each in application.resources}
    keys = sorted(set(keys))
    ledger, notes = [], defaultdict[str, list[tuple[int, str]]](list)
    for kind, ids in _by_kind(keys, resources):
        for row in _entries(connection, application, kind, ids):
            if kind == constants.ORDER:
                notes[row.row_id].append((row.version, row.note))
            if row.request_id not in setup_ids:
                ledger.append(_line(kind, row))
    recorded = _recorded(connection, application, request_ids)
    return Found(
        rows=tuple(read_rows(connection, application, keys)),
        ledger=tuple(sorted(ledger)),
        requests=tuple(recorded.values()),
        orders=tuple(_orders(connection, application, request_ids, notes)),
        outbox=tuple(_outbox(connection, application, request_ids)),
    )


def _by_kind(keys: Iterable[Key], resources: Mapping[str, Resource]) -> Iterator[tuple[str, list[str]]]:
    for kind, group in groupby(sorted(keys), key=lambda key: key.kind):
        if not resources[kind].many:
            yield kind, [key.id for key in group]


def _entries(connection: Connection, application: Application, kind: str, ids: Sequence[str]) -> Iterable[Any]:
    ledger = application.tables.ledger
    return _in_chunks(connection, select(ledger).where(ledger.c.kind == kind), ledger.c.row_id, ids)


def _line(kind: str, row: Any) -> LedgerLine:
    key = str(Key(kind, row.row_id))
    return LedgerLine(key, row.version, row.request_id, row.delta, row.held, row.amount_after, row.held_after)


def _recorded(connection: Connection, application: Application, ids: Sequence[str]) -> dict[str, RecordedRequest]:
    requests = application.tables.requests
    found = {}
    for row in _in_chunks(connection, select(requests), requests.c.id, ids):
        outcome = decode_outcome(bytes(row.outcome))
        code = "" if isinstance(outcome, Accepted) else outcome.code
        found[row.id] = RecordedRequest(row.id, row.fingerprint, outcome.accepted, code, hash_of(outcome.data))
    return found


def _orders(
    connection: Connection,
    application: Application,
    ids: Sequence[str],
    notes: Mapping[str, list[tuple[int, str]]],
) -> Iterator[OrderLine]:
    """Orders of the shop; its first state is known from what it was paid with, the later ones from the ledger."""
    if orders not in application.schema.tables:
        return
    query = select(payments.c.order_id).where(payments.c.status == constants.APPROVED)
    paid = Counter(row.order_id for row in _in_chunks(connection, query, payments.c.order_id, ids))
    for row in _in_chunks(connection, select(orders.c.id, orders.c.status, orders.c.pay), orders.c.id, ids):
        first = constants.PAID if row.pay == constants.POINTS else constants.RESERVED
        later = [note for _, note in sorted(notes.get(row.id, ())) if note != constants.CANCEL_LINES]
        yield OrderLine(row.id, row.status, (first, *later), paid[row.id])


def _outbox(connection: Connection, application: Application, ids: Sequence[str]) -> Iterator[OutboxLine]:
    outbox = application.tables.outbox
    columns = (outbox.c.id, outbox.c.request_id, outbox.c.seq, outbox.c.kind, outbox.c.key)
    next_of_key = Counter[str]()
    for row in sorted(_in_chunks(connection, select(*columns), outbox.c.request_id, ids)):
        yield OutboxLine(f"{row.request_id}:{row.seq}", row.request_id, row.kind, row.key, next_of_key[row.key])
        next_of_key[row.key] += 1


def _in_chunks(
    connection: Connection, query: Select[Any], column: ColumnElement[Any], ids: Sequence[str]
) -> Iterator[Any]:
    for chunk in id_chunks(ids):
        yield from connection.execute(query.where(column.in_(chunk)))
