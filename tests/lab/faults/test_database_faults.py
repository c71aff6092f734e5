"""Faults of the database really disturb it, and heal: on PostgreSQL and MariaDB, kept from one test to the next."""

import asyncio
import re
import time
from functools import partial

import pytest

from stockade.devservers.databases import execute
from stockade.lab.faults import FAULTS, needs_of
from stockade.lab.faults.disk import SLOWER_S
from stockade.lab.site.site import open_site
from stockade.lab.site.tools import no_prlimit, no_small_disk, no_strace
from tests.lab.faults.disturbed import disturbed_on
from tests.waiting import eventually_async

pytestmark = pytest.mark.asyncio(loop_scope="module")
KINDS = [pytest.param(kind, marks=getattr(pytest.mark, kind)) for kind in ("postgres", "mariadb")]
on_servers = pytest.mark.parametrize("kind", KINDS)
NEEDS = frozenset({"database-server", "fsync"})
WAIT_S = 3.0
BIG, MOST = 1_000_000, 50


def traced():
    if why := no_strace():
        pytest.skip(f"left out: strace ({why})")


async def run(site, statement):
    """One statement in the recording's database, past every link."""
    return await execute(site.admin_url, statement, WAIT_S)


async def create(site):
    """A table whose rows are stored as they are, not compressed."""
    await run(site, f"CREATE TABLE things (x {'text' if site.database.kind == 'postgres' else 'longtext'})")
    if site.database.kind == "postgres":
        await run(site, "ALTER TABLE things ALTER COLUMN x SET STORAGE EXTERNAL")


async def insert(site, size=10):
    return await run(site, f"INSERT INTO things VALUES (repeat('x', {size}))")


async def count(site):
    return (await run(site, "SELECT count(*) FROM things"))[0][0]


async def until_it_fails(site):
    """Insert much; whether that failed in the end."""
    for _ in range(MOST):
        if await fails(insert(site, BIG)):
            return True
    return False


async def fails(work):
    """Whether it ends with an error, whatever the driver calls it."""
    try:
        await work
    except Exception:  # noqa: BLE001
        return True
    return False


@pytest.mark.slow
@on_servers
@pytest.mark.parametrize("name", ["database-kill", "database-stop"])
async def test_a_server_that_ends(site_servers, kind, name):
    """No answer until it is healed; then what was committed is there. A server that is away is hit by nothing more."""
    fault, jitter = FAULTS[name], FAULTS["jitter"]
    needs = NEEDS | jitter.needs
    async with open_site(kind, needs, servers=site_servers) as site, disturbed_on(site) as disturbed:
        await create(site)
        await insert(site)
        await jitter.inject(disturbed)
        (hit,) = await fault.inject(disturbed)
        assert hit.startswith(f"{kind}, process ")
        assert await fails(insert(site))
        assert await fault.inject(disturbed) == await FAULTS["session-kill"].inject(disturbed) == ()
        await fault.heal(disturbed)
        pid = site.server.server.pid
        await fault.heal(disturbed)
        assert (await count(site), site.server.server.pid) == (1, pid)
        assert set(site.links["database"][0].active) == {"jitter"}, "a restart leaves the link as it was"


@on_servers
async def test_a_session_that_ends(site_servers, kind):
    """The session that is in use gets an error; the next one works."""
    fault = FAULTS["session-kill"]
    async with open_site(kind, NEEDS, servers=site_servers) as site, disturbed_on(site) as disturbed:
        sleep = "pg_sleep" if kind == "postgres" else "sleep"
        busy = asyncio.create_task(execute(site.admin_url, f"SELECT {sleep}(20)", 30.0))
        await eventually_async(partial(sleeping, site))
        (hit,) = await fault.inject(disturbed)
        assert await asyncio.wait_for(fails(busy), WAIT_S)
        assert re.fullmatch(r"session \d+, in use", hit)
        await fault.heal(disturbed)
        await run(site, "SELECT 1")


async def sleeping(site):
    """Whether the server is at the statement that waits."""
    text = {
        "postgres": "SELECT query FROM pg_stat_activity WHERE query LIKE 'SELECT pg_s%'",
        "mariadb": "SELECT info FROM information_schema.processlist WHERE info LIKE 'SELECT s%'",
    }
    return await run(site, text[site.database.kind])


@pytest.mark.slow
@on_servers
async def test_a_slow_disk(site_servers, kind):
    """A commit takes as much longer as a flush does, until it is healed."""
    traced()
    fault = FAULTS["disk-slow"]

    async def commit_s():
        began_s = time.monotonic()
        await insert(site)
        return time.monotonic() - began_s

    async with open_site(kind, NEEDS, servers=site_servers) as site, disturbed_on(site) as disturbed:
        await create(site)
        assert min([await commit_s() for _ in range(3)]) < SLOWER_S
        await fault.inject(disturbed)
        assert await commit_s() >= SLOWER_S
        await fault.heal(disturbed)
        assert min([await commit_s() for _ in range(3)]) < SLOWER_S


@pytest.mark.slow
@on_servers
async def test_a_failing_disk(site_servers, kind):
    """A commit whose flush fails is no success; after the healing the server has recovered and commits again."""
    traced()
    fault = FAULTS["disk-failing"]
    async with open_site(kind, NEEDS, servers=site_servers) as site, disturbed_on(site) as disturbed:
        await create(site)
        await fault.inject(disturbed)
        assert await fails(insert(site))
        await fault.heal(disturbed)
        await insert(site)
        assert await count(site) in (1, 2)  # the first one is in doubt


@pytest.mark.slow
@on_servers
@pytest.mark.parametrize("how", ["small", "limit"])
async def test_a_full_disk(site_servers, kind, how, monkeypatch):
    """What needs room fails, and works again when there is room: on a small file system, or by a limit."""
    if why := (no_small_disk if how == "small" else no_prlimit)():
        pytest.skip(f"left out: disk ({why})")
    fault, needs = FAULTS["disk-full"], needs_of((FAULTS["disk-full"],))
    if how == "limit":
        monkeypatch.setattr("stockade.lab.site.site.no_small_disk", lambda: "not here")
    async with open_site(kind, needs, servers=site_servers) as site, disturbed_on(site) as disturbed:
        await create(site)
        await insert(site)
        await fault.inject(disturbed)
        assert await until_it_fails(site)
        await fault.heal(disturbed)
        before = await count(site)
        await insert(site, BIG)
        assert await count(site) == before + 1
