"""Nothing is sent after a commit: where that failed, a committed order would be called one that never happened."""

from contextlib import contextmanager
from functools import partial

import pytest
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.util import await_only

from stockade.devservers.tcp_proxy import TcpProxy
from stockade.drivers.failures import Failure, classify
from stockade.store import Database
from stockade.store.engine.dialect import Dialect
from stockade.store.mysql import given as mysql_given
from stockade.store.mysql.dialect import MysqlDialect
from tests.conftest import fresh
from tests.store.conftest import opened, soon, stocked
from tests.waiting import eventually_async

pytestmark = pytest.mark.mariadb


async def own(url):
    """A database over connections of its own, and their SQLAlchemy dialect."""
    database = await Database.open(url.render_as_string(hide_password=False), pool_size=1)
    return database, database._backend._write.sync_engine


async def given(url):
    """The same over an engine of the caller."""
    engine = create_async_engine(url.set(drivername="mariadb+asyncmy"), pool_size=1, max_overflow=0, pool_timeout=1)
    return await Database.from_engine(engine), engine.sync_engine


@pytest.fixture(params=[own, given])
async def linked(request, server_url):
    """(A database with one connection over a link, its engine, the link)."""
    url = make_url(server_url("mariadb"))
    async with TcpProxy(url.port) as link:
        database, engine = await request.param(url.set(port=link.port))
        yield database, engine, link
        await database.close()
        await AsyncEngine(engine).dispose()


def cut_after_commit(engine, link, monkeypatch):
    """A body after whose commit the link is cut, as soon as the reply has arrived."""
    commit, bodies = engine.dialect.do_commit, []

    def commit_and_cut(connection):
        commit(connection)
        if bodies:
            bodies.clear()
            link.cut()

    def body(connection):
        bodies.append("has run")
        return connection.exec_driver_sql("SELECT 1").scalar_one()

    monkeypatch.setattr(engine.dialect, "do_commit", commit_and_cut)
    return body


async def works(database):
    """Whether the end of the broken connection was noticed, and another one takes its place."""
    try:
        await database.transaction(lambda c: c.exec_driver_sql("SELECT 1").scalar_one(), deadline=soon())
    except DBAPIError:
        return False
    return True


async def test_a_link_that_breaks_after_the_commit(linked, monkeypatch):
    """SERIALIZABLE is that transaction's alone: its result stands, three times in a row over a pool of one."""
    database, engine, link = linked
    body = cut_after_commit(engine, link, monkeypatch)
    for _ in range(3):
        assert await database.transaction(body, deadline=soon(), isolation="SERIALIZABLE") == 1
        await eventually_async(partial(works, database))


@contextmanager
def set_back(connection, name, value):
    """A variable of the session that is set back after the commit, whatever happens to that."""
    mysql_given._execute(connection, f"SET SESSION {name} = {value}")
    yield
    mysql_given._execute(connection, f"SET SESSION {name} = {value}")


async def test_what_is_set_back_after_the_commit(linked, monkeypatch):
    """The control: a level that SQLAlchemy sets back, a variable that the store does: the broken link turns a committed
    transaction into an error."""
    database, engine, link = linked
    monkeypatch.setattr(MysqlDialect, "isolates_in_transaction", False)
    monkeypatch.setattr(MysqlDialect, "isolate", Dialect.isolate)
    monkeypatch.setattr(mysql_given, "_variable", set_back)
    body = cut_after_commit(engine, link, monkeypatch)
    with pytest.raises(Exception, match=r"(?i)lost|closed|broken|reset"):
        await database.transaction(body, deadline=soon(), isolation="SERIALIZABLE")


async def reading_locks(database, other, isolation):
    """Whether a transaction that has read a row keeps others from locking it, as it does under SERIALIZABLE alone."""
    row = "SELECT id FROM skus WHERE id = 's'"

    def body(connection):
        connection.exec_driver_sql(row).scalar_one()
        try:
            await_only(other.transaction(lambda c: c.exec_driver_sql(f"{row} FOR UPDATE NOWAIT"), deadline=soon()))
        except DBAPIError as error:
            return classify(error) is Failure.TIMEOUT
        return False

    return await database.transaction(body, deadline=soon(), isolation=isolation)


async def test_the_level_is_that_of_one_transaction(server_url):
    """SERIALIZABLE for the one that asks for it, READ COMMITTED for the next one on the same connection."""
    with fresh(server_url("mariadb")) as url:
        async with opened(url, pool_size=1) as database, opened(url) as other:
            await stocked(other, "s")
            assert await reading_locks(database, other, "SERIALIZABLE")
            assert not await reading_locks(database, other, None)
