"""The experiments of the deadlock bench: each control deadlocks, each cure does not."""

import asyncio
from collections import Counter
from dataclasses import replace
from types import SimpleNamespace

import pytest

from stockade.drivers.failures import Failure
from stockade.lab.deadlock import experiments, own_store, pool, session
from stockade.lab.deadlock.all_or_nothing import AllOrNothing
from stockade.lab.deadlock.arms import ARMS, NEVER_S
from stockade.lab.deadlock.crossing import Statement, cross
from stockade.lab.deadlock.duel import Duel, Rules, Side, play
from stockade.lab.deadlock.load import Counts, Load, judge, take_turns, turn_of
from stockade.lab.deadlock.one_writer import two_writers
from stockade.lab.deadlock.session import MissingPrivilege
from stockade.lab.deadlock.wait_graph import Wait, WaitGraph
from stockade.lab.errors import LabError
from stockade.lab.targets.target_database import open_target_database
from stockade.shop.migrations import SCHEMA
from tests.databases import CREATED

WAIT_S = 1  # the least that MariaDB counts


async def test_opposite_order_deadlocks_and_one_order_does_not(place):
    """One victim and one commit, with and without locks; the same rows in one order: none."""
    url, rows, observer = place
    watched = rows.database == "postgres"
    duels = await asyncio.gather(
        play(url, rows, observer, (1, 2), Rules(watched=watched)),
        play(url, rows, observer, (3, 4), Rules(watched=watched, optimistic=True)),
        play(url, rows, observer, (5, 6), Rules(sorted=True)),
        play(url, rows, observer, (7, 8), Rules(sorted=True, optimistic=True)),
    )
    ends = [sorted(side.outcome for side in duel.sides) for duel in duels]
    assert ends[:2] == [["committed", "deadlock"]] * 2, "optimistic writes of two rows deadlock as locks do"
    assert ends[2:] == [["committed", "committed"], ["committed", "conflict"]]
    if watched:
        assert duels[0].graph.circular
        assert not duels[2].graph.circular


async def _without_detector(url, rows, observer):
    rules = Rules(lock_wait_s=WAIT_S, detector_s=NEVER_S if rows.database == "postgres" else None)
    late = replace(rules, staggered=True)
    return await asyncio.gather(
        *(play(url, rows, observer, (n, n + 1), late if n > 4 else rules) for n in (1, 3, 5, 7))
    )


def _held_to_its_time(duels):
    for duel in duels:
        assert duel.failed >= 1
        assert duel.graph.circular
        for side in duel.sides:
            assert side.outcome in ("committed", "timeout")
            assert side.outcome == "committed" or WAIT_S - 0.1 <= side.waited_s <= WAIT_S + 1


async def test_without_a_detector_the_time_out_ends_it_in_time(place):
    """PostgreSQL, by a setting of the session; a MariaDB that others use keeps its detector: one victim at once."""
    url, rows, observer = place
    if rows.database == "postgres":
        _held_to_its_time(await _without_detector(url, rows, observer))
        return
    duel = await play(url, rows, observer, (1, 2), Rules(lock_wait_s=WAIT_S, watched=False))
    assert sorted(side.outcome for side in duel.sides) == ["committed", "deadlock"]


@pytest.mark.mariadb
async def test_innodb_shows_both_waits_when_its_detector_is_off(servers):
    """A private MariaDB whose detector is off: both arrows, and the time-out ends it."""
    from stockade.lab.deadlock.rows import open_rows
    from stockade.lab.deadlock.wait_graph import open_observer

    url = servers.mariadb(innodb_deadlock_detect="OFF").url
    async with open_rows(url, "mariadb", 16) as rows, open_observer(url, "mariadb") as observer:
        _held_to_its_time(await _without_detector(url, rows, observer))


async def test_one_statement_of_several_rows_locks_in_the_order_of_its_plan(place):
    """By two indexes: a deadlock. ORDER BY helps on PostgreSQL; InnoDB needs the plan to read the primary key."""
    url, rows, observer = place
    innodb = rows.database != "postgres"
    assert (await cross(url, rows, observer, Statement(ordered=False, primary=False)))[0] == 1
    assert (await cross(url, rows, observer, Statement(ordered=True, primary=False)))[0] == int(innodb)
    if innodb:
        assert (await cross(url, rows, observer, Statement(ordered=True, primary=True)))[0] == 0


@pytest.mark.redis
async def test_under_load_controls_deadlock_and_cures_do_not(place, redis_url):
    """Random baskets: as asked, sorted, all or nothing in Redis; each judged as the bench does."""
    url, rows, _ = place
    wanted = ("row by row, as asked", "row by row, sorted", "all or nothing, Redis", "row by row, NOWAIT")
    arms = [arm for arm in ARMS if arm.name in wanted]
    load = Load(workers=4, seconds=0.15, turns=1)
    async with AllOrNothing(redis_url, "stockade:lab:test") as redis:
        ways = {arm.name: turn_of(url, replace(rows, count=8), arm, load, redis) for arm in arms}
        counted = await take_turns(ways, load)
    findings = [judge(arm.name, arm.removed, arm.expected, counted[arm.name]) for arm in arms]
    assert all(finding.held for finding in findings), findings
    control, cure = counted["row by row, as asked"], counted["row by row, sorted"]
    assert control.wasted > 0
    assert cure.wasted == 0
    first = arms[0]
    assert not judge(first.name, first.removed, first.expected, cure).held, (
        "a control without a deadlock proves nothing"
    )


