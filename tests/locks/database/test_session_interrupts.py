"""An interrupt that is late: it may end the wait that it was meant for, and no later statement of that session.

Neighbour: `test_sessions_shared.py` (the sessions).
"""

import asyncio

import pytest

from stockade.locks import aio
from stockade.locks.database import acquirer
from tests.locks.harness import eventually

TURNS = 10  # of the loop, in which a ping that does not wait for the interrupt is sent


@pytest.fixture(
    params=[
        pytest.param("postgres", marks=pytest.mark.postgres),
        pytest.param("mysql", marks=pytest.mark.mariadb),
    ]
)
def make(request):
    """Makes providers on each kind of database, of one shared session and one waiting session."""
    kind, name = ("PostgresLocks", "postgres_url") if request.param == "postgres" else ("MySQLLocks", "mariadb_url")
    url = request.getfixturevalue(name)
    return lambda: getattr(aio, kind)(url, prefix=request.node.name, connections=2)


async def give_up_a_wait(holding, locks, monkeypatch, interrupt):
    """A wait is cancelled, then granted before its interrupt is sent, which is `interrupt`. The session that waited."""
    dialect, begun, ended, asked = locks.backend._dialect, asyncio.Event(), asyncio.Event(), asyncio.Event()
    wait = dialect.wait

    async def waited(*args):
        begun.set()
        try:
            return await wait(*args)
        finally:
            ended.set()

    async def late(connection, session):
        asked.set()
        await ended.wait()
        await interrupt(connection, session)

    monkeypatch.setattr(dialect, "wait", waited)
    monkeypatch.setattr(dialect, "interrupt", late)
    held = await holding.lock("a").acquire(timeout=10)
    waiter = asyncio.create_task(locks.lock("a").acquire(timeout=30))
    await begun.wait()
    waiter.cancel()
    await asked.wait()
    (session,) = locks.backend._locks.pool._waiting_sessions
    await held.release()
    return session


async def test_a_ping_takes_a_late_interrupt(make, monkeypatch):
    """The wait ends by itself before its interrupt is sent: its session is checked, and used, only after that."""
    events = []
    async with make() as holding, make() as locks:
        dialect = locks.backend._dialect
        interrupt, ping = dialect.interrupt, dialect.ping

        async def pinged(connection):
            events.append("ping")
            return await ping(connection)

        async def interrupted(connection, session):
            for _ in range(TURNS):
                await asyncio.sleep(0)
            await interrupt(connection, session)
            events.append("interrupt")

        monkeypatch.setattr(dialect, "ping", pinged)
        session = await give_up_a_wait(holding, locks, monkeypatch, interrupted)
        await eventually(lambda: len(events) == 2)
        assert events == ["interrupt", "ping"]
        await (await locks.lock("a").acquire(timeout=10)).release()
        assert not session.ended


async def test_a_session_whose_interrupt_never_comes_is_ended(make, monkeypatch):
    """An interrupt that is not answered in time could hit any later statement: its session is given up, and the lock
    is had over another one."""
    monkeypatch.setattr(acquirer, "_INTERRUPT_S", 0.3)
    never = asyncio.Event()

    async def stuck(connection, session):
        await never.wait()

    async with make() as holding, make() as locks:
        session = await give_up_a_wait(holding, locks, monkeypatch, stuck)
        await eventually(lambda: session.ended)
        never.set()
        await (await locks.lock("a").acquire(timeout=10)).release()
