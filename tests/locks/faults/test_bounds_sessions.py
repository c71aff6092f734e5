"""Locks over database sessions: no call outlives its own time, whatever the server does, on both faces.

One table of phases is tried under each fault. Neighbours: `bounds.py` (the faults), `database/test_sessions_shared.py`.
"""

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import asyncmy
import asyncpg
import pytest

from stockade import locks
from stockade.locks import LockError, LockTimeout, LockUnavailable, aio
from stockade.locks.database.runner import _LoopThread
from stockade.locks.database.session import Session
from stockade.locks.database.session_locks import SessionLocks
from tests.locks import bounds
from tests.locks.bounds import FAULTS, Link, Site, ends_within
from tests.waiting import eventually

PATIENCE_S = 1.0
TIMEOUT_S = 0.6
LATE_S = 0.7  # for so long another thread, or another process, has the processor
LEAD_S = 1.5  # a wait is under way when its fault begins, so long after its start at most
USER = "app"
REFUSED_FUNCTIONS = ("pg_try_advisory_lock(bigint)", "pg_advisory_unlock(bigint)", "pg_backend_pid()")


class Face:
    """Calls of one face; each user has an event loop of its own where the face needs one."""

    def __init__(self, name, kind, url):
        self.module = locks if name == "threads" else aio
        self._runner = None if name == "threads" else asyncio.Runner()
        make = self.module.PostgresLocks if kind == "postgres" else self.module.MySQLLocks
        self.provider = self.do(lambda: make(url, patience_s=PATIENCE_S))

    def do(self, call):
        """The value of a call, or its error."""
        if self._runner is None:
            return call()

        async def run():
            value = call()
            return await value if asyncio.iscoroutine(value) else value

        return self._runner.run(run())

    def lock(self, name="a"):
        return self.provider.lock(name, on_lost="ignore")

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.do(self.provider.close)
        if self._runner is not None:
            self._runner.close()


@dataclass
class Phase:
    """What is prepared with a user before the fault, and the call that meets it.

    Attributes:
        bound_s: the call's own time.
        call: made under the fault with what `prepare` returned; before it, if `early`.
        early: the call waits already when the fault begins.
        takes: the call would take a lock, so that it may not end with one.
    """

    bound_s: float
    call: Callable
    prepare: Callable = lambda user: None
    early: bool = False
    takes: bool = True


def warm(user):
    """Both kinds of session are open, and idle."""
    user.do(user.do(lambda: user.lock("warm").acquire(timeout=10)).release)


def held(user):
    """A lease."""
    return user.do(lambda: user.lock(f"own {id(user)}").acquire(timeout=10))


async def withdrawn(user):
    """A task that is cancelled while it acquires."""
    task = asyncio.create_task(user.lock("a").acquire())
    await asyncio.wait({task}, timeout=0.2)
    task.cancel()
    await asyncio.wait({task})


PHASES = {
    "connect": Phase(TIMEOUT_S, lambda user, _: user.lock(f"own {id(user)}").acquire(timeout=TIMEOUT_S)),
    "connect without limit": Phase(PATIENCE_S, lambda user, _: user.lock(f"own {id(user)}").acquire()),
    "first try": Phase(PATIENCE_S, lambda user, _: user.lock(f"own {id(user)}").try_acquire()),
    "call": Phase(TIMEOUT_S, lambda user, _: user.lock(f"own {id(user)}").acquire(timeout=TIMEOUT_S), warm),
    "call without limit": Phase(PATIENCE_S, lambda user, _: user.lock(f"own {id(user)}").acquire(), warm),
    "try": Phase(PATIENCE_S, lambda user, _: user.lock(f"own {id(user)}").try_acquire(), warm),
    "wait": Phase(LEAD_S + 0.5, lambda user, _: user.lock("busy").acquire(timeout=LEAD_S + 0.5), warm, early=True),
    "wait without limit": Phase(LEAD_S + PATIENCE_S, lambda user, _: user.lock("busy").acquire(), warm, early=True),
    "release": Phase(PATIENCE_S, lambda user, lease: lease.release(), held, takes=False),
    "extend": Phase(PATIENCE_S, lambda user, lease: lease.extend(20.0), held, takes=False),
    "inspect": Phase(PATIENCE_S, lambda user, _: user.provider.inspect("busy"), warm, takes=False),
    "break": Phase(PATIENCE_S, lambda user, _: user.provider.break_("other"), warm, takes=False),
    "close": Phase(PATIENCE_S, lambda user, _: user.provider.close(), held, takes=False),
    "withdraw": Phase(TIMEOUT_S, lambda user, _: withdrawn(user), warm, takes=False),
}


