"""The resource's guards: a late writer is refused, whichever way the table is reached."""

import sqlite3

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import create_async_engine

from stockade.core import LockLost
from stockade.locks import MemoryLocks
from stockade.locks.fencing import Fence, FenceRefused, MemoryFence, install, install_async, install_sql

OLD, NEW, TWIN = Fence("a", "p1.1", 5), Fence("a", "p2.1", 6), Fence("a", "p3.1", 6)
CASES = [(OLD, True), (NEW, True), (OLD, False), (NEW, True), (TWIN, False)]
METADATA = sa.MetaData()
ROWS = sa.Table(
    "stock_fence_test",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("fence_token", sa.BigInteger, nullable=False),
    sa.Column("fence_owner", sa.String(64), nullable=False),
)
FIRST = {"id": 1, "fence_token": 0, "fence_owner": ""}


def test_memory():
    """Older tokens, and an equal token of another owner, are refused; the same holder may come again."""
    guard = MemoryFence()
    for fence, welcome in CASES:
        if welcome:
            guard.install(fence)
        else:
            with pytest.raises(FenceRefused):
                guard.install(fence)


def test_a_table_without_the_columns_is_refused():
    """The message names what is missing and of which type it is."""
    bare = sa.Table("bare", sa.MetaData(), sa.Column("id", sa.Integer), sa.Column("fence_owner", sa.String(64)))
    with pytest.raises(ValueError, match="the table bare lacks fence_token: fence_token is a 64-bit integer"):
        install(sa.create_mock_engine("sqlite://", print), bare, {"id": 1}, OLD)


def test_a_lease_is_a_fence():
    """A lease can be shown to a guard as it is; the refusal is a LockLost whose effect is known to be none."""
    guard = MemoryFence()
    with MemoryLocks() as locks:
        with locks.lock("a") as first:
            guard.install(first)
        with locks.lock("a") as second:
            guard.install(second)
        with pytest.raises(LockLost) as error:
            guard.install(first)
        assert error.value.outcome == "none"


@pytest.mark.parametrize("style", ["named", "qmark"])
def test_plain_sql(style):
    """The statement for any driver matches one row for a holder and none for a late one."""
    with sqlite3.connect(":memory:") as db:
        db.execute("CREATE TABLE stock (id INTEGER, fence_token BIGINT, fence_owner TEXT)")
        db.execute("INSERT INTO stock VALUES (1, 0, '')")
        sql = install_sql("stock", "id", style)
        for fence, welcome in CASES:
            named = {"token": fence.fencing_token, "owner": fence.token, "key": 1}
            token, owner = fence.fencing_token, fence.token
            args = named if style == "named" else (token, owner, 1, token, token, owner)
            assert db.execute(sql, args).rowcount == int(welcome)
    db.close()


def test_sqlalchemy():
    """The guard for SQLAlchemy raises for a late holder."""
    engine = sa.create_engine("sqlite://")
    with engine.begin() as connection:
        METADATA.create_all(connection)
        connection.execute(sa.insert(ROWS).values(**FIRST))
        for fence, welcome in CASES:
            if welcome:
                install(connection, ROWS, {"id": 1}, fence)
            else:
                with pytest.raises(FenceRefused):
                    install(connection, ROWS, {"id": 1}, fence)
    engine.dispose()


async def check_async(url):
    """The same on a server."""
    engine = create_async_engine(url)
    async with engine.begin() as connection:
        await connection.run_sync(METADATA.drop_all)
        await connection.run_sync(METADATA.create_all)
        await connection.execute(sa.insert(ROWS).values(**FIRST))
        for fence, welcome in CASES:
            if welcome:
                await install_async(connection, ROWS, {"id": 1}, fence)
            else:
                with pytest.raises(FenceRefused):
                    await install_async(connection, ROWS, {"id": 1}, fence)
    await engine.dispose()


async def test_postgres(postgres_database):
    """The guard on PostgreSQL."""
    await check_async(postgres_database.replace("postgresql://", "postgresql+asyncpg://"))


async def test_mariadb(mariadb_database):
    """The guard on MariaDB, where installing the same token again changes no row and must still be welcome."""
    await check_async(
        mariadb_database.replace("mariadb://", "mysql+asyncmy://").replace("mysql://", "mysql+asyncmy://")
    )
