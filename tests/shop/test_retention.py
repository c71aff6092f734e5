"""Erasing a person and archiving old orders: nothing of them is left, and every sum is as right as before."""

import asyncio
import errno
import json
import os
import re
import sqlite3
import stat
from contextlib import suppress
from functools import partial

import pytest
from sqlalchemy import delete, event, func, select, update
from sqlalchemy.exc import OperationalError

from stockade.core import Accepted, Busy, Guard
from stockade.service.purge import BEGINNING, purge_requests
from stockade.shop.audit import audit, summary
from stockade.shop.commands import CancelOrder, ChargePoints, OrderLine, PlaceOrder
from stockade.shop.migrations import SCHEMA
from stockade.shop.model import constants
from stockade.shop.model.tables import cancelled_lines, order_lines, orders, payments, point_accounts, refused_orders
from stockade.shop.queries.points import point_entries
from stockade.shop.retention import archive as archive_module
from stockade.shop.retention.archive import MIN_AGE_DAYS, Archived, ArchiveFile, archive
from stockade.shop.retention.attempts import ATTEMPTS
from stockade.shop.retention.erase import EraseRefused, _erase_rows, erase_user, new_alias
from stockade.shop.sales.hours import HOUR_MS, hour_of, oldest_kept
from stockade.shop.sales.progress import progress_of
from stockade.store.schema.tables import ledger, outbox, requests
from tests.shop.conftest import soon
from tests.shop.lived_in import lived_in
from tests.shop.runner import GUARDS, Runner
from tests.shop.sales_shop import caught_up, job
from tests.unit.shop.memory import NOW_MS

LATER_MS = NOW_MS + 10_000_000  # after everything in `lived_in`


async def checked(database):
    """The violations, and the sums of points and stock."""
    return await database.read(lambda conn: (audit(conn), summary(conn)), timeout_s=20)


async def texts(database):
    """Every text and every JSON of every table, except the names of the tables' own tags."""

    def read(conn):
        for table in SCHEMA.tables:
            for row in conn.execute(select(table)):
                for value in row:
                    yield bytes(value).decode() if isinstance(value, bytes | memoryview) else str(value)

    return await database.read(lambda conn: list(read(conn)), timeout_s=20)


def names_user(text, user):
    """Whether a text is the user's id, or JSON that holds it as a value or in the name of a row."""
    return text == user or f'"{user}"' in text or f"points:{user}" in text


@pytest.fixture
async def shop(keep):
    """The shop in which everything has happened, without the order of `v` that is still reserved."""
    shop, ids = lived_in()
    shop.cancel(ids["reserved"], "v", "v lives at Main Street 1")
    await keep(shop)
    return ids


async def test_nothing_of_a_person_is_left(database, shop):
    """After the erasing no row has the id or the free text of the person; the audit and every sum are as before."""
    before = (await checked(database))[1]
    erased = await erase_user(database, "v")
    assert erased.orders > 0 < erased.payments
    assert erased.refused_orders == 2
    assert erased.entries > 0 < erased.events
    left = [text for text in await texts(database) if names_user(text, "v") or "Main Street" in text]
    assert left == []
    assert [text for text in await texts(database) if names_user(text, "u")]  # the control: another person is all there
    assert await checked(database) == ([], before)
    entries = await database.read(lambda conn: point_entries(conn, erased.alias, limit=100))
    assert len(entries.items) == erased.entries


@pytest.mark.parametrize(
    "half",
    [
        lambda alias: update(point_accounts).where(point_accounts.c.id == "v").values(id=alias),
        lambda alias: update(payments).where(payments.c.user_id == "v").values(user_id=alias),
        lambda alias: update(ledger).where(ledger.c.row_id == "v").values(row_id=alias),
        lambda alias: delete(point_accounts).where(point_accounts.c.id == "v"),
    ],
    ids=["account", "payments", "entries", "deleted"],
)
async def test_half_of_it_would_be_found(database, shop, half):
    """The control: a rename that leaves out tables, and the row deleted, are seen by the audit."""
    await database.transaction(lambda conn: conn.execute(half(new_alias())), deadline=soon())
    assert (await checked(database))[0]


