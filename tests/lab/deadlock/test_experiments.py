"""The experiments of the deadlock bench: each control deadlocks, each cure does not."""

import asyncio
from dataclasses import replace
from types import SimpleNamespace

import pytest

from stockade.lab.deadlock import experiments, pool
from stockade.lab.deadlock.all_or_nothing import AllOrNothing
from stockade.lab.deadlock.arms import ARMS, NEVER_S
from stockade.lab.deadlock.crossing import Statement, cross
from stockade.lab.deadlock.duel import Rules, play
from stockade.lab.deadlock.load import Load, judge, take_turns
from stockade.lab.deadlock.one_writer import two_writers
from stockade.lab.deadlock.session import MissingPrivilege
from stockade.lab.errors import LabError

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
    async with AllOrNothing(redis_url, "stockade:lab:test") as redis:
        counted = await take_turns(url, replace(rows, count=8), arms, Load(workers=4, seconds=0.15, turns=1), redis)
    findings = [judge(arm, counted[arm.name]) for arm in arms]
    assert all(finding.held for finding in findings), findings
    control, cure = counted["row by row, as asked"], counted["row by row, sorted"]
    assert control.wasted > 0
    assert cure.wasted == 0
    assert not judge(arms[0], cure).held, "a control without a deadlock proves nothing"


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
