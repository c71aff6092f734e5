"""Over a link that swallows everything a caller has his answer within the grace after his deadline, at every step.

The clean-up (a rollback, the end of a connection) has what is left of the grace; then it goes on in the background.
"""

import re
import time
from contextlib import asynccontextmanager

import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url

from stockade.core import Busy
from stockade.core.grace import GRACE_S
from stockade.devservers.tcp_proxy import TcpProxy
from stockade.service import blocking
from stockade.store import Database
from stockade.store.engine import database, pools
from stockade.strategies import lock_based
from tests.conftest import fresh
from tests.docs.site import ROOT
from tests.store.conftest import soon

DEADLINE_S = 0.1
MOST_S = 0.8  # twice the grace, for a busy machine; the controls take longer
END_S = 1.0  # of a connection whose server does not answer, in these tests


def select_one(connection):
    return connection.execute(text("SELECT 1")).scalar_one()


@asynccontextmanager
async def linked(url):
    """A database over a link, with one connection that was used, and the link."""
    async with TcpProxy(make_url(url).port) as link:
        opened = await Database.open(url.replace(f":{make_url(url).port}", f":{link.port}"), pool_size=1)
        try:
            await opened.transaction(select_one, deadline=soon())
            yield opened, link
        finally:
            await link.restore()
            await opened.close()


async def late_s(opened, link, step):
    """How long after its deadline a transaction is answered whose link goes silent at this step, and the answer."""

    def body(connection):
        select_one(connection)
        link.swallow()
        if step == "rollback":
            raise ValueError("the body's own")

    deadline = soon(DEADLINE_S)
    answer = None
    try:
        await opened.transaction(body, deadline=deadline)
    except Exception as error:  # noqa: BLE001 - the answer, or that there was none
        answer = error
    return time.monotonic() - deadline, answer


def test_the_parts_fit_into_the_grace():
    """A transaction given up and its connection ended: the two waits of a caller leave something for his lock."""
    assert database.OVERRUN_S + pools.END_IN_TURN_S + lock_based._CALL_LEAST_S < GRACE_S
    assert blocking.ANSWER_WAIT_S > GRACE_S


def test_the_grace_is_written_in_one_place():
    """Every other file that needs it imports it, so that the bounds cannot grow apart."""
    named = re.compile(r"^_?GRACE_S\b.*=", re.MULTILINE)
    found = [path.name for path in (ROOT / "src").rglob("*.py") if named.search(path.read_text())]
    assert found == ["grace.py"]


@pytest.mark.parametrize("step", ["rollback", "commit"])
async def test_an_answer_over_a_silent_link(server_database, step, monkeypatch):
    """Whatever the server was asked last, the answer comes in time: nothing happened, or with the commit it is open."""
    monkeypatch.setattr(pools, "END_WAIT_S", END_S)
    async with linked(server_database) as (opened, link):
        late, answer = await late_s(opened, link, step)
        assert late < MOST_S
        assert isinstance(answer, TimeoutError if step == "commit" else Busy)
        assert opened.unsettled is (opened.dialect.name == "postgres")  # MariaDB acknowledges no end
        await link.restore()
        await opened.settle()
        assert not opened.unsettled


@pytest.mark.parametrize(("module", "name"), [(database, "OVERRUN_S"), (pools, "END_IN_TURN_S")])
async def test_what_is_waited_for_too_long(postgres_url, monkeypatch, module, name):
    """The control: a client that gives its transaction up late, or sees the end of its connection through, which
    PostgreSQL has to acknowledge, answers late."""
    monkeypatch.setattr(pools, "END_WAIT_S", END_S)
    monkeypatch.setattr(module, name, END_S)
    with fresh(postgres_url) as url:
        async with linked(url) as (opened, link):
            late, _ = await late_s(opened, link, "commit")
            assert late > MOST_S
