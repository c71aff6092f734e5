"""The compound statement of MariaDB: every value arrives as given, whatever it is and however the server reads text."""

import pytest
from sqlalchemy import BigInteger, Column, Float, LargeBinary, MetaData, String, Table, Text, select, text
from sqlalchemy.exc import DataError, IntegrityError, ProgrammingError

from stockade.store.engine.statement import Writes
from stockade.store.mysql import compound
from stockade.store.mysql.compound import NoLiteral, literal
from tests.store.conftest import opened, soon

own = MetaData()
things = Table(
    "things",
    own,
    Column("id", String(40), primary_key=True),
    Column("n", BigInteger, nullable=True),
    Column("words", Text, nullable=True),
    Column("raw", LargeBinary, nullable=True),
)
marks = Table("thing_marks", own, Column("id", String(40), primary_key=True), Column("share", Float, nullable=True))

NASTY = [
    "",
    "plain-word_1.2:3",
    "it's",
    "'); DROP TABLE things; --",
    "\\",
    "\\'",
    'a"b`c',
    "100 %s %(x)s %%",
    "line\nbreak\ttab\0nul",
    "가격 😀",
    "NULL",
    "/*!50000 comment */ # --",
]


@pytest.fixture
async def mariadb(mariadb_database):
    """A migrated MariaDB with two tables of the test's own."""
    async with opened(mariadb_database) as found:
        await found.transaction(own.create_all, deadline=soon())
        yield found


async def write(database, things_=(), marks_=(), modes=None):
    """Insert through `write_all`, under these SQL modes."""

    def body(connection):
        if modes is not None:
            connection.exec_driver_sql(f"SET SESSION sql_mode = '{modes}'")
        tables = {things: list(things_), marks: list(marks_)}
        database.dialect.write_all(connection, Writes({table: rows for table, rows in tables.items() if rows}))

    await database.transaction(body, deadline=soon())


def row(number, words=None, raw=None):
    """A thing."""
    return {"id": f"t{number}", "n": number, "words": words, "raw": raw}


async def rows_of(database):
    """All things, by number."""
    return await database.read(lambda c: [tuple(each) for each in c.execute(select(things).order_by(things.c.n))])


@pytest.mark.mariadb
@pytest.mark.parametrize(
    "modes", ["STRICT_TRANS_TABLES", "STRICT_TRANS_TABLES,NO_BACKSLASH_ESCAPES", "STRICT_TRANS_TABLES,ANSI_QUOTES"]
)
async def test_values_arrive_as_given(mariadb, modes):
    """Quotes, backslashes, comments, NUL, other scripts: in each mode of the server, as text and as bytes."""
    rows = [row(number, words, words.encode()) for number, words in enumerate(NASTY)]
    rows += [row(-(2**63)), row(2**63 - 1, None, bytes(range(256)))]
    await write(mariadb, rows, [{"id": "m", "share": None}], modes)
    assert await rows_of(mariadb) == sorted((tuple(each.values()) for each in rows), key=lambda each: each[1])


@pytest.mark.mariadb
@pytest.mark.parametrize("nasty", NASTY)
async def test_one_value_among_plain_ones_arrives_as_given(mariadb, nasty):
    """Values of a column are checked together; one that needs care is seen among others that do not."""
    rows = [row(number, words, b"") for number, words in enumerate(["a", nasty, "b"])]
    await write(mariadb, rows, [{"id": "m", "share": None}])
    assert [each[2] for each in await rows_of(mariadb)] == ["a", nasty, "b"]


@pytest.mark.mariadb
async def test_a_statement_that_comes_once_is_not_prepared(mariadb):
    """The server would parse it, keep it and answer twice. The control: the driver's own statements are."""

    def prepared(connection):
        return int(connection.exec_driver_sql("SHOW SESSION STATUS LIKE 'Com_stmt_prepare'").one()[1])

    def body(connection):
        counts = [prepared(connection), prepared(connection)]
        for share in (None, 0.1):
            tables = {things: [row(len(counts))], marks: [{"id": f"m{share}", "share": share}]}
            mariadb.dialect.write_all(connection, Writes(tables))
            counts.append(prepared(connection))
        return counts

    _, before, once, own_way = await mariadb.transaction(body, deadline=soon())
    assert before == once < own_way


@pytest.mark.mariadb
async def test_quotes_written_plainly_do_not_arrive(mariadb, monkeypatch):
    """The control: with everything between plain quotes a quote does not come through."""
    monkeypatch.setattr(compound, "_plain", lambda value: True)
    with pytest.raises(ProgrammingError, match="SQL syntax"):
        await write(mariadb, [row(1, "it's")], [{"id": "m", "share": None}])


@pytest.mark.mariadb
@pytest.mark.parametrize("words", [pytest.param("x", id="many rows"), pytest.param("x" * 9_000, id="long rows")])
async def test_large_writes_are_left_to_the_driver(mariadb, words):
    """Neither many rows nor long ones become one statement, and both are written."""
    rows = [row(number, words) for number in range(compound.MOST_ROWS // len(words) + 120)]
    assert compound.compound(Writes({things: rows, marks: [{"id": "m", "share": None}]})) is None
    await write(mariadb, rows, [{"id": "m", "share": None}])
    assert len(await rows_of(mariadb)) == len(rows)


@pytest.mark.mariadb
async def test_other_types_are_left_to_the_driver(mariadb):
    """A table may have columns of any type; what has no literal here goes the usual way."""
    await write(mariadb, [row(1)], [{"id": "m", "share": 0.1}])
    share = await mariadb.read(lambda c: c.execute(select(marks.c.share)).scalar_one())
    assert share == pytest.approx(0.1)
    with pytest.raises(NoLiteral):
        literal(0.1)


@pytest.mark.mariadb
@pytest.mark.parametrize(
    ("bad", "error"),
    [
        pytest.param([row(1), row(1)], IntegrityError, id="a taken key"),
        pytest.param([{**row(1), "id": "x" * 41}], DataError, id="too long"),
    ],
)
async def test_a_refused_row_leaves_nothing(mariadb, bad, error):
    """The error is the statement's own, and what the compound statement did before it is rolled back."""
    with pytest.raises(error):
        await write(mariadb, bad, [{"id": "m", "share": None}])
    left = await mariadb.read(
        lambda c: [c.execute(text(f"SELECT count(*) FROM {t.name}")).scalar() for t in own.sorted_tables]
    )
    assert left == [0, 0]


def test_columns_follow_the_first_row():
    """Rows may name their columns in another order."""
    rows = [{"id": "a", "n": 1}, {"n": 2, "id": "b"}]
    assert compound.compound(Writes({things: rows, marks: [{"id": "m"}]})) == (
        "BEGIN NOT ATOMIC INSERT INTO `things` (`id`, `n`) VALUES ('a', 1), ('b', 2); "
        "INSERT INTO `thing_marks` (`id`) VALUES ('m'); END"
    )
