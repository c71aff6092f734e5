"""Backup and restore, with the audit as the proof: of a live database, and of a copy that lost one row."""

import asyncio
import sqlite3
import subprocess
from contextlib import ExitStack, closing

import pytest
from sqlalchemy import text

from stockade.devservers import drop_database, fresh_database
from stockade.devservers.postgres import find
from stockade.store import Database
from tests.cli.service import audited, prepared, token
from tests.process.rolling import Balancer, Load
from tests.process.test_rolling import SKU, service

ONE_ROW = "DELETE FROM {table} WHERE {key} = (SELECT max({key}) FROM {table} WHERE {where})"
LOST = [
    ("ledger", "version", "kind = 'stock'"),
    ("orders", "id", "1 = 1"),
    ("order_lines", "order_id", "1 = 1"),
    ("requests", "id", "id IN (SELECT id FROM orders)"),
]


def tool(name):
    """A client program of PostgreSQL, which stands beside its server's."""
    program = find().path.resolve().with_name(name)
    if not program.is_file():
        pytest.skip(f"there is no {name} beside {find().path}")
    return str(program)


async def run(*words):
    """Run a program to its end; it must succeed."""
    done = await asyncio.to_thread(subprocess.run, words, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


async def lose_a_row(url, table, key, where):
    """Delete one row, as a restore that went wrong would."""
    database = await Database.open(url)
    statement = text(ONE_ROW.format(table=table, key=key, where=where))
    deadline = asyncio.get_running_loop().time() + 10
    gone = await database.transaction(lambda conn: conn.execute(statement).rowcount, deadline=deadline)
    await database.close()
    assert gone >= 1


async def test_a_postgresql_restored_from_a_dump(postgres_url, postgres_database, tmp_path):
    """A dump that is made under load is one moment: restored, the audit is green. Without one row it is not."""
    await prepared(postgres_database, users=1, products=1, stock=1_000_000)
    dump, restored = tmp_path / "shop.dump", await fresh_database(postgres_url)
    try:
        with ExitStack() as stack:
            running = service(stack, tmp_path, "service", database=postgres_database)
            balancer = Balancer(running.url)
            load = Load(balancer, token("user-1"), SKU)
            async with load.running():
                await run(tool("pg_dump"), "--format=custom", f"--file={dump}", postgres_database)
                at_least = len(load.sold)
                await load.goes_on()
            await balancer.close()
        await run(tool("pg_restore"), "--exit-on-error", "--no-owner", f"--dbname={restored}", str(dump))
        figures, found = await audited(restored)
        assert found == []
        assert 0 < sum(figures.orders.values()) <= len(load.sold)
        assert at_least > 0
        for lost in LOST:
            await lose_a_row(restored, *lost)
            assert (await audited(restored))[1] != [], lost
    finally:
        await drop_database(postgres_url, restored)


async def test_a_sqlite_copied_by_its_own_means(tmp_path):
    """SQLite's online backup under load is one moment too; a copy without one row is not."""
    url, copy = f"sqlite:///{tmp_path / 'shop.sqlite'}", tmp_path / "copy.sqlite"
    await prepared(url, users=1, products=1, stock=1_000_000)
    with ExitStack() as stack:
        running = service(stack, tmp_path, "service", database=url)
        balancer = Balancer(running.url)
        load = Load(balancer, token("user-1"), SKU)
        async with load.running():
            await asyncio.to_thread(backup, tmp_path / "shop.sqlite", copy)
            await load.goes_on()
        await balancer.close()
    assert (await audited(f"sqlite:///{copy}"))[1] == []
    await lose_a_row(f"sqlite:///{copy}", *LOST[0])
    assert (await audited(f"sqlite:///{copy}"))[1] != []


def backup(source, target):
    """As `sqlite3 SOURCE ".backup TARGET"` does."""
    with closing(sqlite3.connect(source)) as live, closing(sqlite3.connect(target)) as copy:
        live.backup(copy)