def postgres_statements(site, *statements):
    """Run them as the superuser, not through the link."""

    async def run():
        connection = await asyncpg.connect(site.server.url)
        try:
            for statement in statements:
                await connection.execute(statement)
        finally:
            await connection.close()

    asyncio.run(run())


def mysql_statements(site, *statements):
    """The same at MariaDB."""

    async def run():
        connection = await asyncmy.connect(
            host="127.0.0.1", port=site.server.port, user="stockade", db="stockade", autocommit=True
        )
        async with connection.cursor() as cursor:
            for statement in statements:
                await cursor.execute(statement)
        await connection.ensure_closed()

    asyncio.run(run())


def make_site(kind, servers):
    """A server with a user that can be refused, and the link to it."""
    server = servers.postgres() if kind == "postgres" else servers.mariadb()
    site = Site(server, Link(server.port))
    if kind == "postgres":
        postgres_statements(site, f"CREATE USER {USER}")
        functions = ", ".join(REFUSED_FUNCTIONS)
        site.refuse = lambda: postgres_statements(site, f"REVOKE EXECUTE ON FUNCTION {functions} FROM PUBLIC")
        site.allow = lambda: postgres_statements(site, f"GRANT EXECUTE ON FUNCTION {functions} TO PUBLIC")
    else:
        mysql_statements(site, f"CREATE USER {USER}@'%'", f"GRANT ALL ON stockade.* TO {USER}@'%'")
        site.refuse = lambda: mysql_statements(site, "SET GLOBAL read_only = 1")
        site.allow = lambda: mysql_statements(site, "SET GLOBAL read_only = 0")
    return site


def url_of(kind, port):
    """Of the user that can be refused."""
    return (
        f"postgresql://{USER}@127.0.0.1:{port}/postgres"
        if kind == "postgres"
        else f"mariadb://{USER}@127.0.0.1:{port}/stockade"
    )


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
def site(kind, servers):
    """A server of the test's own, and its link."""
    made = make_site(kind, servers)
    yield made
    made.link.close()


def tried(phase, user, prepared, found, name):
    """Make the call of a phase; what is wrong is added to `found`."""
    try:
        ended = ends_within(phase.bound_s, lambda: user.do(lambda: phase.call(user, prepared)))
    except AssertionError as wrong:
        found.append(f"{name}: {wrong}")
        return
    if ended.error is not None and not isinstance(ended.error, LockError):
        found.append(f"{name}: {ended.error!r}")
    if phase.takes and ended.value is not None:
        found.append(f"{name}: it was granted")
    if phase.takes and not phase.early and isinstance(ended.error, LockTimeout | None):
        found.append(f"{name}: {ended.error or ended.value!r}, which reads as if somebody else had it")


@pytest.mark.parametrize("face", ["threads", "tasks"])
@pytest.mark.parametrize("fault", FAULTS)
def test_every_phase_ends_in_its_time(kind, site, face, fault):
    """Each phase under each fault ends within its own time, or within the patience, with an error that says why; the
    same provider works again when the fault is over."""
    without = {"threads": {"withdraw"}, "tasks": set()}[face]
    without |= {"wait without limit"} if fault == "refused" else set()  # who waits sends nothing that could be refused
    names = [name for name in PHASES if name not in without]
    found = []
    with contextlib.ExitStack() as stack:
        users = {name: stack.enter_context(Face(face, kind, url_of(kind, site.link.port))) for name in names}
        holder = stack.enter_context(Face("threads", kind, site.server.url))
        holder.lock("busy").acquire(timeout=10)
        prepared = {name: PHASES[name].prepare(users[name]) for name in names}
        pool = stack.enter_context(ThreadPoolExecutor(len(names)))

        def meet(early):
            return [
                pool.submit(tried, PHASES[name], users[name], prepared[name], found, name)
                for name in names
                if PHASES[name].early == early
            ]

        calls = meet(early=True)
        eventually(lambda: len(holder.provider.inspect("busy").waiters) == len(calls))
        with site.broken(fault):
            for call in calls + meet(early=False):
                call.result()
        if found:
            pytest.fail("\n".join(found), pytrace=False)
        assert works_again(users["call"])


