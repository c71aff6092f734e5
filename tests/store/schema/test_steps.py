"""Migrations in steps: orders go on beside them, and an interruption or a second process changes nothing of the end."""

import asyncio
import time

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from stockade.core import Busy
from stockade.shop.migrations import SCHEMA
from stockade.store import Database
from stockade.store.schema import steps
from tests.store.conftest import held, soon
from tests.store.schema.test_histories import fresh_shape
from tests.store.schema.test_schema import shape
from tests.waiting import eventually_async

ORDERS = 20_000  # with two lines each
MOST_PART = 0.5  # of the whole migration
IDS = {
    "postgresql": "SELECT n, lpad(to_hex(n), 32, '0') AS id FROM generate_series(0, {last}) AS n",
    "mysql": "SELECT seq AS n, lpad(hex(seq), 32, '0') AS id FROM seq_0_to_{last}",
    "sqlite": "WITH RECURSIVE c(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM c WHERE n < {last})"
    " SELECT n, printf('%032x', n) AS id FROM c",
}
ROWS = (
    (
        "INSERT INTO products (id, name, category, status, created_ms, folded_name)"
        " SELECT id, 'A name', 'c', 'ACTIVE', 1, 'a name' FROM ({ids}) AS ids WHERE n < 1000"
    ),
    (
        "INSERT INTO orders (id, user_id, status, total, pay, reserved_until_ms, payment_id, reason, created_ms,"
        " version, stamp) SELECT id, 'u', 'CANCELLED', 2, 'POINTS', 0, '', '', 1000 + n, 1, 0 FROM ({ids}) AS ids"
    ),
    *(
        "INSERT INTO order_lines (order_id, line, sku_id, product_id, quantity, price)"
        f" SELECT id, {line}, 's', 'p', 1, 1 FROM ({{ids}}) AS ids"
        for line in (0, 1)
    ),
)
ORDER = (
    "UPDATE skus SET on_hand = on_hand - 1, version = version + 1 WHERE id = 's'",
    (
        "INSERT INTO orders (id, user_id, status, total, pay, reserved_until_ms, payment_id, reason, created_ms,"
        " version, stamp) VALUES (:id, 'v', 'PAID', 2, 'POINTS', 0, '', '', 5, 1, 0)"
    ),
    "INSERT INTO order_lines (order_id, line, sku_id, product_id, quantity, price) VALUES (:id, 0, 's', 'p', 1, 1)",
)


async def old_shop(url, orders):
    """A database at revision 0004 with this many orders."""
    database = await Database.open(url)
    await SCHEMA.migrate(database, "0004")
    name = "sqlite" if database.dialect.name == "sqlite" else database.url.get_backend_name()
    ids = IDS["mysql" if name == "mariadb" else name].format(last=orders - 1)

    def fill(connection):
        if name == "postgresql":
            connection.execute(text("SELECT set_config('statement_timeout', '0', true)"))
        for statement in ROWS:
            connection.execute(text(statement.format(ids=ids)))
        connection.execute(
            text(
                "INSERT INTO skus (id, product_id, price, on_hand, reserved, version, stamp, fence, fence_owner)"
                " SELECT 's', min(id), 1, 1000000, 0, 1, 0, 0, '' FROM products"
            )
        )

    await database.transaction(fill, deadline=soon(120))
    return database


async def order_until(database, over):
    """Write orders as a process of the version before, one after the other; the longest time that one took."""
    longest_s, number = 0.0, 0
    while not over.done():
        number += 1

        def body(connection, number=number):
            for statement in ORDER:
                connection.execute(text(statement), {"id": f"z{number:031}"} if ":id" in statement else {})

        start = time.monotonic()
        await database.transaction(body, deadline=soon(60))
        longest_s = max(longest_s, time.monotonic() - start)
    return longest_s, number


async def longest_order_s(url, orders):
    """How long an order takes at most while the database is migrated, and how long the migration takes."""
    database = await old_shop(url, orders)
    beside = await Database.open(url, pool_size=1, wait_s=60.0)
    begin = time.monotonic()
    migration = asyncio.create_task(SCHEMA.migrate(database))
    longest_s, number = await order_until(beside, migration)
    await migration
    whole_s = time.monotonic() - begin
    assert await SCHEMA.is_current(database)
    counted = await database.read(
        lambda c: c.execute(text("SELECT count(*) FROM order_lines WHERE created_ms = 0")).scalar_one()
    )
    assert counted <= number, "only lines that were written meanwhile have no time"
    await database.close()
    await beside.close()
    return longest_s, whole_s


async def test_orders_go_on_beside_a_migration(server_database):
    """No order of the version before waits long while 40,000 lines are filled and indexed."""
    longest_s, whole_s = await longest_order_s(server_database, ORDERS)
    assert longest_s < MOST_PART * whole_s