@pytest.mark.postgres
async def test_orders_of_the_shop_take_part(postgres_database):
    """As asked they deadlock, sorted they do not, in one turn each; judged as the ways in bare SQL are."""
    await CREATED.migrate(postgres_database, SCHEMA)
    async with open_target_database(postgres_database, 20) as target:
        names = [name for name, *_ in own_store.WAYS]
        for seconds in (0.15, 0.6, 2.4):  # on a busy machine no two of them may meet in a short time
            load = Load(workers=4, seconds=seconds, turns=1)
            counted = await take_turns({name: own_store.turn_of(target, load, name) for name in names}, load)
            findings = [judge(*way, counted[way[0]]) for way in own_store.WAYS]
            if all(finding.held for finding in findings):
                break
    assert all(finding.held for finding in findings), findings
    assert counted[own_store.SORTED].done > 0
    assert not judge(*own_store.WAYS[0], counted[own_store.SORTED]).held


async def test_every_way_has_its_turn():
    """One turn of each after the other, and then again; each turn with other baskets."""
    played = []

    def way(name):
        async def play(seed, counts):
            played.append((name, seed))
            counts.done += 1

        return play

    counted = await take_turns({name: way(name) for name in "ab"}, Load(turns=2, seed=7))
    assert played == [("a", 7), ("b", 7), ("a", 8), ("b", 8)]
    assert [counts.done for counts in counted.values()] == [2, 2]


@pytest.mark.parametrize("refusal", ["", "only a superuser"])
async def test_all_ways_of_a_run_take_turns(monkeypatch, refusal):
    """Those in bare SQL, the one without a detector, and the orders; one that cannot be played is left out by name."""
    taken = []

    async def refused(_target):
        return refusal

    async def turns(ways, _load):
        taken.append(set(ways))
        return {name: Counts() for name in ways}

    monkeypatch.setattr(experiments, "_refusal", refused)
    monkeypatch.setattr(experiments, "take_turns", turns)
    result, target = experiments.Results("postgres"), SimpleNamespace(name="postgres", url="")
    await experiments._loads(target, SimpleNamespace(database="postgres"), experiments.Setting(), result)
    bare = {arm.name for arm in ARMS if "postgres" in arm.databases and not arm.needs_redis}
    lost = {arm.name for arm in ARMS if refusal and not arm.detector}
    assert taken == [bare - lost | {own_store.AS_ASKED, own_store.SORTED}]
    assert {each.name for each in result.findings} == taken[0]
    assert lost == {left_out.partition(": ")[0] for left_out in result.left_out} - {"all or nothing, Redis"}


@pytest.mark.parametrize(("timeouts", "held"), [(0, True), (1, False)])
def test_a_cure_through_the_store_has_no_time_outs(timeouts, held):
    """It is held to what the ways in bare SQL are held to."""
    counts = Counts(done=1, failures=Counter({Failure.TIMEOUT: timeouts}))
    assert judge(*own_store.WAYS[1], counts).held is held


CIRCLE, CHAIN = ((1, 2), (2, 1)), ((1, 2),)


def graph_of(*waits):
    """What the database said."""
    return WaitGraph("test", tuple(Wait(waiter, holder, "row") for waiter, holder in waits), {1: "A", 2: "B"})


@pytest.mark.parametrize(
    ("waits", "victims", "held"),
    [(CIRCLE, 1, True), (CHAIN, 1, False), ((), 1, True), (CHAIN, 0, True), (CIRCLE, 0, False)],
    ids=["a deadlock", "a victim without a circle", "nothing was seen", "no deadlock", "a circle without a victim"],
)
def test_the_graph_has_a_part_in_the_verdict(waits, victims, held):
    """A control that is no circle of waits is no deadlock, and a cure that is one is none."""
    sides = (Side("deadlock" if victims else "committed", 0.1), Side("committed", 0.1))
    finding = experiments._dueled("opposite order", "", Duel(sides, graph_of(*waits)), victims)
    assert finding.held is held
    assert ("who waits for whom" in finding.observed) is not held


@pytest.mark.parametrize(("waits", "held"), [(CIRCLE, True), (CHAIN, False)])
def test_a_time_out_without_a_circle_proves_nothing(waits, held):
    """The pairs that only a time-out ends wait for each other."""
    duel = Duel((Side("timeout", 1.0), Side("committed", 0.1)), graph_of(*waits))
    finding = experiments._timed_out("time-out only", [duel], 1.0)
    assert finding.held is held
    assert ("in a circle" in finding.observed) is not held


