"""Guards in use: who may stand beside whom, races between starts, leases that end, and what a lost one stops."""

import asyncio
import threading
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from sqlalchemy import func, make_url, select, text
from sqlalchemy.util import await_only

from stockade.core import Busy, Guard, GuardKind
from stockade.devservers.tcp_proxy import TcpProxy
from stockade.shop.model.resources import SHOP_RESOURCES
from stockade.store import Database, SqlStore, guards_in_use, registration
from stockade.store.guards_in_use import GuardRefused, Use
from stockade.store.registration import Registration
from stockade.store.schema.tables import guards_in_use as table
from tests.store.commands import Take, rid
from tests.store.conftest import opened, soon, stocked
from tests.threads import Running

LEASE_S = 1.0  # a live process renews it in time on a busy machine, too
NO_LEASE = 0.3  # seconds: what a dead process's lease takes to end
ROWS = Use("sequencer", "row", "composes")
VERSIONS = Use("optimistic", "version", "composes")
ALONE = Use("in-process", "none", "alone:1")
FENCE = Use("redis-pubsub", "fence", "redis-pubsub:fence:1")
SOLD = Use("unprotected", "none", "unprotected:none", overselling=True)


@pytest.fixture
async def url(database_url):
    """A migrated database of each kind."""
    async with opened(database_url):
        yield database_url


@dataclass
class Clock:
    """A clock that the test moves: what a process that was paused finds when it wakes."""

    now_s: float = 1_000.0

    def __call__(self):
        return self.now_s


@asynccontextmanager
async def process(url, use, lease_s=15.0, *, unguarded=False, clock=None):
    """What one process has: a connection of its own and its registration."""
    database = await Database.open(url, pool_size=1)
    mine = Registration(database, lease_s, **({"clock": clock} if clock else {}))
    try:
        await mine.open(use, unguarded=unguarded)
        yield mine
    finally:
        await mine.close()
        await database.close()


def dies(mine):
    """No heartbeat any more, and nobody removes the row: what a kill leaves."""
    mine._heartbeat.cancel()


async def rows(url):
    """How many processes are registered."""
    database = await Database.open(url, pool_size=1)
    try:
        return await database.read(lambda c: c.execute(select(func.count()).select_from(table)).scalar_one())
    finally:
        await database.close()


@pytest.mark.parametrize(
    ("first", "second", "right"),
    [
        (ROWS, ROWS, True),
        (ROWS, VERSIONS, True),
        (FENCE, FENCE, True),
        (SOLD, SOLD, True),
        (SOLD, ALONE._replace(overselling=True), True),
        (ROWS, ALONE, False),
        (ALONE, ROWS, False),
        (ALONE, ALONE._replace(compatibility="alone:2"), False),
        (FENCE, FENCE._replace(compatibility="redis-pubsub:fence:2"), False),
        (FENCE, VERSIONS, False),
        (ROWS, SOLD, False),
        (SOLD, ROWS, False),
    ],
)
async def test_what_may_stand_beside_what(tmp_path, first, second, right):
    """Guards that compose, and the same one with the same parameters; a refusal names process and strategy."""
    url = f"sqlite:///{tmp_path / 'shop.sqlite'}"
    async with opened(url), process(url, first):
        if right:
            async with process(url, second):
                assert await rows(url) == 2
        else:
            with pytest.raises(GuardRefused) as refused:
                async with process(url, second):
                    pass
            assert guards_in_use.process_name() in str(refused.value)
            assert f"{first.strategy} (guard {first.guard})" in str(refused.value)
            assert "wait 15 s" in str(refused.value)
    assert await rows(url) == 0


async def test_a_stop_lets_another_control_start_at_once(url):
    """On each database the row is gone when the process has stopped."""
    async with process(url, ALONE):
        with pytest.raises(GuardRefused):
            async with process(url, ROWS):
                pass
    async with process(url, ROWS):
        assert await rows(url) == 1


async def test_the_lease_of_a_dead_process_ends(url):
    """Without heartbeats its row stops counting after the lease, by the database's clock; not before."""
    async with process(url, ALONE, NO_LEASE) as dead:
        dies(dead)
        async with asyncio.timeout(20):
            while True:
                try:
                    async with process(url, ROWS):
                        break
                except GuardRefused:
                    continue
        assert await rows(url) == 0


async def test_a_live_process_keeps_its_row(url):
    """Heartbeats renew the lease: long after its first end the other strategy is still refused."""
    async with process(url, ALONE, LEASE_S) as alive:
        began = alive._valid_until_s
        async with asyncio.timeout(20):
            while alive._valid_until_s < began + 2 * LEASE_S:
                with pytest.raises(GuardRefused):
                    async with process(url, ROWS):
                        pass


