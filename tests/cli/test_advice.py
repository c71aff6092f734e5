"""What a database refuses is said in one line, with what to do about it: rights, files, poolers, foreign tables."""

import asyncio
import os
import re
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url
from typer.testing import CliRunner

from stockade.cli import app
from stockade.cli.advice import advice
from stockade.core import Accepted
from stockade.core.clock import now_ms
from stockade.service.ids import new_request_id
from stockade.shop.bootstrap import open_shop
from stockade.shop.commands import OrderLine, PlaceOrder
from stockade.shop.config.settings import Settings
from stockade.shop.database import open_database
from tests.cli.service import READY_LIMIT_S, environment, stockade

SECRET = "s3cret"
LIMIT_S = 10
ROOT = Path(__file__).parents[2]
RIGHTS = ("SELECT", "INSERT", "UPDATE", "DELETE")


def refused(command, url):
    """The one line that a command says on its way out with exit code 2."""
    done = CliRunner().invoke(app, [command, "--database", url])
    assert (done.exit_code, done.stdout, len(done.stderr.splitlines())) == (2, "", 1), (done.stderr, done.exception)
    assert SECRET not in done.stderr
    return done.stderr


def as_user(url, name):
    """The same database for another user."""
    return make_url(url).set(username=name, password=SECRET).render_as_string(hide_password=False)


async def execute(url, *statements):
    """Run statements as the owner of a PostgreSQL database."""
    connection = await asyncpg.connect(url)
    try:
        for each in statements:
            await connection.execute(each)
    finally:
        await connection.close()


@pytest.fixture
async def postgres_user(postgres_database):
    """A user without any right in a database, and how its owner runs statements."""
    name = f"u_{make_url(postgres_database).database}"
    await execute(postgres_database, f"CREATE USER {name} PASSWORD '{SECRET}'")
    yield name
    await execute(postgres_database, f"DROP OWNED BY {name}", f"DROP USER {name}")


def run(*words):
    """A command that works."""
    done = CliRunner().invoke(app, list(words))
    assert done.exit_code == 0, done.stderr


async def commands(*calls):
    """In threads: a command has an event loop of its own."""
    return [await asyncio.to_thread(*call) for call in calls]