async def test_erasing_and_purging_lock_in_one_order(database, shop):
    """Both take requests before refused orders, so they cannot wait for each other."""

    def order_of(conn, work):
        seen = []

        def note(conn, cursor, statement, *rest):
            seen.extend(re.findall(r"^(?:UPDATE|DELETE FROM) (requests|refused_orders)\b", statement))

        event.listen(conn, "before_cursor_execute", note)
        work(conn)
        event.remove(conn, "before_cursor_execute", note)
        return list(dict.fromkeys(seen))

    def purging(conn):
        purge_requests(conn, LATER_MS, BEGINNING, 1_000, refusals=[refused_orders])

    works = (lambda conn: _erase_rows(conn, "v", new_alias()), purging)
    orders_seen = [await database.write(partial(order_of, work=work), timeout_s=20) for work in works]
    assert orders_seen == [["requests", "refused_orders"]] * 2


async def test_an_unpaid_order_and_an_unknown_user_are_refused(database, keep):
    """The message names the order; a mistyped id is no success; and nothing is changed by either."""
    shop, ids = lived_in()
    await keep(shop)
    with pytest.raises(EraseRefused, match=ids["reserved"]):
        await erase_user(database, "v")
    with pytest.raises(EraseRefused, match="no row has the user id 'V'"):
        await erase_user(database, "V")
    assert [text for text in await texts(database) if names_user(text, "v")]


@pytest.mark.parametrize("guard", GUARDS, ids=lambda each: each.kind.value)
async def test_orders_go_on_while_a_person_is_erased(database, keep, guard):
    """Whatever the guard: orders, charges and cancels of the same person at the same time leave a sound database."""
    if guard.kind in database.dialect.unsupported:
        pytest.skip("this database has no such guard")
    await keep(lived_in()[0])
    runner = Runner(database, guard, LATER_MS)
    placed = await runner.all(PlaceOrder(*runner.head(), "u", (OrderLine("a", 1),), constants.POINTS) for _ in range(6))
    paid = [answer.data["order_id"] for answer in placed if isinstance(answer, Accepted)]
    assert len(paid) == 6

    async def meanwhile():
        commands = [CancelOrder(*runner.head(), order_id, "u", "") for order_id in paid]
        commands += [ChargePoints(*runner.head(), "u", 7) for _ in range(6)]
        commands += [PlaceOrder(*runner.head(), "u", (OrderLine("b", 1),), constants.POINTS) for _ in range(6)]
        await runner.all(commands)

    erased, _ = await asyncio.gather(erase_user(database, "u"), meanwhile())
    assert (await checked(database))[0] == []
    with suppress(EraseRefused):  # where nothing was written since
        await erase_user(database, "u")
    assert (await checked(database))[0] == []
    assert erased.orders >= 6


