"""One statement that locks rows, compares them, and writes everything or nothing."""

import asyncio

import pytest
from sqlalchemy import BigInteger, Column, MetaData, String, Table, func, select, text

from stockade.shop.model.resources import POINTS, STOCK
from stockade.shop.model.tables import point_accounts, skus
from stockade.store.engine.statement import ExpectedRows, Writes
from tests.store.conftest import held, opened, soon, stocked
from tests.store.helpers import USERS, trusting, until_waiting
from tests.store.notes import found, notes, own

NOTE = Writes({notes: [{"author": "a", "stars": 1, "text": None}]})
OTHER = 1_000_003  # what no column holds


async def expected(database, resource, ids, **otherwise):
    """These rows as they are but for `otherwise`, which is said of the last one; all of them move to version 99."""
    table = resource.table
    columns = [table.c.id.label("id_"), *(table.c[name] for name in (*resource.state._fields, "version", "stamp"))]
    query = select(*columns).where(table.c.id.in_(ids)).order_by(table.c.id)
    rows = await database.read(lambda c: [dict(row) for row in c.execute(query).mappings()])
    rows[-1] |= otherwise
    return ExpectedRows(table, rows, [{"id_": row["id_"], "version": 99} for row in rows])


async def write(database, *wanted):
    """The note, if all is as expected."""
    return await database.autocommit(
        lambda c, run: database.dialect.write_if_unchanged(c, wanted, NOTE), deadline=soon()
    )


async def changed(database):
    """How many rows have moved to version 99."""
    counts = [select(func.count()).where(table.c.version == 99) for table in (skus, point_accounts)]
    return await database.read(lambda c: [c.execute(count).scalar_one() for count in counts])


@pytest.fixture
async def shop(postgres_database):
    """A database with a SKU, users, and a table of the test's own."""
    async with opened(postgres_database) as database:
        await trusting(await stocked(database, "s"))
        await database.transaction(own.create_all, deadline=soon())
        yield database


@pytest.mark.parametrize("users", [1, 5])
async def test_rows_as_expected_are_written(shop, users):
    """One row or several of a table: they move, and the record is there."""
    points = await expected(shop, POINTS, USERS[:users])
    assert await write(shop, points, await expected(shop, STOCK, ["s"])) is True
    assert await changed(shop) == [1, users]
    assert await found(shop) == [("a", 1, None)]


@pytest.mark.parametrize("users", [1, 5])
@pytest.mark.parametrize(
    ("resource", "otherwise"),
    [
        *((STOCK, {name: OTHER}) for name in ("price", "on_hand", "reserved", "version", "stamp")),
        *((POINTS, {name: OTHER}) for name in ("balance", "held", "version", "stamp")),
        (STOCK, {"product_id": "q"}),
        (STOCK, {"id_": "gone"}),
        (POINTS, {"id_": "gone"}),
    ],
    ids=lambda of: getattr(of, "kind", str(of)),
)
async def test_a_row_that_is_another_is_noticed(shop, resource, otherwise, users):
    """Whatever of any row is another, or the row is not there: nothing at all is written."""
    said = {POINTS: {}, STOCK: {}} | {resource: otherwise}
    points = await expected(shop, POINTS, USERS[:users], **said[POINTS])
    assert await write(shop, points, await expected(shop, STOCK, ["s"], **said[STOCK])) is False
    assert await changed(shop) == [0, 0]
    assert await found(shop) == []


@pytest.mark.parametrize(("left", "written"), [(50, True), (51, False)])
async def test_it_compares_what_it_finds_once_it_has_the_lock(shop, left, written):
    """The row is held by a transaction that changes it: what that one commits is compared, not what was before, and
    written, though it is newer than all that the statement saw when it began."""
    assert await while_it_waits(shop, left) is written
    assert await changed(shop) == [0, len(USERS) if written else 0]
    assert await found(shop) == ([("a", 1, None)] if written else [])


async def test_the_isolation_is_our_own(postgres_database, shop):
    """A server that is set to keep one snapshot for a transaction: rows are compared as they are all the same."""
    keep = f"ALTER DATABASE {shop.url.database} SET default_transaction_isolation = 'repeatable read'"
    await shop.transaction(lambda c: c.execute(text(keep)), deadline=soon())
    async with opened(postgres_database) as database:
        assert await while_it_waits(database, 50) is True


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("name", ["given", "stored", "w0", "held", "a"])
async def test_any_name_of_a_table_will_do(postgres_database, name, count):
    """A table in a schema, called like something in the statement, with columns `count`, `same` and `w0`; another
    schema's of the same name is another table."""
    meta = MetaData()
    columns = [
        Column("id", String(8), primary_key=True),
        *(Column(each, BigInteger) for each in ("count", "same", "w0")),
    ]
    table = Table(name, meta, *columns, schema="apart")
    other = table.to_metadata(meta, schema="elsewhere")
    rows = [{"id": f"r{n}", "count": count + 3, "same": n, "w0": 1} for n in range(count)]
    wrong = [{"id_": row["id"], "count": count, "same": row["same"]} for row in rows]
    right = [{**row, "count": count + 3} for row in wrong]
    moves = [{"id_": row["id"], "w0": 99} for row in rows]
    async with opened(postgres_database) as database:
        for schema in ("apart", "elsewhere"):
            await database.transaction(lambda c, s=schema: c.execute(text(f"CREATE SCHEMA {s}")), deadline=soon())
        await database.transaction(lambda c: (meta.create_all(c), own.create_all(c)), deadline=soon())
        await database.transaction(lambda c: c.execute(table.insert(), rows), deadline=soon())
        assert await write(database, ExpectedRows(other, right, moves)) is False
        assert await write(database, ExpectedRows(table, wrong, moves)) is False
        assert await write(database, ExpectedRows(table, right, moves)) is True
        there = select(func.count()).where(table.c.w0 == 99)
        assert await database.read(lambda c: c.execute(there).scalar_one()) == count


async def while_it_waits(database, left):
    """Write, expecting that the last user has 50 points, while a transaction that holds the row leaves other ones."""
    points = await expected(database, POINTS, USERS, balance=50)
    async with held(database, f"UPDATE point_accounts SET balance = {left} WHERE id = '{USERS[-1]}'"):
        waiter = asyncio.create_task(write(database, points))
        await until_waiting(database)
    return await waiter


async def test_a_hot_row_is_left_alone_when_an_earlier_one_is_another(shop):
    """Its lock is not requested: the answer is there while another transaction holds it."""
    async with held(shop, "SELECT id FROM skus FOR UPDATE"):
        wrong = await expected(shop, POINTS, USERS, balance=7)
        assert await write(shop, wrong, await expected(shop, STOCK, ["s"])) is False
