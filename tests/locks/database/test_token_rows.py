"""MySQL: the rows behind tokens are deleted when nobody has used them for a while, and tokens grow all the same."""

import pytest

from stockade.locks import MySQLLocks, PostgresLocks, aio
from stockade.locks.database import mysql
from tests.waiting import eventually_async

pytestmark = pytest.mark.mariadb


async def rows(locks, name=None):
    """How many rows the table has, or whether that lock has one."""
    session = await locks.backend._locks.pool.shared_session(1e12)
    where, args = ("", ()) if name is None else (" WHERE name = %s", (locks.backend._dialect._key(name),))
    found = await session.start(locks.backend._dialect._fetch, 5, f"SELECT COUNT(*) FROM stockade_fences{where}", *args)
    return int(found[0][0])


async def token(lock):
    async with lock as lease:
        return lease.fencing_token


async def test_rows_of_unused_locks_are_deleted(mariadb_url, request):
    """A hundred released locks leave no row after `token_ttl_s`; the row of a held one stays. Tokens go on above."""
    async with aio.MySQLLocks(mariadb_url, prefix=request.node.name, token_ttl_s=1) as locks:
        async with locks.lock("held") as held:
            before = [await token(locks.lock(f"n{number}")) for number in range(100)]
            await eventually_async(lambda: no_rows(locks, 100))
            assert await rows(locks, "held") == 1
            assert (await locks.lock("held").inspect()).holders[0].token == held.fencing_token
        after = [await token(locks.lock(f"n{number}")) for number in range(100)]
    assert all(later > earlier for earlier, later in zip(before, after, strict=True))


async def no_rows(locks, number):
    return not any([await rows(locks, f"n{each}") for each in range(0, number, 9)])


async def test_control_a_counter_from_one_begins_anew(mariadb_url, request, monkeypatch):
    """The mutant that counts from 1, as version 0.1 did: once its row is deleted it gives the same token again."""
    monkeypatch.setattr(mysql, "_NEXT_TOKEN", mysql._NEXT_TOKEN.replace(mysql._NOW_US, "1"))
    async with aio.MySQLLocks(mariadb_url, prefix=request.node.name) as locks:
        before = await token(locks.lock("a"))
        session = await locks.backend._locks.pool.shared_session(1e12)
        key = locks.backend._dialect._key("a")
        await session.start(locks.backend._dialect._fetch, 5, "DELETE FROM stockade_fences WHERE name = %s", key)
        assert await token(locks.lock("a")) == before


async def test_rows_of_the_first_version_stay_and_are_counted_on(mariadb_url, request):
    """A small counter is not deleted, since a process of that version may count it up; the next token is greater."""
    async with aio.MySQLLocks(mariadb_url, prefix=request.node.name, token_ttl_s=1) as locks:
        await token(locks.lock("other"))
        session, dialect = await locks.backend._locks.pool.shared_session(1e12), locks.backend._dialect
        insert = "INSERT INTO stockade_fences (name, token, owner, metadata) VALUES (%s, 7, '', '')"
        await session.start(dialect._fetch, 5, insert, dialect._key("a"))
        await eventually_async(lambda: gone(locks, "other"))
        assert await rows(locks, "a") == 1
        assert await token(locks.lock("a")) > 10**15


async def gone(locks, name):
    return not await rows(locks, name)


def test_a_lifetime_that_makes_no_sense():
    """At least a second, and finite, for both databases."""
    for provider, url in ((MySQLLocks, "mysql://u@h/d"), (PostgresLocks, "postgresql://u@h/d")):
        for value in (0, 0.5, -1, "1", float("inf")):
            with pytest.raises((TypeError, ValueError), match="token_ttl_s must be"):
                provider(url, token_ttl_s=value)
