"""A write behind a gate in a transaction (MariaDB): everything if the row is as assumed, nothing if it is another."""

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError

from stockade.shop.model.resources import STOCK
from stockade.shop.model.tables import skus
from stockade.store.engine.dialect import Gate, Writes
from tests.store.conftest import opened, soon, stocked
from tests.store.test_writes import found, notes, own

NOTE = Writes({notes: [{"author": "a", "stars": 1, "text": None}]})


def gate(row, **other):
    """Takes one unit of this row, assumed to be so but for `other`."""
    was = {name: row[name] for name in ("product_id", "price", "on_hand", "reserved", "version", "stamp")}
    values = {name: row[name] for name in ("price", "reserved", "stamp")}
    values |= {"id_": row["id"], "on_hand": row["on_hand"] - 1, "version": row["version"] + 1}
    return Gate(STOCK, values, {**was, **other})


async def stock(database):
    """The row of the SKU."""
    return await database.read(lambda c: dict(c.execute(select(skus)).mappings().one()))


async def write(database, gate_):
    """Write the note behind the gate."""
    return await database.transaction(lambda c: database.dialect.write_gated(c, gate_, NOTE), deadline=soon())


@pytest.fixture
async def shop(mariadb_database):
    """A database with a SKU and a table of the test's own."""
    async with opened(mariadb_database) as database:
        await stocked(database, "s")
        await database.transaction(own.create_all, deadline=soon())
        yield database


async def test_an_open_gate_writes_everything(shop):
    """The row is as assumed: it changes, and the record is there."""
    before = await stock(shop)
    assert await write(shop, gate(before)) is True
    assert (await stock(shop))["on_hand"] == before["on_hand"] - 1
    assert await found(shop) == [("a", 1, None)]


@pytest.mark.parametrize("other", [{"version": 7}, {"stamp": 7}, {"on_hand": 7}, {"reserved": 7}, {"price": 7}])
async def test_a_shut_gate_writes_nothing(shop, other):
    """Whatever of the row is another: neither it nor the record is written, and the transaction goes on."""
    before = await stock(shop)
    assert await write(shop, gate(before, **other)) is False
    assert await stock(shop) == before
    assert await found(shop) == []


@pytest.mark.mariadb
async def test_an_error_of_a_trigger_is_no_shut_gate(mariadb_database):
    """A trigger of the shopkeeper's own that refuses a record: an error, not a row that was another."""
    async with opened(mariadb_database) as shop:
        await stocked(shop, "s")
        await shop.transaction(own.create_all, deadline=soon())
        refuse = "CREATE TRIGGER no BEFORE INSERT ON notes FOR EACH ROW SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'no'"
        await shop.transaction(lambda c: c.execute(text(refuse)), deadline=soon())
        before = await stock(shop)
        with pytest.raises(DBAPIError, match="no"):
            await write(shop, gate(before))
        assert await stock(shop) == before