async def test_rights_on_postgresql(postgres_database, postgres_user):
    """To migrate, to read and to see the schema: the line names the missing GRANT, and with it the command works."""
    theirs = as_user(postgres_database, postgres_user)
    (said,) = await commands((refused, "migrate", theirs))
    assert "GRANT USAGE ON SCHEMA public TO USER" in said
    assert "since PostgreSQL 15" in said
    await commands((run, "migrate", "--database", postgres_database))
    (said,) = await commands((refused, "audit", theirs))
    assert "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO USER" in said
    await execute(postgres_database, f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {postgres_user}")
    await commands((run, "audit", "--database", theirs))
    await execute(postgres_database, "REVOKE USAGE ON SCHEMA public FROM PUBLIC")
    (said,) = await commands((refused, "audit", theirs))
    assert "this user may not see its tables" in said


async def test_rights_on_mariadb(mariadb_database):
    """The GRANT names the database and the user."""
    place = make_url(mariadb_database).database
    name = f"u_{place}"[:32]
    theirs = as_user(mariadb_database, name)
    owner = await open_database(Settings(database=mariadb_database))

    async def grant(statement):
        await owner.read(lambda connection: connection.execute(text(statement)))

    try:
        await grant(f"CREATE USER `{name}`@'%' IDENTIFIED BY '{SECRET}'")
        said = await commands((refused, "audit", theirs))
        await grant(f"GRANT SELECT ON {place}.* TO `{name}`@'%'")
        said += await commands((refused, "migrate", theirs))
        await grant(f"DROP USER `{name}`@'%'")
    finally:
        await owner.close()
    for each in said:
        assert f"GRANT SELECT, INSERT, UPDATE, DELETE ON {place}.* TO '{name}'" in each


def documented(place, user):
    """The statements of docs/compatibility.md that give a PostgreSQL user what the shop needs."""
    page = (ROOT / "docs" / "compatibility.md").read_text()
    found = re.findall(r"^    (GRANT .*) IN SCHEMA public TO app;$", page, re.MULTILINE)
    return [f"{each} IN SCHEMA {place} TO {user}" for each in found]


async def ordered(url):
    """The outcome of an order in a shop under this URL, with everything that runs beside orders."""
    async with open_shop(Settings(database=url)) as shop:
        id_ = new_request_id(now_ms())
        return await shop.execute(
            PlaceOrder(id_, id_, now_ms(), "user-1", (OrderLine("sku-1", 1),), "POINTS"),
        )


async def test_documented_rights_are_enough_on_postgresql(postgres_database, postgres_user, tmp_path):
    """With the rights of docs/compatibility.md an order is accepted; with one less, nothing that writes starts."""
    theirs = as_user(postgres_database, postgres_user)
    await commands((run, "migrate", "--database", postgres_database))
    await execute(postgres_database, *documented("public", postgres_user))
    await commands((run, "demo", "--database", theirs))
    assert isinstance(await ordered(theirs), Accepted)
    for right, thing in (
        *((each, "table orders") for each in RIGHTS),
        ("INSERT", "table inbox"),
        ("USAGE", "sequence outbox_id_seq"),
    ):
        on = thing.removeprefix("table ")
        await execute(postgres_database, f"REVOKE {right} ON {on} FROM {postgres_user}")
        (said,) = await commands((refused, "demo", theirs))
        assert f"permission denied for {thing} in schema public for user {postgres_user}: {right} is missing;" in said
        assert all(each in said for each in documented("public", postgres_user))
        await execute(postgres_database, f"GRANT {right} ON {on} TO {postgres_user}")
    await execute(postgres_database, f"REVOKE USAGE ON SEQUENCE outbox_id_seq FROM {postgres_user}")
    for words in (("serve", "--port", 0), ("worker", "--set", "kafka_bootstrap=127.0.0.1:1")):
        done = await asyncio.to_thread(stockade, tmp_path, *words, "--database", theirs)
        assert (done.returncode, len(done.stderr.splitlines())) == (2, 1), done.stderr
        assert "GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO" in done.stderr
    await commands((run, "audit", "--database", theirs))


async def test_documented_rights_are_enough_on_mariadb(mariadb_database):
    """With the four rights an order is accepted; with one less, nothing that writes starts."""
    place = make_url(mariadb_database).database
    name = f"w_{place}"[:32]
    theirs, user = as_user(mariadb_database, name), f"`{name}`@'%'"
    await commands((run, "migrate", "--database", mariadb_database))
    owner = await open_database(Settings(database=mariadb_database))

    async def grant(statement):
        await owner.read(lambda connection: connection.execute(text(statement)))

    try:
        await grant(f"CREATE USER {user} IDENTIFIED BY '{SECRET}'")
        await grant(f"GRANT {', '.join(RIGHTS)} ON {place}.* TO {user}")
        await commands((run, "demo", "--database", theirs))
        assert isinstance(await ordered(theirs), Accepted)
        for right in RIGHTS:
            await grant(f"REVOKE ALL ON {place}.* FROM {user}")
            await grant(f"GRANT {', '.join({*RIGHTS} - {right})} ON {place}.* TO {user}")
            if right == "SELECT":  # without it on any table the schema is not found
                await grant(f"GRANT SELECT ON {place}.stockade_schema TO {user}")
            (said,) = await commands((refused, "demo", theirs))
            assert f"{right} command denied to user" in said
            assert f"GRANT SELECT, INSERT, UPDATE, DELETE ON {place}.* TO '{name}'" in said
        await grant(f"DROP USER {user}")
    finally:
        await owner.close()


@pytest.mark.pgbouncer
@pytest.mark.postgres
async def test_rights_behind_a_pooler(servers):
    """In transaction mode the same line, and with the rights the same start."""
    server = servers.postgres()
    pooler = servers.pgbouncer(server)
    await commands((run, "migrate", "--database", server.url))
    await execute(server.url, "CREATE USER app", "CREATE USER owner SUPERUSER")
    owner = make_url(server.url).set(username="owner").render_as_string()
    # the pooler logs in as one user, who is `app` from then on
    await execute(owner, "GRANT SELECT ON ALL TABLES IN SCHEMA public TO app", "ALTER ROLE stockade SET role = app")
    (said,) = await commands((refused, "demo", pooler.url))
    assert all(each in said for each in documented("public", "app"))
    await execute(owner, *documented("public", "app"))
    await commands((run, "demo", "--database", pooler.url))


@pytest.mark.pgbouncer
@pytest.mark.postgres
def test_a_pooler_in_statement_mode(servers):
    """The line says which modes work."""
    pooler = servers.pgbouncer(servers.postgres(), pool_mode="statement")
    assert "set pool_mode of the pooler to session or transaction" in refused("migrate", pooler.url)


async def test_a_database_of_a_newer_version(database_url):
    """`migrate` and every other command say that a newer program made it, not to migrate."""
    await commands((run, "migrate", "--database", database_url))
    owner = await open_database(Settings(database=database_url))
    try:
        newer = text("UPDATE stockade_schema SET version_num = '9999'")
        await owner.transaction(lambda connection: connection.execute(newer), deadline=time.monotonic() + LIMIT_S)
    finally:
        await owner.close()
    for said in await commands((refused, "migrate", database_url), (refused, "audit", database_url)):
        assert "schema 9999, which a newer version of stockade has made" in said
        assert "run: stockade migrate" not in said


async def test_tables_of_another_program(database_url):
    """A table that stands in the way of `migrate` is one line, without SQL and traceback."""
    owner = await open_database(Settings(database=database_url))
    try:
        table = text("CREATE TABLE orders (x INTEGER)")
        await owner.transaction(lambda connection: connection.execute(table), deadline=time.monotonic() + LIMIT_S)
    finally:
        await owner.close()
    (said,) = await commands((refused, "migrate", database_url))
    assert "a database of its own" in said


def test_sqlite_files(tmp_path):
    """A folder, a text, a missing folder: what stands there instead."""
    (tmp_path / "text.db").write_text("no database at all")
    for place, said in (
        ("", "is a folder"),
        ("/text.db", "file is not a database; is the path right?"),
        ("/no/x.db", ""),
    ):
        for command in ("migrate", "audit"):
            assert said in refused(command, f"sqlite:///{tmp_path}{place}")
    assert "no such folder" in refused("migrate", f"sqlite:///{tmp_path}/no/x.db")


@pytest.mark.skipif(os.geteuid() != 0, reason="to be another user one must be root")
def test_a_file_that_may_not_be_written(tmp_path):
    """`serve` as a user who may only read the file says so in one line."""
    url = f"sqlite:///{tmp_path / 'shop.db'}"
    run("migrate", "--database", url)
    for folder in (tmp_path, *tmp_path.parents):
        if folder.is_relative_to(tempfile.gettempdir()) and folder != Path(tempfile.gettempdir()):
            folder.chmod(0o755)
    command = [sys.executable, "-m", "stockade", "serve", "--port", "0", "--database", url]
    options = {"user": "nobody", "env": environment(), "capture_output": True, "text": True, "timeout": READY_LIMIT_S}
    done = subprocess.run(command, cwd=tmp_path, check=False, **options)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1), done.stderr
    assert "must be allowed to write the file and its folder" in done.stderr