def works_again(user):
    """Whether a lock is granted, after errors at first."""

    def take():
        try:
            return user.do(lambda: user.lock("again").acquire(timeout=5))
        except LockUnavailable:
            return None

    return eventually(take, 20)


def test_control_a_wait_without_bounds_hangs(kind, site, monkeypatch):
    """Without the bounds of caller and session a call never ends, and the harness says so."""

    async def unbounded(self, queue, waiter):
        await waiter.future

    monkeypatch.setattr(bounds, "_HANG_S", 1.0)
    monkeypatch.setattr(Session, "_end_or_extend", lambda self, bound_s: None)
    monkeypatch.setattr(SessionLocks, "_unlimited", unbounded)
    monkeypatch.setattr(
        "stockade.locks.database.acquirer.Acquirer._answer", lambda self, queue, session, statement: statement
    )
    with Face("threads", kind, url_of(kind, site.link.port)) as user:
        warm(user)
        with site.broken("stopped"), pytest.raises(AssertionError, match="hang"):
            ends_within(PATIENCE_S, lambda: user.lock("a").acquire())


@pytest.fixture
def silent_port():
    """A port that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening.getsockname()[1]


@pytest.mark.parametrize("face", ["threads", "tasks"])
def test_what_is_no_database_does_not_hang(kind, silent_port, face):
    """A port that never greets is LockUnavailable in time, closing included."""
    with Face(face, kind, url_of(kind, silent_port)) as user:
        ended = ends_within(TIMEOUT_S, lambda: user.do(lambda: user.lock(f"own {id(user)}").acquire(timeout=TIMEOUT_S)))
        assert isinstance(ended.error, LockUnavailable)
        assert ends_within(PATIENCE_S, lambda: user.do(user.provider.close)).error is None


def test_the_other_database_does_not_hang(kind, request):
    """The URL of a server that speaks another protocol is LockUnavailable in time."""
    other = request.getfixturevalue("mariadb_url" if kind == "postgres" else "postgres_url")
    port = int(other.rsplit(":", 1)[1].split("/")[0])
    with Face("threads", kind, url_of(kind, port)) as user:
        ended = ends_within(PATIENCE_S, lambda: user.lock(f"own {id(user)}").acquire(timeout=PATIENCE_S))
        assert isinstance(ended.error, LockUnavailable)


LATE_CALLS = {
    "acquire": (TIMEOUT_S, lambda user: user.lock().acquire(timeout=TIMEOUT_S)),
    "acquire without limit": (PATIENCE_S, lambda user: user.lock().acquire()),
    "try": (PATIENCE_S, lambda user: user.lock().try_acquire()),
    "inspect": (PATIENCE_S, lambda user: user.provider.inspect("a")),
    "break": (PATIENCE_S, lambda user: user.provider.break_("a")),
}


@pytest.mark.parametrize("call", LATE_CALLS)
def test_the_way_to_the_loop_is_part_of_the_time(kind, silent_port, call, monkeypatch):
    """A call that comes late to the thread of its connections, on a machine with much to do, still ends in its time."""
    bound_s, make = LATE_CALLS[call]
    begin = _LoopThread.start

    def begin_late(thread):
        threading.Event().wait(LATE_S)
        begin(thread)

    with Face("threads", kind, url_of(kind, silent_port)) as user:
        with monkeypatch.context() as patched:
            patched.setattr(_LoopThread, "start", begin_late)
            ended = ends_within(bound_s, lambda: make(user))
        assert isinstance(ended.error, LockUnavailable)