def race(url, monkeypatch, turn):
    """Start two processes that exclude each other, both past their look at the table if anything lets them."""
    met, refuse, taken = threading.Barrier(2), guards_in_use.refuse_beside, []
    monkeypatch.setattr(guards_in_use, "ADVISORY_LOCK", turn)

    def slow(*arguments):
        refuse(*arguments)
        try:
            met.wait(1)
        except threading.BrokenBarrierError:
            return  # the other one waits for its turn: that is the protection

    monkeypatch.setattr(guards_in_use, "refuse_beside", slow)

    async def start(use):
        database = await Database.open(url, pool_size=1)
        try:
            await guards_in_use.GuardsInUse(database, 15.0, 10.0).register(rid(use.strategy), use, "host:1")
            taken.append(use)
        except GuardRefused:
            return
        finally:
            await database.close()

    threads = [Running(lambda each=use: asyncio.run(start(each))) for use in (ALONE, ROWS)]
    for thread in threads:
        thread.result()
    return len(taken)


async def test_of_two_starts_at_once_one_is_refused(url, monkeypatch):
    """On each database the second start looks only when the first has written its row."""
    assert await asyncio.to_thread(race, url, monkeypatch, guards_in_use.ADVISORY_LOCK) == 1


async def test_without_taking_turns_both_start(server_database, monkeypatch):
    """The control: without the lock both look at an empty table."""
    async with opened(server_database):
        assert await asyncio.to_thread(race, server_database, monkeypatch, ()) == 2


@dataclass
class Paused:
    """A process that registered, then slept beyond its lease while another strategy started."""

    store: SqlStore
    clock: Clock = field(default_factory=Clock)


@asynccontextmanager
async def overtaken(url, use, *, unguarded):
    """The sleeper's store, and the newcomer in place."""
    clock = Clock()
    async with opened(url) as database, process(url, use, NO_LEASE, unguarded=unguarded, clock=clock) as mine:
        await stocked(database, "s")
        dies(mine)
        store = SqlStore(database, SHOP_RESOURCES, permit=mine)
        async with asyncio.timeout(20):
            while True:
                try:
                    async with process(url, ROWS if use is ALONE else ALONE):
                        yield Paused(store, clock)
                        return
                except GuardRefused:
                    continue


async def sell(store, guard, number=1):
    """One unit; its answer."""
    (answer,) = await store.transact([Take(rid("sale", number))], guard, deadline=soon())
    return answer


@pytest.mark.parametrize(("use", "guard"), [(ALONE, Guard.NONE), (ROWS, Guard.ROW)], ids=["in-process", "sequencer"])
async def test_who_was_overtaken_writes_no_more(database_url, use, guard):
    """Awake again, it asks before its first command, finds another strategy, and answers 503; the newcomer goes on."""
    async with overtaken(database_url, use, unguarded=use is ALONE) as paused:
        paused.clock.now_s += 10
        for number in range(2):
            answer = await sell(paused.store, guard, number)
            assert isinstance(answer, Busy)
            assert answer.code == "NOT_READY"
        assert "is not right beside" in paused.store._permit.refused


async def test_a_transaction_that_was_overtaken_is_not_committed(database_url):
    """Its own clock says nothing yet, as if the pause came later: SQLite and MariaDB find the row gone."""
    async with overtaken(database_url, ALONE, unguarded=True) as paused:
        if paused.store.database.dialect.name == "postgres":
            pytest.skip("there the newcomer waits for the transaction")
        answer = await sell(paused.store, Guard.NONE)
        assert isinstance(answer, Busy)


async def test_without_holding_the_row_it_is(database_url):
    """The control: the same transaction commits under the old strategy when nothing looks at the row."""
    async with overtaken(database_url, ALONE, unguarded=False) as paused:
        assert (await sell(paused.store, Guard.NONE)).accepted


async def newcomer_meets_a_transaction(url, *, unguarded):
    """What a newcomer is refused with while a transaction of a dead process has written and not committed."""
    async with opened(url) as database, process(url, ALONE, NO_LEASE, unguarded=unguarded) as mine:
        await stocked(database, "s")
        store, saved, over = SqlStore(database, SHOP_RESOURCES, permit=mine), asyncio.Event(), asyncio.Event()

        def hold(point):
            if point == "saved":
                saved.set()
                await_only(over.wait())

        store._steps.checkpoint = hold
        dies(mine)
        sale = asyncio.create_task(sell(store, Guard.NONE))
        await saved.wait()
        refused = await asyncio.wait_for(starts(url), 30)
        over.set()
        await sale
        return refused


async def test_a_newcomer_waits_for_writers(server_database):
    """A transaction that has begun to write ends before another strategy starts, or the start is given up."""
    assert isinstance(await newcomer_meets_a_transaction(server_database, unguarded=True), Busy)


async def test_without_waiting_for_them_it_starts_beside_them(server_database, monkeypatch):
    """The control: with neither lock the newcomer starts while the old strategy can still commit."""
    monkeypatch.setattr(guards_in_use.GuardsInUse, "_wait_for_writers", lambda self, connection: None)
    assert await newcomer_meets_a_transaction(server_database, unguarded=False) is None


