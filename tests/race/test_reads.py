"""Reads by SQL and over HTTP: one value or a list, and nothing that writes, on every database."""

import asyncio
import sqlite3
import time
from contextlib import asynccontextmanager
from types import SimpleNamespace
from unittest.mock import patch
from urllib.parse import urlsplit, urlunsplit

import pytest

from stockade.race import RaceError, Read, Request, SetUp, load, run
from stockade.race.model.select import Select
from stockade.race.reports.text import findings, round_line
from stockade.race.result import Kind
from stockade.race.steps.sql import select
from stockade.store import Database
from tests.race.services import http, scenario, service
from tests.store.conftest import soon

ROWS = ["CREATE TABLE sold (id INTEGER PRIMARY KEY, price INTEGER)", "INSERT INTO sold VALUES (1, 10), (2, 32)"]
NUMBERS = {"id": "2", "n": 7}
SLOW = {"postgres": "SELECT pg_sleep(60)", "mariadb": "SELECT SLEEP(60)"}
REFUSED = {  # SQL -> what the line says
    " ": "must be a SELECT.*begins with nothing",
    "DELETE FROM sold": "must be a SELECT",
    "SELECT 1; DELETE FROM sold": "has more than one statement",
    "SELECT 'a;b'; SELECT 2": "has more than one statement",
    "SELECT 1 INTO OUTFILE '/tmp/x'": "has INTO",
    "SELECT 1 /*! INTO @x */": "has a comment",
    "SELECT 1 -- it's\n; DELETE FROM sold -- '": "has a comment",
    "SELECT 'a\\' ; DELETE FROM sold; -- '": "has a quote that does not end, a backslash",
    "SELECT $$;$$": "has a quote that does not end, a backslash or dollar quotes",
    "SELECT $1": "has a parameter of its own",
    "SELECT 1 FROM sold_{run}": "{run}: is part of a name",
    'SELECT 1 FROM "{run}"': '"{run}": is part of a name',
}
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


async def test_a_connection_cannot_write(rows):
    """Also a statement that nobody has looked at first is refused by the database, not by this program."""
    for sql in WRITES:
        with pytest.raises(RaceError, match="the database refuses it"):
            await send_unseen(rows, sql)
    assert await select(rows, "SELECT sum(price) FROM sold", 10) == 42


async def test_several_statements_are_refused_by_the_database(rows):
    """A second statement that would leave the read-only transaction is not carried out."""
    leave = "SELECT 1; SET SESSION TRANSACTION READ WRITE; COMMIT; DELETE FROM sold; COMMIT"
    with pytest.raises(RaceError, match="the database refuses it"):
        await send_unseen(rows, leave)
    assert await select(rows, "SELECT sum(price) FROM sold", 10) == 42


async def send_unseen(url, sql):
    """Send SQL without the look at it that every read gets."""
    with patch.object(Select, "parse", lambda sql: Select((sql,), ())):
        await select(url, sql, 10)


async def test_a_variable_is_a_parameter(rows):
    """What an answer of the service says is a value, whatever stands in it."""
    evil = "1' OR price > 0 OR id = '1; DELETE FROM sold"
    assert await select(rows, "SELECT count(*) FROM sold WHERE 'x-1' = 'x-{name}'", 10, {"name": evil}) == 0
    assert await select(rows, "SELECT price FROM sold WHERE id = {id}", 10, {"id": 2}) == 32
    assert (
        await select(rows, "SELECT price FROM sold WHERE id = {id:int} AND 'it''s 7' = 'it''s {n}'", 10, NUMBERS) == 32
    )
    with pytest.raises(RaceError, match=r"nothing gives {id} a value"):
        await select(rows, "SELECT price FROM sold WHERE id = {id}", 10)


