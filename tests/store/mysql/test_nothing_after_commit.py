"""Nothing is sent after a commit: where that failed, a committed order would be called one that never happened."""

from functools import partial

import pytest
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.util import await_only

from stockade.devservers.tcp_proxy import TcpProxy
from stockade.drivers.failures import Failure, classify
from stockade.store import Database
from stockade.store.mysql.dialect import MysqlDialect
from tests.conftest import fresh
from tests.store.conftest import opened, soon, stocked
from tests.waiting import eventually_async

pytestmark = pytest.mark.mariadb


@pytest.fixture
async def linked(server_url):
    """(A database with one connection over a link, the link)."""
    url = server_url("mariadb")
    port = make_url(url).port
    async with TcpProxy(port) as link:
        database = await Database.open(url.replace(f":{port}", f":{link.port}"), pool_size=1)
        yield database, link
        await database.close()


def cut_after_commit(database, link, monkeypatch):
    """A body after whose commit the link is cut, as soon as the reply has arrived."""
    dialect = database._backend._write.sync_engine.dialect
    commit, bodies = dialect.do_commit, []

    def commit_and_cut(connection):
        commit(connection)
        if bodies:
            bodies.clear()
            link.cut()

    def body(connection):
        bodies.append("has run")
        return connection.exec_driver_sql("SELECT 1").scalar_one()

    monkeypatch.setattr(dialect, "do_commit", commit_and_cut)
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
    database, link = linked
    body = cut_after_commit(database, link, monkeypatch)
    for _ in range(3):
        assert await database.transaction(body, deadline=soon(), isolation="SERIALIZABLE") == 1
        await eventually_async(partial(works, database))


async def test_a_level_that_is_set_back(linked, monkeypatch):
    """The control: as SQLAlchemy does it, the broken link turns a committed transaction into an error."""
    database, link = linked
    monkeypatch.setattr(MysqlDialect, "isolates_in_transaction", False)
    monkeypatch.setattr(
        MysqlDialect, "isolate", lambda self, conn, level: conn.execution_options(isolation_level=level) and None
    )
    body = cut_after_commit(database, link, monkeypatch)
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
