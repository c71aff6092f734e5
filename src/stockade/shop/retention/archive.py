"""Moves old orders out of the database into a file, without breaking a sum.

Of an order that is over, the file gets the order, its lines and what was cancelled of them, its payment, the attempts
to pay it through a gateway with their refunds, and the ledger entries of all these. These rows and their own entries
are then deleted. The entries of stock and points stay, because each is a link of a chain that ends in the present
amount. Their note is marked instead, so that the audit no longer looks for the order that they belong to. Requests stay
too: a repeated Idempotency-Key must never be carried out again.

The file is written and synced before the rows are deleted, so a crash, or a commit whose reply never came, may leave an
order in both: run it again, and take the last of the lines with the same id. The lines of a transaction that was rolled
back are cut off again. Neighbours: `attempts` repeats a transaction, `gateway_records` reads what a gateway was asked;
the command line calls it.
"""

import errno
import fcntl
import os
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Connection, bindparam, delete, func, select, update

from stockade.core import Busy
from stockade.shop.model.constants import ARCHIVED, CANCELLED, EXPIRED, PAID, STOCK_CHANGED
from stockade.shop.model.tables import cancelled_lines, order_lines, orders, payments
from stockade.shop.queries.page import after
from stockade.shop.retention import gateway_records
from stockade.shop.retention.attempts import transaction
from stockade.shop.retention.records import grouped, rows
from stockade.shop.sales.hours import KEPT_HOURS, hour_of
from stockade.shop.sales.progress import progress_of
from stockade.store import Database
from stockade.store.index_order import in_index_order
from stockade.store.schema.tables import ledger, outbox

BATCH = 500  # orders of one transaction
MIN_AGE_DAYS = KEPT_HOURS // 24 + 1  # popular products need the orders of the hours whose sums are kept
OVER = (PAID, CANCELLED, EXPIRED)
READ_WAIT_S = 60.0
_TAIL_BYTES = 65_536  # read at once, from the end, to find the last whole line
_BEGINNING = b'{"order":'  # of every line


class Archived(NamedTuple):
    """What went into the file: orders, their units and total in won, of PAID orders alone `sold` and `revenue`.

    The last two are without what was cancelled.
    """

    orders: int = 0
    units: int = 0
    total: int = 0
    sold: int = 0
    revenue: int = 0

    def __add__(self, other: "tuple[Any, ...]") -> "Archived":
        return Archived(*(own + more for own, more in zip(self, other, strict=True)))


class _Cursor(NamedTuple):
    created_ms: int
    id: str


class ArchiveFile:
    """A file of JSON lines that only its owner may read; it is appended to, by one process at a time.

    Half a line at its end, which a crash or a full disk has left, is cut off: its order is still in the database.

    Args:
        path: of the file; it may exist.

    Raises:
        OSError: it cannot be written, another process has it open, or it ends in what no archive has written.
    """

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            self._lock(path)
            self._cut_half_a_line(path)
        except BaseException:
            os.close(self._fd)
            raise

    def _lock(self, path: Path) -> None:
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)  # until it is closed: `cut` may cut own lines only
        except BlockingIOError as error:
            raise OSError(errno.EBUSY, "another process archives into this file", str(path)) from error

    def _cut_half_a_line(self, path: Path) -> None:
        length = self.length
        if not length:
            folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(folder)  # or a crash takes the name of a new file, and all lines with it
            finally:
                os.close(folder)
        whole = self._whole_lines(length)
        half = os.pread(self._fd, len(_BEGINNING), whole)
        if not _BEGINNING.startswith(half):
            raise OSError(errno.EINVAL, "its last line is no archived order and has no end", str(path))
        if half:
            self.cut(whole)

    def _whole_lines(self, end: int) -> int:
        """Where the last whole line before `end` is over."""
        while end:
            start = max(0, end - _TAIL_BYTES)
            found = os.pread(self._fd, end - start, start).rfind(b"\n")
            if found >= 0:
                return start + found + 1
            end = start
        return 0

    @property
    def length(self) -> int:
        """Of the file, in bytes."""
        return os.fstat(self._fd).st_size

    def __enter__(self) -> "ArchiveFile":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._fd)

    def write(self, records: Iterable[object]) -> None:
        """Append a line for each record, and wait until the disk has them: all of them, or none."""
        left = memoryview(b"".join(msgspec.json.encode(each) + b"\n" for each in records))
        before = self.length
        try:
            while left:
                left = left[os.write(self._fd, left) :]
            os.fsync(self._fd)
        except OSError:
            self.cut(before)
            raise

    def cut(self, length: int) -> None:
        """Take away what stands behind `length` bytes.

        Args:
            length: where a line ends; the orders behind it are still in the database.
        """
        if self.length > length:
            os.ftruncate(self._fd, length)
            os.fsync(self._fd)