class Pending:
    """A session whose statements about rows wait for ever; it notes what ran when it was closed."""

    number = 1

    def __init__(self):
        self.running, self.at_close = 0, []

    async def run(self, sql):
        if sql in ("BEGIN", "ROLLBACK"):
            return 0
        self.running += 1
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)  # a driver cancels its statement at the server
            self.running -= 1

    async def close(self):
        self.at_close.append(self.running)


async def test_no_session_is_closed_under_a_statement(monkeypatch):
    """The waits that must come do not: the statements are cancelled and have ended before their sessions are closed."""
    sessions = [Pending(), Pending(), Pending()]
    opened = iter(sessions)
    sessions[0].run = lambda _sql: asyncio.sleep(0)  # it holds the row in the middle

    async def open_session(_url, **_):
        return next(opened)

    async def no_waits(*_):
        await asyncio.sleep(0)
        assert [each.running for each in sessions] == [0, 1, 1]
        raise LabError("2 sessions should wait")

    monkeypatch.setattr(session, "open_session", open_session)
    rows = SimpleNamespace(database="mariadb", lock=lambda *_: "lock", lock_all=lambda *_, **__: "lock all")
    with pytest.raises(LabError, match="should wait"):
        await cross("", rows, SimpleNamespace(await_waits=no_waits), Statement(ordered=False, primary=False))
    assert [each.at_close for each in sessions] == [[0], [0], [0]]


async def test_works_that_run_at_once_have_ended_before_an_error_is_raised():
    """Their sessions are closed by whoever gets it; the control is a bare `gather`, which leaves one running."""
    pending = Pending()

    async def fails():
        await asyncio.sleep(0)
        raise LabError("the server has gone")

    with pytest.raises(LabError, match="has gone"):
        await session.all_of([pending.run("lock"), fails()])
    assert pending.running == 0
    bare = asyncio.gather(left := asyncio.create_task(pending.run("lock")), fails())
    with pytest.raises(LabError, match="has gone"):
        await bare
    assert pending.running == 1
    await session.end([left])


async def test_a_session_that_cannot_be_closed_keeps_no_other_open(monkeypatch):
    """All are closed, and the error is raised."""
    sessions = [Pending(), Pending(), Pending()]
    opened = iter(sessions)

    async def open_session(_url, **_):
        return next(opened)

    async def fails():
        raise TimeoutError("no answer")

    monkeypatch.setattr(session, "open_session", open_session)
    sessions[0].close = fails
    with pytest.raises(TimeoutError, match="no answer"):
        async with session.open_sessions("", 3):
            pass
    assert [each.at_close for each in sessions[1:]] == [[0], [0]]


async def test_all_or_nothing_in_redis_takes_no_part(redis_url):
    """One name that is taken keeps the other free; a stranger's token frees nothing."""
    async with AllOrNothing(redis_url, "stockade:lab:test") as redis:
        assert await redis.take((1, 2), "a")
        assert not await redis.take((2, 3), "b")
        assert await redis.take((3,), "c")
        await redis.give_back((1, 2), "b")
        assert not await redis.take((1,), "b")
        await redis.give_back((1, 2), "a")
        assert await redis.take((1, 2), "b")


@pytest.mark.postgres
async def test_a_second_connection_from_the_same_pool_is_a_deadlock(postgres_database):
    """0 of 8 callers finish; 8 of 8 that lock first and then have one transaction."""
    control, cure = await pool.second_connection(postgres_database), await pool.lock_first(postgres_database)
    assert (control.figures["finished"], cure.figures["finished"]) == (0, pool.CALLERS)
    assert control.held
    assert cure.held


@pytest.mark.parametrize("error", [LabError("2 sessions should wait"), MissingPrivilege("only a superuser")])
async def test_only_a_missing_privilege_leaves_an_experiment_out(monkeypatch, error):
    """A control whose waits did not come is an error, and never counts as left out."""

    async def fails(*_):
        raise error

    monkeypatch.setattr(experiments, "play", fails)
    result, target = experiments.Results("postgres"), SimpleNamespace(name="postgres", url="")
    playing = experiments._time_outs(target, None, None, experiments.Setting(), result)
    if isinstance(error, MissingPrivilege):
        await playing
        assert result.left_out == ["time-out without a detector: only a superuser"]
    else:
        with pytest.raises(LabError, match="should wait"):
            await playing


def test_sqlite_refuses_the_second_writer(tmp_path):
    """Nobody holds a row and waits: the second writer does not begin, or is refused at its first write."""
    assert all(finding.held for finding in two_writers(tmp_path / "one.sqlite"))


async def test_sqlite_has_no_sessions_that_wait():
    """One clear error."""
    from stockade.lab.deadlock.session import open_session

    with pytest.raises(LabError, match="SQLite"):
        await open_session("sqlite:////tmp/none.sqlite")
