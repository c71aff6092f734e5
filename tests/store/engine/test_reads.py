"""A read that takes too long ends on the server, too, and holds up nobody behind it."""

import asyncio
import time

import pytest
from sqlalchemy import text

from stockade.core import Busy
from stockade.store.engine.database import OVERRUN_S
from stockade.store.engine.dialect import Dialect
from tests.store.conftest import opened

LIMIT_S = 0.2
SLOW = {
    "postgresql": "SELECT pg_sleep(60)",
    "mariadb": "SELECT sum(a.seq * b.seq) FROM seq_1_to_1000000 AS a, seq_1_to_1000000 AS b",
    "mysql": "SELECT count(*) FROM information_schema.columns a, information_schema.columns b,"
    " information_schema.columns c WHERE a.column_name < b.column_name AND b.column_name < c.column_name",
    "sqlite": "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c LIMIT 10000000) SELECT count(*) FROM c",
}


@pytest.fixture
async def opened_sqlite(tmp_path):
    """A migrated file."""
    async with opened(f"sqlite:///{tmp_path / 'shop.sqlite'}") as found:
        yield found


def slow(conn):
    """A statement that takes far longer than it may."""
    return conn.execute(text(SLOW[conn.dialect.name])).all()


def one(conn):
    """A statement that takes no time."""
    return conn.execute(text("SELECT 1")).scalar()


async def test_a_slow_read_ends_at_its_limit(database):
    """The caller gets its error in time, and the read behind it is answered."""
    began_s = time.monotonic()
    with pytest.raises(Busy) as told:
        await database.read(slow, timeout_s=LIMIT_S)
    assert told.value.code == "DEPENDENCY_DOWN"
    assert await database.read(one, timeout_s=LIMIT_S) == 1
    assert time.monotonic() - began_s < LIMIT_S + OVERRUN_S + 2 * LIMIT_S


async def test_without_the_limit_it_goes_on(opened_sqlite, monkeypatch):
    """The control: SQLite's one reader is then held up until the slow read has ended by itself."""
    monkeypatch.setattr("stockade.store.sqlite.dialect.SqliteDialect.reading", Dialect.reading)
    began_s = time.monotonic()
    with pytest.raises(Busy):
        await opened_sqlite.read(slow, timeout_s=LIMIT_S)
    assert time.monotonic() - began_s > LIMIT_S + OVERRUN_S


async def test_a_read_whose_turn_comes_too_late_is_not_begun(opened_sqlite):
    """Behind a slow one in the one thread of SQLite's readers: an error in time, and never run."""
    ran = []
    first = asyncio.create_task(opened_sqlite.read(slow, timeout_s=2 * LIMIT_S))
    await asyncio.sleep(0)
    with pytest.raises(Busy):
        await opened_sqlite.read(ran.append, timeout_s=LIMIT_S)
    with pytest.raises(Busy):
        await first
    assert ran == []


async def test_nothing_runs_on_at_the_server(database):
    """A slow read that was given up has ended there when its caller gets the error (MariaDB and MySQL)."""
    if not database.url.drivername.startswith(("mariadb", "mysql")):
        pytest.skip("the driver cancels, or the reader runs in this process")
    with pytest.raises(Busy):
        await database.read(slow, timeout_s=LIMIT_S)
    running = (
        "SELECT count(*) FROM information_schema.processlist"
        " WHERE info LIKE :like AND db = DATABASE() AND id <> CONNECTION_ID()"
    )
    like = SLOW[database.url.get_backend_name()][:30] + "%"
    assert await database.read(lambda conn: conn.execute(text(running), {"like": like}).scalar()) == 0


async def test_a_limit_is_set_when_it_changes(database):
    """Reads with one limit send nothing for it but once for each connection (MariaDB and MySQL)."""
    if not database.url.drivername.startswith(("mariadb", "mysql")):
        pytest.skip("nothing is sent for it")

    def sets(conn):
        return conn.exec_driver_sql("SHOW SESSION STATUS LIKE 'Com_set_option'").one()[1]

    seen = [int(await database.read(sets, timeout_s=limit_s)) for limit_s in (4.0, 4.0, 4.0, 3.0, 3.0)]
    assert [number - seen[0] for number in seen] == [0, 0, 0, 1, 1]
