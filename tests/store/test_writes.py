"""Records of a batch arrive as they were given: one or many, with shared values, with NULL, all the same."""

import pytest
from sqlalchemy import BigInteger, Column, MetaData, String, Table, select

from tests.store.conftest import soon

own = MetaData()
notes = Table(
    "notes",
    own,
    Column("author", String(16), nullable=False),
    Column("stars", BigInteger, nullable=False),
    Column("text", String(16), nullable=True),
)

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
    ],
)
async def test_records_arrive_as_given(database, records):
    """What is sent once for all rows, or as a plain parameter, is read back as it was given."""
    rows = [dict(zip(("author", "stars", "text"), record, strict=True)) for record in records]
    await database.transaction(own.create_all, deadline=soon())
    await database.transaction(lambda c: database.dialect.write_all(c, {notes: rows}, {}, {}), deadline=soon())
    assert sorted(map(str, await found(database))) == sorted(map(str, records))


async def test_only_the_named_are_deleted(database):
    """A delete that shares one value among its rows takes these rows and no others."""
    rows = [{"author": author, "stars": stars, "text": text} for author, stars, text in [*MANY, ("a", 2, "w")]]
    gone = [{"author": "a", "stars": 1}, {"author": "b", "stars": 1}]
    await database.transaction(own.create_all, deadline=soon())
    await database.transaction(lambda c: database.dialect.write_all(c, {notes: rows}, {}, {}), deadline=soon())
    await database.transaction(lambda c: database.dialect.write_all(c, {}, {notes: gone}, {}), deadline=soon())
    assert sorted(await found(database)) == [("a", 2, "w"), ("c", 1, "z")]


async def found(database):
    """Every record."""
    return await database.read(lambda c: [tuple(row) for row in c.execute(select(notes)).all()])
