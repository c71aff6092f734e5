"""A table of the tests' own, for writes below the store."""

from sqlalchemy import BigInteger, Column, MetaData, String, Table, select

own = MetaData()
notes = Table(
    "notes",
    own,
    Column("author", String(16), nullable=False),
    Column("stars", BigInteger, nullable=False),
    Column("text", String(16), nullable=True),
)


async def found(database):
    """Every note."""
    return await database.read(lambda c: [tuple(row) for row in c.execute(select(notes)).all()])
