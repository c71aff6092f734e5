"""Locks over database sessions and what happens to the process: forks, event loops, signals, its end, its server's end.

Neighbours: `test_sessions_shared.py` (the sessions), `bounds.py` (calls in a forked child).
"""

import asyncio
import gc
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from stockade import locks
from stockade.core import NotSupported
from stockade.locks import LockError, LockUnavailable, aio
from stockade.locks.database import fork
from stockade.locks.engine.lock_request import LockRequest, Spec
from tests.locks.bounds import in_child
from tests.waiting import eventually

CHILD_S = 10.0
RELEASED_AT_EXIT = """
import atexit
from stockade import locks
from stockade.core import NotSupported
provider = {make}
lease = provider.lock("a").acquire(timeout=10)
{end}
print(lease.fencing_token)
"""
ENDS = {
    "atexit": "atexit.register(provider.close)\natexit.register(lease.release)",
    "a finalizer": "class Last:\n    def __del__(self, kept=lease): kept.release()\nlast = Last()",
}


@pytest.fixture(
    params=[
        pytest.param("postgres", marks=pytest.mark.postgres),
        pytest.param("mysql", marks=pytest.mark.mariadb),
    ]
)
def kind(request):
    """Each kind of database."""
    return request.param


@pytest.fixture
def url(kind, request):
    """Its shared server."""
    return request.getfixturevalue("postgres_url" if kind == "postgres" else "mariadb_url")


@pytest.fixture
def make(kind, url, request):
    """Makes providers of a face."""

    def made(module=locks, **options):
        provider = module.PostgresLocks if kind == "postgres" else module.MySQLLocks
        return provider(url, prefix=request.node.name, **options)

    return made


@pytest.mark.parametrize("used", [False, True])
def test_a_provider_made_before_a_fork_works_in_the_child(make, used):
    """Used before or not, the child takes a lock and gives it back; what the parent holds stays the parent's."""
    with make() as provider:
        lease = provider.lock("parent").acquire(timeout=10) if used else None

        def child():
            with provider.lock("child").hold(timeout=5):
                return provider.lock("parent").try_acquire() is None

        assert in_child(CHILD_S, child) == str(used)
        if lease:
            lease.extend(20)
            lease.release()


def test_a_child_lets_go_of_its_parents_sockets(make):
    """The child's copies are gone, so that a session ends with its parent, and finalizers send no goodbye."""
    with make() as provider:
        lease = provider.lock("a").acquire(timeout=10)
        (session,) = provider.backend._locks.pool.sessions
        number = fork.descriptor(session.transport)

        def child():
            target = str(Path(f"/proc/self/fd/{number}").readlink())
            provider.backend._locks = None
            gc.collect()
            return target

        gc.collect()  # what other tests have left, such as clients of Kafka, is not the child's to finalize
        assert in_child(CHILD_S, child) == repr(os.devnull)
        assert str(Path(f"/proc/self/fd/{number}").readlink()).startswith("socket")
        lease.extend(20)
        lease.release()


async def take_and_give(provider):
    """One lock, through the backend."""
    ask = LockRequest(Spec("a", lease_s=30.0), provider.runtime.new_id())
    assert await provider.backend.acquire(ask, provider.runtime.now() + 10)
    return ask


def test_a_second_event_loop_works_after_the_first(make):
    """What a closed loop has used is forgotten, its sessions end; the next loop has its own."""
    provider = make(aio)
    for _ in range(3):

        async def visit():
            assert await provider.backend.release(await take_and_give(provider))

        asyncio.run(visit())

    async def close():
        await provider.backend.close()

    asyncio.run(close())


def test_a_second_event_loop_is_refused_while_the_first_holds(make):
    """While another loop holds a lock nothing is taken; afterwards it works."""
    provider = make(aio)

    async def first():
        ask = await take_and_give(provider)
        with pytest.raises(LockError, match="event loop"):
            await asyncio.to_thread(asyncio.run, take_and_give(provider))
        assert await provider.backend.release(ask)
        await provider.backend.close()

    asyncio.run(first())


def test_a_release_in_a_signal_handler_ends(make):
    """While the main thread waits for another lock, its handler gives one back and asks for a third."""

    def child():
        provider, other = make(), make()
        busy = other.lock("busy").acquire(timeout=10)
        lease = provider.lock("a").acquire(timeout=10)
        seen = []

        def ring(signum, frame):
            lease.release()
            seen.append(provider.lock("b").try_acquire() is not None)

        signal.signal(signal.SIGALRM, ring)
        signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)  # at many moments of the wait
        waited = provider.lock("busy").acquire(timeout=1)
        signal.setitimer(signal.ITIMER_REAL, 0)
        busy.release()
        return waited is None and any(seen) and len(seen) > 10

    assert in_child(20, child) == "True"