async def starts(url):
    """Start another strategy: what it is refused with once the lease is over, None when it starts."""
    async with asyncio.timeout(20):
        while True:
            try:
                async with process(url, ROWS, lease_s=1.0):
                    return None
            except GuardRefused:
                continue
            except Busy as busy:
                return busy


@pytest.mark.postgres
async def test_a_heartbeat_survives_a_database_that_is_away(servers, monkeypatch):
    """While it is away commands are Busy; when it is back the next command renews, and no restart is needed."""
    monkeypatch.setattr(registration, "PAUSE_S", 0.05)
    server = servers.postgres()
    async with opened(server.url) as database, process(server.url, ALONE, 1.0, unguarded=True) as mine:
        await stocked(database, "s")
        store = SqlStore(database, SHOP_RESOURCES, permit=mine)
        assert (await sell(store, Guard.NONE, 1)).accepted
        server.kill()
        async with asyncio.timeout(20):
            while not mine.lapsed:
                await asyncio.sleep(0)
        assert isinstance(await sell(store, Guard.NONE, 2), Busy)
        server.restart()
        async with asyncio.timeout(20):
            while not getattr(answer := await sell(store, Guard.NONE, 3), "accepted", False):
                assert isinstance(answer, Busy)


@pytest.mark.postgres
@pytest.mark.parametrize(("shares", "heals"), [(registration.TRY_SHARES, True), ((1.0,), False)])
async def test_a_heartbeat_leaves_a_connection_that_went_silent(postgres_database, monkeypatch, shares, heals):
    """A firewall forgets the connection: the next try renews on a fresh one in time; the control has one try."""
    monkeypatch.setattr(registration, "TRY_SHARES", shares)
    place = make_url(postgres_database)
    proxy = TcpProxy(place.port)
    await proxy.open()
    try:
        async with opened(postgres_database):
            url = place.set(port=proxy.port).render_as_string(hide_password=False)
            async with process(url, ROWS, 6.0) as mine:
                for end in proxy.ends:
                    end._forward = lambda data: None  # only connections that are open now go silent
                if heals:
                    await mine.renew()
                    assert not mine.lapsed
                else:
                    with pytest.raises(Busy):
                        await mine.renew()
    finally:
        await proxy.close()


@pytest.mark.postgres
@pytest.mark.parametrize(("wait_s", "bounded"), [(0.3, True), (30.0, False)])
async def test_a_command_waits_for_its_registration_until_its_deadline(postgres_database, wait_s, bounded):
    """With a long lease a renewal may go on for longer than a command; the control has a later deadline."""
    place = make_url(postgres_database)
    proxy = TcpProxy(place.port)
    await proxy.open()
    clock = Clock()
    try:
        async with opened(postgres_database) as database:
            await stocked(database, "s")
            url = place.set(port=proxy.port).render_as_string(hide_password=False)
            async with process(url, ROWS, 60.0, clock=clock) as mine:
                proxy.swallow()
                clock.now_s += 60
                store = SqlStore(database, SHOP_RESOURCES, permit=mine)
                sale = asyncio.create_task(store.transact([Take(rid("sale", 1))], Guard.ROW, deadline=soon(wait_s)))
                done, _ = await asyncio.wait({sale}, timeout=wait_s + 0.5 if bounded else 0.8)
                assert bool(done) == bounded
                if bounded:
                    (answer,) = sale.result()
                    assert (type(answer), answer.code) == (Busy, "DEPENDENCY_DOWN")
                proxy.passing = True
                proxy.retarget(place.port)
                assert len(await sale) == 1
    finally:
        await proxy.close()


async def test_a_user_without_rights_hears_which(postgres_database):
    """A role that may not write the table gets one line, not a traceback."""
    async with opened(postgres_database) as database:
        role = ("DROP ROLE IF EXISTS reader", "CREATE ROLE reader LOGIN", "GRANT SELECT ON guards_in_use TO reader")
        for statement in role:
            await database.transaction(lambda c, s=statement: c.execute(text(s)), deadline=soon())
        try:
            own = database.url.set(username="reader").render_as_string(hide_password=False)
            with pytest.raises(Exception, match=r"guard cannot be registered.*permission denied"):
                async with process(own, ROWS):
                    pass
        finally:
            for statement in ("DROP OWNED BY reader", "DROP ROLE reader"):
                await database.transaction(lambda c, s=statement: c.execute(text(s)), deadline=soon())


def test_the_guard_kinds_are_known():
    """Every guard either composes or is one of those that stand alone or beside themselves."""
    assert {kind for kind in GuardKind if Guard(kind).composes} == {
        GuardKind.ROW,
        GuardKind.VERSION,
        GuardKind.DELTA,
        GuardKind.SERIALIZABLE,
    }