@pytest.mark.parametrize("sql", REFUSED)
def test_sql_that_may_write_is_refused_before_the_race(sql):
    """The line names the read; nothing is sent."""
    with pytest.raises(RaceError, match=f"reads.x.sql: {REFUSED[sql]}"):
        load(scenario("http://127.0.0.1:1", database="sqlite:///shop.db", reads={"x": Read(sql=sql)}))


@pytest.mark.parametrize("sql", ["SELECT 'a;b -- into' ", "with x as (select 1) select * from x;", "VALUES (1)"])
def test_sql_that_reads_is_not_refused(sql):
    """The control: the same words in a text are no statement, and one `;` may end it."""
    load(scenario("http://127.0.0.1:1", database="sqlite:///shop.db", reads={"x": Read(sql=sql)}))


async def test_a_select_that_takes_too_long_is_ended(tmp_path):
    """SQLite ends a statement at the time limit."""
    path = tmp_path / "slow.db"
    sqlite3.connect(path).close()
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n"
    with pytest.raises(RaceError, match=r"took more than 0.2 s|the database refuses it: interrupted"):
        await select(f"sqlite:///{path}", endless, 0.2)


@pytest.mark.parametrize(("server", "sql"), SLOW.items())
async def test_a_server_that_takes_too_long_is_left(server, sql, server_url):
    """The limit holds although the server goes on."""
    begin_s = time.monotonic()
    with pytest.raises(RaceError, match=r"took more than 0.5 s"):
        await select(server_url(server), sql, 0.5)
    assert time.monotonic() - begin_s < 10


async def test_a_server_that_answers_nothing_any_more_is_left(postgres_url):
    """No end of a transaction is waited for: the connection is dropped."""
    url = urlsplit(postgres_url)
    async with falls_silent(url.hostname, url.port or 5432, b"pg_sleep") as port:
        silent = urlunsplit(url._replace(netloc=url.netloc.replace(f":{url.port}", f":{port}")))
        async with asyncio.timeout(10):
            with pytest.raises(RaceError, match=r"took more than 1 s"):
                await select(silent, SLOW["postgres"], 1.0)


@asynccontextmanager
async def falls_silent(host, port, word):
    """A port that passes everything on until a word comes by, and nothing afterwards."""
    silent, tasks, writers = asyncio.Event(), [], []

    async def pump(reader, writer):
        while data := await reader.read(65_536):
            if word in data:
                silent.set()
            if not silent.is_set():
                writer.write(data)

    async def serve(reader, writer):
        up_reader, up_writer = await asyncio.open_connection(host, port)
        writers.extend((writer, up_writer))
        tasks.extend(map(asyncio.create_task, (pump(reader, up_writer), pump(up_reader, writer))))

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        for writer in writers:
            writer.close()
        await asyncio.gather(*tasks, *(each.wait_closed() for each in writers), return_exceptions=True)


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


async def test_a_clean_up_that_fails_is_shown():
    """The verdict stays; the line says what was left. A clean-up that works says nothing (control)."""
    for status in (409, 204):
        async with service(lambda head, body, status=status: http(status if head.startswith("PUT") else 201)) as shop:
            result = await run(load(scenario(shop.url, cleanup=[Request(path="/stock", method="PUT")])))
        assert result.passed
        shown = [
            line for line in findings(result) if line.startswith("not cleaned up: cleanup[0]: PUT /stock gave 409")
        ]
        assert len(shown) == (1 if status == 409 else 0)


def test_a_long_list_is_one_number_in_the_line_of_a_round():
    """A list of UUIDs fills no screen; a short one and a number stand there as they are."""
    reads = {name: SimpleNamespace(value=value) for name, value in (("ids", ["9e165e62"] * 40), ("few", [1, 2]))}
    counts = dict.fromkeys(Kind, 1)
    done = SimpleNamespace(number=1, counts=counts, spread_s=0.0, reads=reads, latency_s=lambda _share: 0.001)
    assert ", ids = 40 values, few = [1, 2];" in round_line(done, open_loop=False)