def test_a_file_that_another_program_holds(tmp_path):
    """`serve` beside an open transaction says so in one line."""
    url = f"sqlite:///{tmp_path / 'shop.db'}"
    run("migrate", "--database", url)
    other = sqlite3.connect(tmp_path / "shop.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        done = stockade(tmp_path, "serve", "--port", 0, "--database", url, guard_lease_s=2, wait_s=1)
    finally:
        other.close()
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1), done.stderr
    # who is given up at the deadline, a moment before the database says what it waited for, can only ask
    assert re.search("a transaction of another process (is )?still open on this database", done.stderr), done.stderr


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ("FATAL: sorry, too many clients already", "lower pool_size"),
        ("Too many connections (1040)", "lower pool_size"),
        ("running with the --read-only option so it cannot", "takes no writes"),
        ("cannot execute UPDATE in a read-only transaction", "takes no writes"),
        ("gave no connection: Connection refused (111)", "is the server running"),
        ("must be owner of table orders", "as the owner"),
        ("no schema has been selected to create in", "CREATE SCHEMA shop"),
        ("permission denied for database shop", "GRANT CONNECT ON DATABASE shop TO USER"),
        ("something that nobody knows", ""),
    ],
)
def test_words(message, said):
    """Words of servers that are hard to bring there; what nobody knows gets no advice."""
    found = advice(message)
    assert said in found
    assert bool(found) == bool(said)
