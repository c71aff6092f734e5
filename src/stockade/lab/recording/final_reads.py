"""Reads what the database contains when a recording has ended, of the rows and requests of this recording only.

Plain reads by the lab's own connections. Neighbours: `history/final_state.py` defines the values, `checkers/` judge
them, `final_phase.py` decides first what is undecided. `simulation/final_reads.py` makes the same lines of the entries
of simulated servers.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Select, select

from stockade.core import Key
from stockade.lab.execution.processes.answers import of_outcome
from stockade.lab.history.final_state import FinalRow, LedgerLine, OrderLine, OutboxLine, RecordedRequest
from stockade.service import Application
from stockade.service.audit.counters import counter_columns
from stockade.shop.model import constants
from stockade.shop.model.tables import orders, payments
from stockade.store.id_chunks import id_chunks
from stockade.store.outcome_codec import decode_outcome
from stockade.store.schema.resource import Resource

Entry = Mapping[Any, Any]  # of a table, by the names of its columns


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
        found += [FinalRow(str(Key(kind, row["id"])), row["amount"], row["held"], row["version"]) for row in rows]
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
    entries = [each for kind, ids in _by_kind(keys, resources) for each in _entries(connection, application, kind, ids)]
    requests = application.tables.requests
    return Found(
        rows=tuple(read_rows(connection, application, keys)),
        ledger=tuple(sorted(ledger_line(each) for each in entries if each["request_id"] not in setup_ids)),
        requests=tuple(map(recorded_request, _in_chunks(connection, select(requests), requests.c.id, request_ids))),
        orders=tuple(_orders(connection, application, request_ids, entries)),
        outbox=tuple(outbox_lines(_outbox(connection, application, request_ids))),
    )


def ledger_line(entry: Entry) -> LedgerLine:
    """The line of an entry of the ledger."""
    key = str(Key(entry["kind"], entry["row_id"]))
    changes = (entry["delta"], entry["held"], entry["amount_after"], entry["held_after"])
    return LedgerLine(key, entry["version"], entry["request_id"], *changes)


def recorded_request(entry: Entry) -> RecordedRequest:
    """The line of a recorded request."""
    outcome = decode_outcome(bytes(entry["outcome"]))
    answer = of_outcome(outcome)
    return RecordedRequest(entry["id"], entry["fingerprint"], outcome.accepted, answer.code, answer.answer)


def order_lines(orders: Iterable[Entry], ledger: Iterable[Entry], paid: Mapping[str, int]) -> Iterator[OrderLine]:
    """The lines of orders of the shop.

    The first state of one is known from what it was paid with, the later ones from the ledger.

    Args:
        orders: entries of the orders.
        ledger: entries of the ledger, in any order; those of other rows are left out.
        paid: by order, how many payments were approved.
    """
    states = defaultdict[str, list[str]](list)
    for each in sorted(ledger, key=itemgetter("version")):
        if each["kind"] == constants.ORDER and each["note"] != constants.CANCEL_LINES:  # which is no state
            states[each["row_id"]].append(each["note"])
    for each in orders:
        id_, first = each["id"], constants.PAID if each["pay"] == constants.POINTS else constants.RESERVED
        yield OrderLine(id_, each["status"], (first, *states.get(id_, ())), paid.get(id_, 0))


def outbox_lines(outbox: Iterable[Entry]) -> Iterator[OutboxLine]:
    """The lines of the outbox, in its order."""
    next_of_key = Counter[str]()
    for each in sorted(outbox, key=itemgetter("id")):
        id_, key = each["request_id"], each["key"]
        yield OutboxLine(f"{id_}:{each['seq']}", id_, each["kind"], key, next_of_key[key])
        next_of_key[key] += 1


def _by_kind(keys: Iterable[Key], resources: Mapping[str, Resource]) -> Iterator[tuple[str, list[str]]]:
    for kind, group in groupby(sorted(keys), key=lambda key: key.kind):
        if not resources[kind].many:
            yield kind, [key.id for key in group]


def _entries(connection: Connection, application: Application, kind: str, ids: Sequence[str]) -> Iterable[Entry]:
    ledger = application.tables.ledger
    return _in_chunks(connection, select(ledger).where(ledger.c.kind == kind), ledger.c.row_id, ids)


def _orders(
    connection: Connection, application: Application, ids: Sequence[str], ledger: Iterable[Entry]
) -> Iterator[OrderLine]:
    if orders not in application.schema.tables:
        return iter(())
    query = select(payments.c.order_id).where(payments.c.status == constants.APPROVED)
    paid = Counter(row["order_id"] for row in _in_chunks(connection, query, payments.c.order_id, ids))
    found = _in_chunks(connection, select(orders.c.id, orders.c.status, orders.c.pay), orders.c.id, ids)
    return order_lines(found, ledger, paid)


def _outbox(connection: Connection, application: Application, ids: Sequence[str]) -> Iterable[Entry]:
    outbox = application.tables.outbox
    columns = (outbox.c.id, outbox.c.request_id, outbox.c.seq, outbox.c.kind, outbox.c.key)
    return _in_chunks(connection, select(*columns), outbox.c.request_id, ids)


def _in_chunks(
    connection: Connection, query: Select[Any], column: ColumnElement[Any], ids: Sequence[str]
) -> Iterator[Entry]:
    for chunk in id_chunks(ids):
        yield from connection.execute(query.where(column.in_(chunk))).mappings()