@pytest.mark.parametrize("end", ENDS)
def test_a_release_at_exit_ends(kind, make, url, request, end):
    """A lock given back by `atexit`, or by a finalizer when threads run no more: the process ends, the lock is free."""
    name = "PostgresLocks" if kind == "postgres" else "MySQLLocks"
    code = RELEASED_AT_EXIT.format(make=f"locks.{name}({url!r}, prefix={request.node.name!r})", end=ENDS[end])
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True)
    assert done.stderr == ""
    with make() as provider, provider.lock("a").hold(timeout=5) as lease:
        assert lease.fencing_token > int(done.stdout)


def test_a_callback_of_a_loss_may_use_the_provider(make):
    """`on_lost` runs beside the connections, so that it may take another lock without a deadlock."""
    with make() as provider:
        lease = provider.lock("a", on_lost="ignore").acquire(timeout=10)
        done, taken = threading.Event(), []

        def lost(_):
            taken.append(provider.lock("b").acquire(timeout=5))
            done.set()

        lease.on_lost(lost)
        assert provider.break_("a")
        assert done.wait(10)
        assert taken[0]


@pytest.mark.parametrize("how", ["restart", "kill"])
def test_a_server_that_came_back_is_asked_on_a_fresh_connection(kind, servers, how):
    """All idle sessions were closed by a restart: one try without a time limit is granted. A holder is notified."""
    server = servers.postgres() if kind == "postgres" else servers.mariadb()
    with (locks.PostgresLocks if kind == "postgres" else locks.MySQLLocks)(server.url) as provider:
        leases = [provider.lock(f"n{number}", on_lost="ignore").acquire(timeout=10) for number in range(3)]
        if how == "kill":
            server.kill()
            with pytest.raises(LockUnavailable):
                provider.lock("gone").acquire(timeout=1)
        server.restart()
        assert provider.lock("a").try_acquire()
        assert eventually(lambda: all(lease.lost for lease in leases))


@pytest.mark.mariadb
class TestRights:
    """MySQLLocks by users who may do little, and with tables of earlier versions."""

    @pytest.fixture
    def admin(self, servers):
        """A server, and its statements."""
        server = servers.mariadb()

        def run(*statements):
            async def all_of_them():
                import asyncmy

                where = {"host": "127.0.0.1", "port": server.port, "user": "stockade", "db": "stockade"}
                connection = await asyncmy.connect(**where, autocommit=True)
                async with connection.cursor() as cursor:
                    for statement in statements:
                        await cursor.execute(statement)
                    rows = await cursor.fetchall()
                await connection.ensure_closed()
                return rows

            return asyncio.run(all_of_them())

        run("CREATE USER app@'%'")
        run.url = f"mariadb://app@127.0.0.1:{server.port}/stockade"
        return run

    def test_a_table_that_is_there_needs_no_create(self, admin):
        """The right to read and write it is enough."""
        admin("GRANT SELECT, INSERT, UPDATE, DELETE ON stockade.* TO app@'%'")
        with locks.MySQLLocks(admin.url) as provider:
            with pytest.raises(NotSupported, match="CREATE TABLE IF NOT EXISTS") as refused:
                provider.lock("a").acquire(timeout=5)
            assert "\n" not in str(refused.value)
            admin(str(refused.value).partition("run: ")[2])
            provider.lock("a").acquire(timeout=5).release()

    @pytest.mark.parametrize("right", ["ALL", "SELECT, INSERT, UPDATE"])
    def test_a_table_in_another_character_set(self, admin, right):
        """Owners and metadata in every script are kept, or, where the table may not be altered, escaped."""
        admin(
            "CREATE TABLE stockade_fences (name VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin PRIMARY KEY, "
            "token BIGINT NOT NULL, owner VARCHAR(64) NOT NULL, metadata TEXT NOT NULL) CHARACTER SET latin1",
            f"GRANT {right} ON stockade.* TO app@'%'",
        )
        with locks.MySQLLocks(admin.url) as provider, locks.MySQLLocks(admin.url) as onlooker:
            lease = provider.lock("a", metadata="주문").acquire(timeout=5, token="작업")
            holder = onlooker.inspect("a").holders[0]
            assert holder.token == lease.fencing_token
            assert holder.metadata == ("주문" if right == "ALL" else "\\uc8fc\\ubb38")
            lease.release()
