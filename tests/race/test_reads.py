"""Reads by SQL and over HTTP: one value or a list, and nothing that writes, on every database."""

import sqlite3
from urllib.parse import urlsplit

import pytest

from stockade.race import RaceError, Read, Request, SetUp, load, run
from stockade.race.steps.sql import select
from stockade.store import Database
from tests.race.services import http, scenario, service
from tests.store.conftest import soon

ROWS = ["CREATE TABLE sold (id INTEGER PRIMARY KEY, price INTEGER)", "INSERT INTO sold VALUES (1, 10), (2, 32)"]
WRITES = ["DELETE FROM sold", "INSERT INTO sold VALUES (9, 9)", "DROP TABLE sold", "UPDATE sold SET price = 0"]


@pytest.fixture
async def rows(database_url):
    """The URL of a database with a table of two rows."""
    database = await Database.open(database_url)
    try:
        for statement in ROWS:
            await database.transaction(lambda conn, sql=statement: conn.exec_driver_sql(sql), deadline=soon(20))
    finally:
        await database.close()
    return database_url


async def test_sql_reads(rows):
    """One row is its value, several are a list, none is an empty list."""
    assert await select(rows, "SELECT sum(price) FROM sold", 10) == 42
    assert await select(rows, "SELECT price FROM sold ORDER BY id", 10) == [10, 32]
    assert await select(rows, "SELECT price FROM sold WHERE id = 7", 10) == []
    with pytest.raises(RaceError, match="has 2 columns, must have one"):
        await select(rows, "SELECT id, price FROM sold", 10)
    with pytest.raises(RaceError, match=r"the database refuses it: .*nowhere"):
        await select(rows, "SELECT 1 FROM nowhere", 10)


async def test_sql_that_writes_is_refused_by_the_connection(rows):
    """Even a statement that passed the look at its first word changes nothing."""
    deletes_in_a_select = "WITH gone AS (DELETE FROM sold RETURNING id) SELECT count(*) FROM gone"
    for statement in [*WRITES, deletes_in_a_select]:
        with pytest.raises(RaceError):
            await select(rows, statement, 10)
    assert await select(rows, "SELECT sum(price) FROM sold", 10) == 42


async def test_a_select_that_takes_too_long_is_ended(tmp_path):
    """SQLite ends a statement at the time limit."""
    path = tmp_path / "slow.db"
    sqlite3.connect(path).close()
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n"
    with pytest.raises(RaceError):
        await select(f"sqlite:///{path}", endless, 0.2)


@pytest.mark.parametrize(
    "url", ["sqlite:////none/shop.db", "oracle://user:secret@h/d", "postgresql://u:secret@127.0.0.1:1/d"]
)
async def test_a_database_that_is_not_there(url):
    """One line, without the password."""
    with pytest.raises(RaceError) as refused:
        await select(url, "SELECT 1", 5)
    assert "secret" not in str(refused.value)
    assert urlsplit(url).scheme in str(refused.value)


async def test_reads_and_what_the_set_up_saves():
    """A variable of the set-up is in later requests, and in the reads; a list is read with `*`."""
    answers = {
        "POST /login": http(200, b'{"token": "t-1"}'),
        "POST /orders": http(201, b'{"id": 1}'),
        "GET /ledger": http(200, b'{"items": [{"n": 5}, {"n": 7}]}'),
    }
    async with service(lambda head, body: answers[" ".join(head.split()[:2])]) as shop:
        parts = scenario(
            shop.url,
            setup=[SetUp(request=Request(path="/login"), save={"token": "/token"})],
            requests=[Request(path="/orders", headers={"Authorization": "Bearer {token}"})],
            reads={"ledger": Read(request=Request(method="GET", path="/ledger"), pointer="/items/*/n")},
            invariants={"sum": "sum(ledger) = 12"},
        )
        assert (await run(load(parts))).passed
        assert sum("Authorization: Bearer t-1" in head for head in shop.heads) == 5


WRONG = {
    "status": (http(404), r"reads.left: GET /left gave 404: {}"),
    "no JSON": (http(200, b"oops"), r"reads.left: GET /left gave no JSON: oops"),
    "no place": (http(200, b'{"n": 1}'), r"reads.left: pointer /units: there is no 'units' in {\"n\": 1}"),
}


@pytest.mark.parametrize(("answer", "says"), WRONG.values(), ids=WRONG)
async def test_a_read_that_fails_is_one_line(answer, says):
    """There is no verdict without all values."""
    async with service(lambda head, body: answer if head.startswith("GET") else http(201)) as shop:
        left = Read(request=Request(method="GET", path="/left"), pointer="/units")
        with pytest.raises(RaceError, match=says):
            await run(load(scenario(shop.url, reads={"left": left}, invariants={"x": "left = 0"})))


async def test_a_set_up_that_fails_is_one_line():
    """A refused request, a program that is not there, and one that fails."""
    steps = {
        r"setup\[0\]: PUT /stock gave 409": SetUp(request=Request(method="PUT", path="/stock")),
        r"setup\[0\]: /no/such cannot be run": SetUp(command=["/no/such"]),
        r"setup\[0\]: false ended with 1": SetUp(command=["false"]),
    }
    async with service(lambda head, body: http(409)) as shop:
        for says, step in steps.items():
            with pytest.raises(RaceError, match=says):
                await run(load(scenario(shop.url, setup=[step])))
