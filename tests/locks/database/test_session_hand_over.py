"""A lock that is wanted in the holder's own process goes from caller to caller there, for a bounded number of turns.

Neighbour: `test_sessions_shared.py` (the sessions).
"""

import asyncio
import math

import pytest

from stockade.locks import LockLost, LockUnavailable, aio
from stockade.locks.database import session_locks
from tests.locks.harness import eventually

CALLERS = 20


@pytest.fixture(
    params=[
        pytest.param("postgres", marks=pytest.mark.postgres),
        pytest.param("mysql", marks=pytest.mark.mariadb),
    ]
)
def make(request):
    """Makes providers on each kind of database."""
    kind, name = ("PostgresLocks", "postgres_url") if request.param == "postgres" else ("MySQLLocks", "mariadb_url")
    url = request.getfixturevalue(name)
    return lambda: getattr(aio, kind)(url, prefix=request.node.name)


async def turns(make):
    """In which order many callers of one provider and one of another get in; the other has come first.

    Also the tokens, in that order.
    """
    order, tokens = [], []

    async def turn(provider, who):
        async with provider.lock("a").hold(timeout=60) as lease:
            order.append(who)
            tokens.append(lease.fencing_token)

    async with make() as ours, make() as others:
        held = await ours.lock("a").acquire(timeout=10)
        waiting = [asyncio.create_task(turn(others, "other"))]

        def wait_there():
            there = others.backend._locks
            return there is not None and any(session.pending for session in there.pool._waiting_sessions)

        await eventually(wait_there)
        waiting += [asyncio.create_task(turn(ours, "ours")) for _ in range(CALLERS)]
        await eventually(lambda: len(ours.backend._locks.queues["a"].waiters) == CALLERS)
        await held.release()
        await asyncio.gather(*waiting)
    return order, tokens


@pytest.mark.parametrize("bounded", [True, False], ids=["bounded", "control"])
async def test_hand_overs_are_bounded(make, monkeypatch, bounded):
    """After some turns here the other process has its own; without the bound it is the last. Tokens grow always."""
    monkeypatch.setattr(session_locks, "_HAND_OVER_S", math.inf)
    if not bounded:
        monkeypatch.setattr(session_locks, "_HAND_OVERS", math.inf)
    order, tokens = await turns(make)
    assert order.index("other") == (session_locks._HAND_OVERS if bounded else CALLERS)
    assert tokens == sorted(set(tokens))


async def test_without_time_nothing_is_handed_over(make, monkeypatch):
    """The other bound: who holds for long gives the lock back to the server, which lets the other process in."""
    monkeypatch.setattr(session_locks, "_HAND_OVER_S", 0.0)
    order, _ = await turns(make)
    assert order.index("other") == 0


@pytest.mark.parametrize("trouble", ["session ends", "refused"])
async def test_trouble_with_a_hand_over(make, monkeypatch, trouble):
    """It meets the end of its session: the holder's lock was lost. It is refused: the lock goes back. The next caller
    has it in both cases."""
    monkeypatch.setattr(session_locks, "_HAND_OVER_S", math.inf)
    async with make() as locks:
        dialect = locks.backend._dialect
        held = await locks.lock("a", on_lost="raise").acquire(timeout=10)
        waiter = asyncio.create_task(locks.lock("a").acquire(timeout=30))
        await eventually(lambda: len(locks.backend._locks.queues["a"].waiters) == 1)
        record_owner = dialect.record_owner

        async def once(connection, ask):
            monkeypatch.setattr(dialect, "record_owner", record_owner)
            if trouble == "refused":
                raise LockUnavailable("no")
            dialect.abort(connection)
            return await record_owner(connection, ask)

        monkeypatch.setattr(dialect, "record_owner", once)
        if trouble == "refused":
            await held.release()
        else:
            with pytest.raises(LockLost):
                await held.release()
        lease = await waiter
        assert lease.fencing_token > held.fencing_token
        await lease.release()