async def archive(database: Database, before_ms: int, file: ArchiveFile) -> tuple[Archived, int]:
    """Archive the orders that are over and older than a time, one batch after the other.

    Args:
        database: of the shop; the caller has registered this process.
        before_ms: milliseconds since 1970; the order and its last step must be older.
        file: gets the orders.

    Returns:
        What was archived, and the time in force: an order stays whose events may still be in the outbox, or that the
        sums of sales hold, so it is the time of the oldest event or of the oldest sum where that is earlier.

    Raises:
        Busy: orders won every attempt, or the database cannot be used. What was archived before stays archived.
        OSError: the file cannot be written.
    """
    held = await database.read(lambda c: (_oldest_event_ms(c), _oldest_sum_ms(c)), timeout_s=READ_WAIT_S)
    limit_ms = min([before_ms, *(each for each in held if each is not None)])
    done, cursor = Archived(), _Cursor(-1, "")
    while True:  # each batch ends behind the one before
        length = file.length
        step = partial(_archive_batch, limit_ms=limit_ms, cursor=cursor, file=file, length=length)
        try:
            batch = await transaction(database, step)
        except Busy:  # nothing was committed
            file.cut(length)
            raise
        if batch is None:
            return done, limit_ms
        cursor, archived = batch
        done += archived


def _oldest_event_ms(conn: Connection) -> int | None:
    """When the oldest event was made that the audit compares with an order."""
    oldest: int | None = conn.execute(
        select(func.min(outbox.c.created_ms)).where(outbox.c.kind != STOCK_CHANGED)
    ).scalar()
    return oldest


def _oldest_sum_ms(conn: Connection) -> int | None:
    """When the first hour began whose sums the audit compares with the orders; it grows old while no job runs."""
    progress = progress_of(conn)
    return None if progress is None else hour_of(progress.counted_from_ms)


def _archive_batch(
    conn: Connection, limit_ms: int, cursor: _Cursor, file: ArchiveFile, length: int
) -> tuple[_Cursor, Archived] | None:
    """Archive the next orders; where they end, or None where there are no more. `length`: of the file before them."""
    file.cut(length)  # the lines of an attempt that was rolled back: its orders may change before they are archived
    key = (orders.c.created_ms, orders.c.id)
    wanted = select(*key).where(orders.c.created_ms < limit_ms, orders.c.status.in_(OVER), after(key, cursor))
    with in_index_order(conn):
        found = conn.execute(wanted.order_by(*key).limit(BATCH)).all()
    if not found:
        return None
    records = _records(conn, sorted(row.id for row in found), limit_ms)
    if records:
        file.write(records)
        _remove(conn, records)
    return _Cursor(*found[-1]), sum((_figures(each) for each in records), Archived())


