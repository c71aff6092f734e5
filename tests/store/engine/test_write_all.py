"""Records of a batch arrive as they were given: one or many, with shared values, with NULL, all the same."""

import pytest
from sqlalchemy import BigInteger, Column, MetaData, String, Table, select

from stockade.store.engine.statement import Writes
from stockade.store.schema.tables import WRITTEN_BY
from tests.store.conftest import soon
from tests.store.notes import found, notes, own

MANY_ROWS = 20  # enough for columns to be compared
MANY = [("a", 1, "x"), ("b", 1, "y"), ("c", 1, "z")]


@pytest.mark.parametrize(
    "records",
    [
        pytest.param(MANY[:1], id="one"),
        pytest.param([("a", 1, None)], id="one with null"),
        pytest.param(MANY, id="many that share a value"),
        pytest.param([("a", 1, "x"), ("b", 1, None)], id="null in some"),
        pytest.param([("a", 1, None), ("b", 2, None)], id="null in all"),
        pytest.param([("a", 1, "x")] * 3, id="all the same"),
        pytest.param([(f"a{n}", n, f"a{n}") for n in range(MANY_ROWS)], id="two columns equal"),
        pytest.param([(f"a{n}", n, f"a{n}" if n else None) for n in range(MANY_ROWS)], id="equal but for a null"),
        pytest.param([(f"a{n % 2}", n % 2, f"a{n % 2}") for n in range(MANY_ROWS)], id="equal values in turn"),
    ],
)
async def test_records_arrive_as_given(database, records):
    """What is sent once for all rows, or as a plain parameter, is read back as it was given."""
    rows = [dict(zip(("author", "stars", "text"), record, strict=True)) for record in records]
    await database.transaction(own.create_all, deadline=soon())
    await database.transaction(lambda c: database.dialect.write_all(c, Writes({notes: rows})), deadline=soon())
    assert sorted(map(str, await found(database))) == sorted(map(str, records))


async def test_rows_are_written_group_by_group(database):
    """A table that is written by a column's values: every row arrives, whatever its group has in common."""
    meta = MetaData()
    events = Table("events", meta, Column("n", BigInteger), Column("kind", String(8)), info={WRITTEN_BY: "kind"})
    rows = [{"n": n, "kind": "odd" if n % 2 else "even"} for n in range(MANY_ROWS + 1)]
    await database.transaction(meta.create_all, deadline=soon())
    await database.transaction(lambda c: database.dialect.write_all(c, Writes({events: rows})), deadline=soon())
    there = await database.read(lambda c: [tuple(row) for row in c.execute(select(events)).all()])
    assert sorted(there) == [(row["n"], row["kind"]) for row in rows]


async def test_equal_columns_are_sent_once_and_only_while_they_are_equal(database):
    """Batches of one shape that differ in what is equal, in turn: each is written as given."""
    await database.transaction(own.create_all, deadline=soon())
    batches = [
        [{"author": f"{batch}{n}", "stars": n, "text": f"{batch if equal else 'x'}{n}"} for n in range(MANY_ROWS)]
        for batch, equal in (("a", True), ("b", False), ("c", True))
    ]
    for rows in batches:
        await database.transaction(lambda c, r=rows: database.dialect.write_all(c, Writes({notes: r})), deadline=soon())
    assert sorted(await found(database)) == sorted(tuple(row.values()) for rows in batches for row in rows)


@pytest.mark.parametrize("count", [1, 3, MANY_ROWS])
async def test_names_that_are_words_of_sql_are_names(database, count):
    """A table and columns called `order`, `limit` and `User`: written and deleted like any other."""
    meta = MetaData()
    order = Table("order", meta, Column("limit", BigInteger, nullable=False), Column("User", String(8)))
    rows = [{"limit": n, "User": f"u{n}"} for n in range(count)]
    await database.transaction(meta.create_all, deadline=soon())
    await database.transaction(lambda c: database.dialect.write_all(c, Writes({order: rows})), deadline=soon())
    there = select(order).order_by(order.c.limit)
    assert await database.read(lambda c: [dict(row) for row in c.execute(there).mappings()]) == rows
    await database.transaction(lambda c: database.dialect.write_all(c, Writes(deletes={order: rows})), deadline=soon())
    assert await database.read(lambda c: c.execute(there).all()) == []


async def test_only_the_named_are_deleted(database):
    """A delete that shares one value among its rows takes these rows and no others."""
    rows = [{"author": author, "stars": stars, "text": text} for author, stars, text in [*MANY, ("a", 2, "w")]]
    gone = [{"author": "a", "stars": 1}, {"author": "b", "stars": 1}]
    await database.transaction(own.create_all, deadline=soon())
    await database.transaction(lambda c: database.dialect.write_all(c, Writes({notes: rows})), deadline=soon())
    await database.transaction(lambda c: database.dialect.write_all(c, Writes(deletes={notes: gone})), deadline=soon())
    assert sorted(await found(database)) == [("a", 2, "w"), ("c", 1, "z")]
