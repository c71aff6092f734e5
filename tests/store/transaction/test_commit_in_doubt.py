"""Lost replies, killed connections, cancellation: the request id shows what happened."""

import asyncio

import pytest
from sqlalchemy import text

from stockade.core import Accepted, Busy, Guard, GuardKind, Key, LockInTransaction, Unknown
from stockade.locks import MemoryLocks
from tests.store.commands import Take, rid
from tests.store.conftest import opened, soon, stocked
from tests.store.helpers import Lossy, figures

GUARDS = [
    *(Guard.ROW, Guard.VERSION, Guard.TIMESTAMP, Guard.DELTA, Guard.SERIALIZABLE, Guard.ADVISORY),
    Guard(GuardKind.FENCE, {Key("stock", "s"): (1, "holder")}),
]


@pytest.mark.parametrize("guard", GUARDS, ids=lambda guard: guard.kind.value)
@pytest.mark.parametrize("loss", ["before", "after"])
async def test_a_lost_commit_reply_is_resolved_by_the_request_id(store, guard, loss):
    """Whether the commit took effect or not, the order is there exactly once, and the caller gets its outcome."""
    if not store.supports(guard.kind):
        pytest.skip(f"{store.database.dialect.name} has no {guard.kind.value}")
    store.database._backend = Lossy(store.database._backend, [loss])
    (answer,) = await store.transact([Take(rid(1))], guard, deadline=soon())
    assert isinstance(answer, Accepted)
    assert answer.replayed == (loss == "after")
    assert store.stats.unknown == 1
    assert await figures(store) == (19, 2, 2, 19)


async def test_a_lost_batch_is_resolved_for_each_command(store):
    """Every order of a batch whose reply was lost gets its own recorded outcome."""
    store.database._backend = Lossy(store.database._backend, ["after"])
    answers = await store.transact([Take(rid(n)) for n in range(25)], Guard.ROW, deadline=soon())
    assert [answer.accepted for answer in answers] == [True] * 20 + [False] * 5
    assert await figures(store) == (0, 21, 21, 0)


async def test_unknown_is_an_answer_when_time_runs_out(store):
    """Replies that stay lost until the deadline end as Unknown; a later repetition gets the outcome."""
    store.database._backend = Lossy(store.database._backend, ["after"] + ["before"] * 1000)
    (answer,) = await store.transact([Take(rid(1))], Guard.ROW, deadline=soon(0.3))
    assert isinstance(answer, Unknown)
    store.database._backend.losses.clear()
    (again,) = await store.transact([Take(rid(1))], Guard.ROW, deadline=soon())
    assert again.replayed
    assert await figures(store) == (19, 2, 2, 19)


async def test_a_connection_killed_before_the_commit_is_retried(server_database):
    """The server ends the connection between save and commit: the order is decided anew, once."""
    async with opened(server_database) as database:
        store = await stocked(database, "s")
        postgres, killed, real = database.dialect.name == "postgres", [], store._steps.write

        def write_then_die(connection, batch, write_set, guard):
            written = real(connection, batch, write_set, guard)
            if not killed:
                me = "pg_backend_pid()" if postgres else "CONNECTION_ID()"
                pid = connection.execute(text(f"SELECT {me}")).scalar_one()
                killed.append(pid)
                connection.execute(text(f"SELECT pg_terminate_backend({pid})" if postgres else f"KILL {pid}"))
            return written

        store._steps.write = write_then_die
        (answer,) = await store.transact([Take(rid(1))], Guard.ROW, deadline=soon())
        assert isinstance(answer, Accepted)
        assert killed
        assert await figures(store) == (19, 2, 2, 19)


async def test_cancelled_callers_leave_no_half_orders(store):
    """Twenty callers cancelled at different moments: what was decided is whole, and a repetition gets it."""
    for n in range(20):
        task = asyncio.create_task(store.transact([Take(rid(n))], Guard.ROW, deadline=soon()))
        for _ in range(n):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    answers = [(await store.transact([Take(rid(n))], Guard.ROW, deadline=soon()))[0] for n in range(20)]
    assert all(answer.accepted for answer in answers)
    assert await figures(store) == (0, 21, 21, 0)
    assert not store.database._writers.locked()


