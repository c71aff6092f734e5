"""The audit of a large shop: it ends in time, rests in between, shows how far it is, and leaves no setting behind."""

import asyncio
import time
from functools import partial

import pytest
from sqlalchemy import text
from typer.testing import CliRunner

from stockade.cli import app
from stockade.core import Busy
from stockade.shop.audit import RULES, LongAudit
from stockade.shop.audit import long_audit as module
from stockade.shop.audit.rules import SCREENS
from stockade.shop.audit.session import bounded
from tests.shop.lived_in import lived_in

SHOP, _ = lived_in()
LIMIT_S = 0.5
FAR_S = 20.0  # far from the limit, and less than the statement would take
ENDLESS = {
    "postgresql": "SELECT pg_sleep(60)",
    "mariadb": "SELECT sum(a.seq * b.seq) FROM seq_1_to_1000000 AS a, seq_1_to_1000000 AS b",
    "sqlite": "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c) SELECT count(*) FROM c",
}
SETTINGS = {
    "postgresql": "SELECT current_setting('statement_timeout'), current_setting('work_mem'),"
    " current_setting('max_parallel_workers_per_gather')",
    "mariadb": "SELECT @@SESSION.sort_buffer_size, 0",
    "sqlite": "SELECT 1",
}


def endless(conn):
    """A statement that does not end by itself."""
    return conn.execute(text(ENDLESS[conn.dialect.name])).all()


def settings(conn):
    """What an audit sets in its session."""
    return tuple(conn.execute(text(SETTINGS[conn.dialect.name])).one())


async def test_a_statement_ends_at_the_limit(database):
    """The server stops it: the caller receives an error, and the settings of the connection are restored."""

    def too_long(conn):
        with bounded(conn, LIMIT_S):
            endless(conn)

    before = await database.read(settings)
    began_s = time.monotonic()
    with pytest.raises(Busy, match=r"time|did not answer") as told:  # of the server, or given up in the same moment
        await database.read(too_long, timeout_s=LIMIT_S)
    assert told.value.code == "DEPENDENCY_DOWN"
    assert time.monotonic() - began_s < FAR_S
    assert await database.read(settings) == before


async def test_hardly_any_time_left_is_no_missing_limit(database):
    """Less than one of the server's units is one of them: to the servers 0 means that there is no limit."""

    def too_long(conn):
        with bounded(conn, 0.0001):
            endless(conn)

    with pytest.raises(Busy, match="time"):
        await database.read(too_long, timeout_s=2.0)


async def test_the_settings_are_there_meanwhile(database):
    """The control of the one above: inside they differ, behind they do not, also within a transaction."""

    def look(conn):
        before = settings(conn)
        with bounded(conn, LIMIT_S):
            inside = settings(conn)
        return before, inside, settings(conn)

    deadline = time.monotonic() + FAR_S
    for before, inside, behind in (await database.read(look), await database.transaction(look, deadline=deadline)):
        assert before == behind
        assert before != inside or "sqlite" in str(database.url)


async def test_all_steps_together_end_at_the_limit(database, monkeypatch):
    """What the steps before have used up is not there for the next one."""
    monkeypatch.setattr(module, "summary", endless)
    began_s = time.monotonic()
    with pytest.raises(Busy):
        await LongAudit(database.read, wait_s=LIMIT_S).run()
    assert time.monotonic() - began_s < FAR_S
    job = LongAudit(database.read, wait_s=LIMIT_S, seconds={"before": LIMIT_S})
    with pytest.raises(Busy, match="did not end within"):
        await job.run()


def test_the_command_ends_with_one_line(tmp_path, monkeypatch):
    """Exit code 2 and one line that says so: whether all is well is not known."""
    monkeypatch.chdir(tmp_path)
    run = partial(CliRunner().invoke, app)
    assert run(["demo"]).exit_code == 0
    monkeypatch.setattr("stockade.shop.audit.LongAudit", partial(LongAudit, wait_s=LIMIT_S))
    monkeypatch.setattr(module, "summary", endless)
    result = run(["audit"])
    assert result.exit_code == 2
    assert result.stderr.startswith("error: ")
    assert len(result.stderr.strip().splitlines()) == 1


class Watched:
    """A database that counts how many steps are at work at once; `sleep` remembers the rests."""

    def __init__(self, database):
        self.database, self.now, self.most, self.rests = database, 0, 0, []

    async def read(self, body, *, timeout_s):
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            return await self.database.read(body, timeout_s=timeout_s)
        finally:
            self.now -= 1

    async def sleep(self, seconds):
        self.rests.append(seconds)


@pytest.mark.parametrize("pace", [0.25, 0.5])
async def test_a_pace_rests_after_every_step(database, keep, monkeypatch, pace):
    """Work and pauses come to the given share, and one step runs at a time."""
    await keep(SHOP)
    watched = Watched(database)
    monkeypatch.setattr(module, "sleep", watched.sleep)
    job = LongAudit(watched.read, pace=pace)
    _, found = await job.run()
    assert found == []
    assert len(watched.rests) == len(job.seconds) > len(SCREENS)
    assert watched.rests == pytest.approx([worked_s * (1 / pace - 1) for worked_s in job.seconds.values()])
    assert watched.most == 1


async def test_without_a_pace_nothing_rests(database, keep, monkeypatch):
    """The control: no rest, and more than one step at a time."""
    await keep(SHOP)
    watched = Watched(database)
    monkeypatch.setattr(module, "sleep", watched.sleep)
    await LongAudit(watched.read).run()
    assert watched.rests == []
    assert watched.most == module.AT_ONCE


async def test_progress_names_every_rule(database, keep):
    """Each rule is named once at least, and what is done never grows less."""
    await keep(SHOP)
    told = []
    await LongAudit(database.read, progress=lambda *step: told.append(step)).run()
    names = {name for names, _, _ in told for name in names.split(", ")}
    assert names == {"summary", *(rule.id for rule in RULES)}
    done = [step[1] for step in told]
    assert done == sorted(done)
    assert {step[2] for step in told} == {len(RULES) + 1}
    assert max(done) < len(RULES) + 1


def test_the_command_shows_its_progress(tmp_path, monkeypatch):
    """`--progress`: lines on standard error that name the rules; without it none where there is no terminal."""
    monkeypatch.chdir(tmp_path)
    run = partial(CliRunner().invoke, app)
    assert run(["demo"]).exit_code == 0
    lines = run(["audit", "--progress"]).stderr.splitlines()
    assert [rule.id for rule in RULES if rule.id not in " ".join(lines)] == []
    assert all(line[0].isdecimal() for line in lines), lines  # a step is one line, however long
    assert max(map(len, lines)) > 80
    assert run(["audit"]).stderr == ""


async def test_a_pace_must_be_a_share():
    """Anything else is refused before a query is made."""
    for pace in (0, -1, 1.01):
        with pytest.raises(ValueError, match="pace"):
            await LongAudit(asyncio.sleep, pace=pace).run()