def _records(conn: Connection, ids: Sequence[str], limit_ms: int) -> list[dict[str, Any]]:
    """Everything about these orders, without those that have changed too late, are not over any more, or have a
    payment or refund that is unresolved."""
    locked = select(orders).where(orders.c.id.in_(ids), orders.c.status.in_(OVER)).order_by(orders.c.id)
    found = {row.id: row._asdict() for row in conn.execute(locked.with_for_update())}
    steps = grouped(rows(conn, ledger, ledger.c.kind == "order", ledger.c.row_id.in_(found)), "row_id")
    asked = gateway_records.of_orders(conn, list(found))
    changed = [*steps.items(), *((id_, each.steps) for id_, each in asked.items())]
    recent = {id_ for id_, entries in changed if any(each["at_ms"] >= limit_ms for each in entries)}
    recent |= {id_ for id_, each in asked.items() if each.unresolved}
    kept = [id_ for id_ in found if id_ not in recent]
    lines = grouped(rows(conn, order_lines, order_lines.c.order_id.in_(kept)), "order_id")
    less = grouped(rows(conn, cancelled_lines, cancelled_lines.c.order_id.in_(kept)), "order_id")
    paid = grouped(rows(conn, payments, payments.c.order_id.in_(kept)), "order_id")
    of_payments = ledger.c.row_id.in_([each["id"] for some in paid.values() for each in some])
    payment_steps = grouped(rows(conn, ledger, ledger.c.kind == "payment", of_payments), "row_id")
    records = []
    for id_ in kept:
        requests = sorted({id_, *(entry["request_id"] for entry in steps.get(id_, ()))})
        record: dict[str, Any] = {"order": found[id_], "lines": lines.get(id_, []), "payments": paid.get(id_, [])}
        record["cancelled_lines"] = less.get(id_, [])
        record["steps"] = [
            *steps.get(id_, ()),
            *(s for p in record["payments"] for s in payment_steps.get(p["id"], ())),
        ]
        record["moves"] = _moves(conn, record, requests)
        if by_gateway := asked.get(id_):
            record["attempts"], record["refunds"] = by_gateway.attempts, by_gateway.refunds
            record["steps"] += by_gateway.steps
        records.append(record)
    return records


def _moves(conn: Connection, record: Mapping[str, Any], requests: Sequence[str]) -> list[dict[str, Any]]:
    """The entries by which an order moved stock and points, by the key of the ledger: it has no index on the order."""
    skus = sorted({line["sku_id"] for line in record["lines"]})
    user_id, order_id = record["order"]["user_id"], record["order"]["id"]
    by_request = (ledger.c.request_id.in_(requests), ledger.c.ref == order_id)
    return [
        *rows(conn, ledger, ledger.c.kind == "points", ledger.c.row_id == user_id, *by_request),
        *rows(conn, ledger, ledger.c.kind == "stock", ledger.c.row_id.in_(skus), *by_request),
    ]


def _remove(conn: Connection, records: Sequence[Mapping[str, Any]]) -> None:
    marked = [
        {
            "kind_": each["kind"],
            "row_": each["row_id"],
            "request_": each["request_id"],
            "note_": ARCHIVED + each["note"],
        }
        for record in records
        for each in record["moves"]
    ]
    mark = update(ledger).values(note=bindparam("note_"))
    mark = mark.where(ledger.c.kind == bindparam("kind_"), ledger.c.row_id == bindparam("row_"))
    if marked:
        conn.execute(mark.where(ledger.c.request_id == bindparam("request_")), marked)
    ids = [record["order"]["id"] for record in records]
    payment_ids = [each["id"] for record in records for each in record["payments"]]
    conn.execute(delete(ledger).where(ledger.c.kind == "order", ledger.c.row_id.in_(ids)))
    conn.execute(delete(ledger).where(ledger.c.kind == "payment", ledger.c.row_id.in_(payment_ids)))
    for table in (order_lines, cancelled_lines):
        conn.execute(delete(table).where(table.c.order_id.in_(ids)))
    conn.execute(delete(payments).where(payments.c.id.in_(payment_ids)))
    conn.execute(delete(orders).where(orders.c.id.in_(ids)))
    asked = [[each["id"] for record in records for each in record.get(name, ())] for name in ("attempts", "refunds")]
    gateway_records.remove(conn, *asked)


def _figures(record: Mapping[str, Any]) -> Archived:
    order, units = record["order"], sum(line["quantity"] for line in record["lines"])
    if order["status"] != PAID:
        return Archived(1, units, order["total"])
    less = record["cancelled_lines"]
    sold = units - sum(each["quantity"] for each in less)
    return Archived(1, units, order["total"], sold, order["total"] - sum(each["amount"] for each in less))
