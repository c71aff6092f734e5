"""The schema: migrations equal the metadata, constraints hold, two migrations take turns."""

import asyncio

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import inspect, text
from sqlalchemy.exc import DBAPIError

from stockade.core import Guard
from stockade.drivers.failures import Failure, classify
from stockade.shop.migrations import SCHEMA
from stockade.store import Database
from tests.store.conftest import soon, stocked


def shape(connection):
    """Everything the database itself says about our tables."""
    inspector = inspect(connection)
    return {
        name: {
            "columns": [(c["name"], str(c["type"]), c["nullable"]) for c in inspector.get_columns(name)],
            "primary key": inspector.get_pk_constraint(name)["constrained_columns"],
            "unique": sorted((u["name"], tuple(u["column_names"])) for u in inspector.get_unique_constraints(name)),
            "foreign keys": sorted((f["name"], f["referred_table"]) for f in inspector.get_foreign_keys(name)),
            "checks": sorted((c["name"], c["sqltext"]) for c in inspector.get_check_constraints(name)),
            "indexes": sorted((i["name"], tuple(i["column_names"])) for i in inspector.get_indexes(name)),
        }
        for name in (table.name for table in SCHEMA.tables)
    }


def drop_all(connection):
    for each in reversed(SCHEMA.metadata):
        each.drop_all(connection)


def not_a_version_table(name, type_, parents):
    return type_ != "table" or name not in {each.version_table for each in SCHEMA.histories}


async def test_migrations_equal_the_metadata(database_url):
    """The schema that the migrations build is the one that the metadata builds: nothing to add, remove or alter."""
    database = await Database.open(database_url)
    await SCHEMA.migrate(database)

    def difference(connection):
        options = {"compare_type": True, "include_name": not_a_version_table}
        return compare_metadata(MigrationContext.configure(connection, opts=options), SCHEMA.metadata)

    assert await database.read(difference) == []
    migrated = await database.read(shape)
    await database.transaction(drop_all, deadline=soon(30))
    await SCHEMA.create_all(database)
    assert await database.read(shape) == migrated
    await database.close()


async def test_two_migrations_at_once_take_turns(database_url):
    """Two processes that start together both succeed, and the schema is current once."""
    first, second = await Database.open(database_url), await Database.open(database_url)
    assert not await SCHEMA.is_current(first)
    await asyncio.gather(SCHEMA.migrate(first), SCHEMA.migrate(second))
    assert await SCHEMA.is_current(first)
    assert await SCHEMA.is_current(second)
    await first.close()
    await second.close()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE skus SET on_hand = -1 WHERE id = 's'",
        "UPDATE skus SET reserved = on_hand + 1 WHERE id = 's'",
        "UPDATE skus SET price = -1 WHERE id = 's'",
        "INSERT INTO point_accounts (id, balance, held, version, stamp) VALUES ('u', -1, 0, 1, 0)",
        "INSERT INTO point_accounts (id, balance, held, version, stamp) VALUES ('u', 1, 2, 1, 0)",
        "INSERT INTO cart_items (user_id, sku_id, quantity) VALUES ('u', 's', 0)",
    ],
)
async def test_the_last_line_of_defence(store, statement):
    """Whatever the code does, the schema keeps stock and points at or above zero."""
    with pytest.raises(DBAPIError) as caught:
        await store.database.transaction(lambda c: c.execute(text(statement)), deadline=soon())
    assert classify(caught.value) is Failure.DATA


async def test_one_payment_per_order(database):
    """A second payment row of one order is refused by the schema."""
    await stocked(database, "s")
    order = (
        "INSERT INTO orders (id, user_id, status, total, pay, reserved_until_ms, payment_id, reason, created_ms,"
        " version, stamp) VALUES ('o', 'u', 'PAID', 1, 'POINTS', 0, 'p1', '', 0, 1, 0)"
    )
    pay = (
        "INSERT INTO payments (id, order_id, user_id, status, method, amount, created_ms, version, stamp)"
        " VALUES ('{}', 'o', 'u', 'APPROVED', 'POINTS', 1, 0, 1, 0)"
    )

    def body(connection):
        for statement in (order, pay.format("p1"), pay.format("p2")):
            connection.execute(text(statement))

    with pytest.raises(DBAPIError) as caught:
        await database.transaction(body, deadline=soon())
    assert classify(caught.value) is Failure.DUPLICATE


async def test_memory_is_a_database_too():
    """`sqlite://` keeps everything in one connection of one process."""
    database = await Database.open("sqlite://")
    await SCHEMA.migrate(database)
    store = await stocked(database, "s")
    assert store.supports(Guard.ROW.kind)
    assert not store.supports(Guard.ADVISORY.kind)
    await database.close()