async def test_old_orders_leave_without_a_trace_in_the_sums(database, shop, tmp_path, monkeypatch):
    """What is over is in the file, with lines, payment and entries; the audit is green and the stock is what it was.
    Each order is there once, although others won more often than one call allows; what was written in vain is cut."""
    before = (await checked(database))[1]
    await database.transaction(lambda conn: conn.execute(delete(outbox)), deadline=soon())
    await purged(database)
    path = tmp_path / "orders.jsonl"
    lost = iter(range(ATTEMPTS + 1))
    remove = archive_module._remove

    def lose(conn, records):
        remove(conn, records)
        if next(lost, None) is not None:
            raise OperationalError("DELETE", {}, locked())

    monkeypatch.setattr(archive_module, "_remove", lose)
    with ArchiveFile(path) as file:
        with pytest.raises(Busy, match=f"won {ATTEMPTS} times"):
            await archive(database, LATER_MS, file)
        assert path.read_text() == ""
        archived, limit_ms = await archive(database, LATER_MS, file)
    assert next(lost, None) is None
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert archived.orders == len(lines) == sum(before.orders.values())
    assert (archived.sold, archived.revenue, limit_ms) == (before.sold, before.revenue, LATER_MS)
    (paid,) = [line for line in lines if line["order"]["id"] == shop["paid"]]
    assert sum(each["quantity"] * each["price"] for each in paid["lines"]) == paid["payments"][0]["amount"]
    assert {each["kind"] for each in paid["moves"]} == {"stock", "points"}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    found, after = await checked(database)
    assert found == []
    same = ("on_hand", "reserved", "left", "balance", "accounts", "skus")
    assert [getattr(after, name) for name in same] == [getattr(before, name) for name in same]
    for table in (orders, order_lines, payments):
        assert await database.read(lambda conn, table=table: conn.execute(select(func.count(table.c[0]))).scalar()) == 0
    entries = await database.read(lambda conn: point_entries(conn, "u", limit=100))
    assert {each.kind for each in entries.items} <= {"USE", "REFUND", "CHARGE"}


def locked():
    """The driver's error when another transaction has the lock."""
    error = sqlite3.OperationalError("database is locked")
    error.sqlite_errorname = "SQLITE_BUSY"
    return error


def test_half_a_line_is_cut_off(tmp_path):
    """What a crash or a full disk has left at the end of the file goes, and a whole line stays; a file of something
    else is refused as it is (control), and so is one that another process writes."""
    path = tmp_path / "orders.jsonl"
    whole = b'{"order":1}\n'
    for text in (b"", b"{", b'{"order":{"id":"' + b"x" * 200_000, whole, whole + b'{"order":2', whole * 9_000 + b'{"o'):
        path.write_bytes(text)
        with ArchiveFile(path) as file:
            file.write([{"order": 3}])
            with pytest.raises(OSError, match="another process"):
                ArchiveFile(path)
        assert path.read_bytes() == whole * text.count(b"\n") + b'{"order":3}\n'
    path.write_bytes(b"my notes")
    with pytest.raises(OSError, match="no archived order"):
        ArchiveFile(path)
    assert path.read_bytes() == b"my notes"


def test_a_full_disk_leaves_no_part_of_a_batch(tmp_path, monkeypatch):
    """A write that fails in the middle of a line takes away what it has written."""
    path, write = tmp_path / "orders.jsonl", os.write

    def half(fd, data):
        if len(data) < 10:
            raise OSError(errno.ENOSPC, "no space left on device")
        return write(fd, data[: len(data) - 5])

    with ArchiveFile(path) as file:
        file.write([{"order": 1}])
        monkeypatch.setattr(archive_module.os, "write", half)
        with pytest.raises(OSError, match="no space"):
            file.write([{"order": 2}])
    assert path.read_bytes() == b'{"order":1}\n'


async def purged(database):
    """Tell the audit that events up to now were purged, as the purge does."""
    from stockade.store.outbox import PURGED
    from stockade.store.schema.tables import watermarks

    row = {"name": PURGED, "at_ms": LATER_MS + 1}
    await database.transaction(lambda conn: conn.execute(watermarks.insert(), row), deadline=soon())


async def test_the_archived_keys_are_never_carried_out_again(database, keep, tmp_path):
    """A repetition of an archived order returns its outcome; its stock is not taken a second time."""
    await keep(lived_in()[0])
    runner = Runner(database, Guard.ROW, LATER_MS)
    order = PlaceOrder(*runner.head(), "u", (OrderLine("a", 1),), constants.POINTS)
    first = await runner.execute(order)
    await database.transaction(lambda conn: conn.execute(delete(outbox)), deadline=soon())
    await purged(database)
    with ArchiveFile(tmp_path / "orders.jsonl") as file:
        await archive(database, LATER_MS + 1, file)
    again = await runner.execute(order)
    assert (again.replayed, again.data) == (True, first.data)
    cancel = await runner.execute(CancelOrder(*runner.head(), first.data["order_id"], "u", ""))
    assert cancel.code == "ORDER_NOT_FOUND"
    assert (await checked(database))[0] == []