class Cancelling:
    """A backend whose caller is cancelled when the commit has taken effect, before it has the reply."""

    def __init__(self, backend, caller):
        self._backend, self._caller = backend, caller

    def __getattr__(self, name):
        return getattr(self._backend, name)

    async def write(self, body, run):
        result = await self._backend.write(body, run)
        if self._caller:
            self._caller.pop().cancel()
            await asyncio.sleep(0)  # here it is raised
        return result


@pytest.mark.parametrize("guard", GUARDS, ids=lambda guard: guard.kind.value)
@pytest.mark.parametrize("point", ["begin", "loaded", "saved", "committed"])
async def test_a_caller_cancelled_at_each_step_leaves_all_or_nothing(store, guard, point):
    """A batch cancelled there: nothing stays locked or half written, and asking again sells each unit once."""
    if not store.supports(guard.kind):
        pytest.skip(f"{store.database.dialect.name} has no {guard.kind.value}")
    loop, caller = asyncio.get_running_loop(), []
    commands = [Take(rid(n)) for n in range(5)]

    def cancel(reached):
        if reached == point and caller:
            loop.call_soon_threadsafe(caller.pop().cancel)

    task = asyncio.create_task(store.transact(commands, guard, deadline=soon()))
    caller.append(task)
    backend = store.database._backend
    if point == "committed":
        store.database._backend = Cancelling(backend, caller)
    else:
        store._steps.checkpoint = cancel
    (ended,) = await asyncio.gather(task, return_exceptions=True)
    store.database._backend, store._steps.checkpoint = backend, None
    assert not caller  # the step was reached
    assert isinstance(ended, asyncio.CancelledError)
    again = await store.transact(commands, Guard.ROW, deadline=soon(2))
    assert all(answer.accepted for answer in again)
    assert len({answer.replayed for answer in again}) == 1
    if point == "committed":
        assert again[0].replayed
    assert await figures(store) == (15, 6, 6, 15)


async def test_no_lock_inside_a_transaction(store):
    """Lock, transaction, commit, release: a lock requested inside a transaction is refused, with the reason."""
    locks, refused = MemoryLocks(), []

    def take_a_lock(point):
        if point in ("begin", "committed"):  # no transaction is open there
            return
        try:
            locks.lock("stock:s").acquire()
        except LockInTransaction as error:
            refused.append(str(error))

    store._steps.checkpoint = take_a_lock
    (answer,) = await store.transact([Take(rid(1))], Guard.ROW, deadline=soon())
    assert isinstance(answer, Accepted)
    assert refused
    assert "Take the lock first" in refused[0]
    assert locks.lock("stock:s").acquire()  # outside it is granted: the refusal came from the transaction
    locks.close()


async def test_an_unreachable_server_is_named(tmp_path):
    """A server that is not there: Busy with DEPENDENCY_DOWN, not a traceback of a driver."""
    from stockade.store import Database

    for url in ("postgresql://nobody@127.0.0.1:1/x", "mariadb://nobody@127.0.0.1:1/x"):
        with pytest.raises(Busy) as caught:
            await Database.open(url)
        assert caught.value.code == "DEPENDENCY_DOWN"


async def test_urls_name_what_is_supported():
    """A typing error in the URL is answered with what is possible."""
    from stockade.store import Database

    with pytest.raises(ValueError, match="supported: sqlite, postgresql, mariadb, mysql"):
        await Database.open("oracle://x/y")
    with pytest.raises(ValueError, match="not a database URL"):
        await Database.open("nonsense")
    with pytest.raises(ValueError, match="pool_size must be at least 1"):
        await Database.open("sqlite://", pool_size=0)