@pytest.mark.postgres
async def test_orders_wait_for_a_migration_in_one_transaction(postgres_database, monkeypatch):
    """The control: in one transaction the same migration keeps an order waiting until it ends."""
    monkeypatch.setattr("stockade.store.postgres.dialect.PostgresDialect.migrates_in_steps", False)
    longest_s, whole_s = await longest_order_s(postgres_database, ORDERS)
    assert longest_s > MOST_PART * whole_s


class Interrupted(Exception):
    """Ends a migration half-way."""


@pytest.mark.parametrize("after", [1, 3, 5])
async def test_an_interrupted_fill_is_done_again(database_url, after, monkeypatch):
    """Interrupted between two batches and done again by two processes at once, the schema and the rows are the same."""
    database, second = await old_shop(database_url, 50), await Database.open(database_url)
    every, left = steps.key_ranges, iter(range(after))

    def small(connection, name, size=None):
        for found in every(connection, name, 10 if name == "orders" else 500):
            if next(left, None) is None:
                raise Interrupted
            yield found

    with monkeypatch.context() as patch:
        patch.setattr(steps, "key_ranges", small)
        with pytest.raises(Interrupted):
            await SCHEMA.migrate(database)
    filled = text("SELECT count(*) FROM order_lines WHERE created_ms > 0")
    if database.dialect.migrates_in_steps:
        assert await database.read(lambda c: c.execute(filled).scalar_one()) == min(after, 5) * 20, "batches are kept"
    else:
        assert (await SCHEMA.revisions(database))["shop"] == "0004"
    await asyncio.gather(SCHEMA.migrate(database), SCHEMA.migrate(second))
    assert await SCHEMA.is_current(database)
    wrong = text(
        "SELECT count(*) FROM orders JOIN order_lines ON order_id = orders.id"
        " WHERE orders.created_ms <> order_lines.created_ms"
    )
    assert await database.read(lambda c: c.execute(wrong).scalar_one()) == 0
    parts = text("SELECT count(*) FROM product_name_parts")
    assert await database.read(lambda c: c.execute(parts).scalar_one()) == 50 * len("a name") + 1
    await second.close()
    upgraded = await database.read(shape)
    await database.transaction(lambda c: c.execute(text("DELETE FROM skus")), deadline=soon())
    assert upgraded == await fresh_shape(database)
    await database.close()


@pytest.mark.postgres
async def test_an_index_that_was_left_unfinished_is_made_again(postgres_database):
    """What an interrupted CREATE INDEX CONCURRENTLY leaves is not taken for an index."""
    database = await old_shop(postgres_database, 10)
    await database.transaction(
        lambda c: [
            c.execute(text("CREATE INDEX ix_orders_status_created_ms ON orders (status)")),
            c.execute(
                text(
                    "UPDATE pg_index SET indisvalid = false"
                    " WHERE indexrelid = to_regclass('ix_orders_status_created_ms')"
                )
            ),
        ],
        deadline=soon(),
    )
    await SCHEMA.migrate(database)
    found = await database.read(shape)
    assert ("ix_orders_status_created_ms", ("status", "created_ms")) in found["orders"]["indexes"]
    await database.close()


async def test_a_second_migration_waits_for_the_first(server_database):
    """The second process begins no step while the first one has not ended, and then finds nothing to do."""
    database, second = await old_shop(server_database, 10), await Database.open(server_database)
    async with held(second, "UPDATE skus SET version = version + 1"):
        first = asyncio.create_task(SCHEMA.migrate(database))
        await eventually_async(lambda: at(second, "0006"))
        other = asyncio.create_task(SCHEMA.migrate(second))
        await asyncio.wait([other], timeout=0.5)
        assert not first.done()
        assert not other.done()
    await asyncio.gather(first, other)
    assert await SCHEMA.is_current(second)
    await database.close()
    await second.close()


async def at(database, revision):
    return (await SCHEMA.revisions(database))["shop"] == revision


async def test_a_table_that_is_never_free_ends_the_migration(server_database, monkeypatch):
    """A transaction that stays open is named in the error after a bounded number of tries, and orders can go on."""
    monkeypatch.setattr(steps, "LOCK_TRIES", 1)
    database, second = await old_shop(server_database, 10), await Database.open(server_database)
    async with held(second, "UPDATE skus SET version = version + 1"):
        with pytest.raises(Busy, match="end it and migrate again"):
            await SCHEMA.migrate(database)
    with pytest.raises(DBAPIError):
        await database.read(lambda c: c.execute(text("SELECT hidden FROM skus")))
    await SCHEMA.migrate(database)
    assert await SCHEMA.is_current(database)
    await database.close()
    await second.close()