async def test_cancelled_lines_are_archived_with_their_order(database, keep, tmp_path):
    """What is counted as sold is without them, and no row of them stays."""
    shop, _ = lived_in()
    order_id = shop.buy("u", ("a", 3))
    shop.cancel_lines(order_id, ("a", 1))
    await keep(shop)
    await database.transaction(lambda conn: conn.execute(delete(outbox)), deadline=soon())
    await purged(database)
    _, before = await checked(database)
    with ArchiveFile(tmp_path / "orders.jsonl") as file:
        archived, _ = await archive(database, LATER_MS + 1, file)
    found, _ = await checked(database)
    assert (found, archived.sold, archived.revenue) == ([], before.sold, before.revenue)
    assert await database.read(lambda conn: conn.execute(select(cancelled_lines)).all()) == []


async def test_orders_whose_events_wait_stay(database, shop, tmp_path):
    """An event that the sink has not got may not lose its order: nothing since the oldest event is archived."""
    with ArchiveFile(tmp_path / "orders.jsonl") as file:
        archived, limit_ms = await archive(database, LATER_MS, file)
    assert (archived, limit_ms) == (Archived(), NOW_MS)
    assert (await checked(database))[0] == []


@pytest.mark.parametrize("bounded", [True, False], ids=["bounded", "control"])
async def test_orders_that_the_sums_hold_stay(database, shop, tmp_path, monkeypatch, bounded):
    """Where the sales job has not run for long, the sums hold old hours, and the orders of these stay."""
    runner = Runner(database, Guard.ROW, LATER_MS)
    await caught_up(runner, job(runner))
    counted_from_ms = (await database.read(progress_of)).counted_from_ms
    await database.transaction(lambda conn: conn.execute(delete(outbox)), deadline=soon())
    await purged(database)
    if not bounded:
        monkeypatch.setattr(archive_module, "_oldest_sum_ms", lambda conn: None)
    with ArchiveFile(tmp_path / "orders.jsonl") as file:
        archived, limit_ms = await archive(database, LATER_MS, file)
    assert limit_ms == (counted_from_ms if bounded else LATER_MS)
    assert (archived.orders == 0) is bounded
    assert {each.rule for each in (await checked(database))[0]} == (set() if bounded else {"sales-sum"})


def test_what_may_be_archived_is_older_than_every_sum():
    """The youngest order that the command archives began before the oldest hour whose sums are kept."""
    assert hour_of(LATER_MS - MIN_AGE_DAYS * 24 * HOUR_MS) < oldest_kept(LATER_MS)


@pytest.mark.parametrize("table", [orders, order_lines, payments], ids=lambda table: table.name)
async def test_rows_that_were_only_deleted_would_be_found(database, shop, table):
    """The control: deleting the rows of old orders without marking what they moved breaks the audit."""
    await database.transaction(lambda conn: conn.execute(delete(table)), deadline=soon())
    assert (await checked(database))[0]


async def test_an_unmarked_entry_would_be_found(database, shop, tmp_path):
    """The control: after an archive, an entry that keeps its mark away is a movement without an order."""
    await database.transaction(lambda conn: conn.execute(delete(outbox)), deadline=soon())
    await purged(database)
    with ArchiveFile(tmp_path / "orders.jsonl") as file:
        await archive(database, LATER_MS, file)
    deduct = update(ledger).where(ledger.c.note == "archived deduct").values(note="deduct")
    await database.transaction(lambda conn: conn.execute(deduct), deadline=soon())
    assert "stray-movement" in {each.rule for each in (await checked(database))[0]}
    known = await database.read(lambda conn: conn.execute(select(func.count(requests.c.id))).scalar())
    assert known > 0
