"""What runs beside a store: the sweeper, the purge, the relay and jobs of one's own; errors are reported."""

import asyncio

import pytest
from sqlalchemy import func, select

from coupons.application import APPLICATION, ENDED_CAMPAIGNS
from stockade.core import Busy, Outcome
from stockade.service import Background, Handlers, Job, SinkDown, Sweep, open_service
from tests.service.conftest import END_MS, NOW_MS, campaign, give
from tests.waiting import eventually_async


class Reports:
    """Keeps what the jobs report."""

    def __init__(self):
        self.rounds = []

    def __call__(self, done):
        self.rounds.append(done)

    def of(self, job):
        return [each for each in self.rounds if each.job == job]


async def test_due_rows_are_ended_and_events_arrive(database):
    """A campaign whose time is over is closed by the sweeper, and its events reach the sink: each coupon, the end."""
    seen, reports = [], Reports()

    async def see(event):
        seen.append((event.kind, event.key))

    background = Background(sink=Handlers(see), sweeps=[ENDED_CAMPAIGNS], wall_clock_ms=lambda: END_MS, report=reports)
    async with open_service(APPLICATION, database, "pessimistic") as service:  # the sweeper comes after the coupon
        await service.execute(campaign(2))
        await service.execute(give("ann"))
    async with open_service(APPLICATION, database, "pessimistic", background=background):

        async def closed():
            return ("campaign.closed", "campaign:spring") in seen

        await eventually_async(closed)
    assert ("coupon.given", "campaign:spring") in seen
    assert sum(each.counts["closed"] for each in reports.of("close campaigns")) == 1
    assert [each.error for each in reports.rounds if each.error] == []
    assert await database.read(APPLICATION.audit) == []


async def test_old_requests_that_changed_nothing_are_forgotten(database):
    """The purge deletes a refusal after its time, and keeps what gave a coupon."""
    requests, reports = APPLICATION.tables.requests, Reports()
    background = Background(wall_clock_ms=lambda: NOW_MS + 1_001, keep_ms=1_000, report=reports)
    async with open_service(APPLICATION, database, "pessimistic", background=background) as service:
        await service.execute(campaign(1))
        await service.execute(give("ann"))
        await service.execute(give("bob"))  # SOLD_OUT
    async with open_service(APPLICATION, database, "pessimistic", background=background) as service:

        async def left():
            count = select(func.count()).select_from(requests)
            return await service.read(lambda connection: connection.execute(count).scalar_one()) == 2

        await eventually_async(left)


async def test_errors_are_reported_and_the_work_goes_on(small):
    """A job that raises, and a sink that is away, are reported and tried again; the end of the block ends them all."""
    reports, tries = Reports(), []

    async def broken():
        tries.append(1)
        raise RuntimeError("a bug")

    async def away(event):
        raise SinkDown("nobody there")

    jobs = [Job("own", broken, pause_s=0.01)]
    background = Background(sink=Handlers(away), jobs=jobs, report=reports)
    async with open_service(APPLICATION, small, "pessimistic", background=background) as service:
        await service.execute(campaign(1))
        await service.execute(give("ann"))

        async def both():
            return len(tries) > 1 and reports.of("relay")

        await eventually_async(both)
    before = len(tries)
    await asyncio.sleep(0)
    assert len(tries) == before
    assert "a bug" in repr(reports.of("own")[0].error)
    assert "nobody there" in repr(reports.of("relay")[0].error)
    assert [task for task in asyncio.all_tasks() if task.get_name().startswith("stockade-")] == []


async def test_a_command_of_a_sweep_that_fails_is_found_again(small):
    """A sweep counts a command that failed, and the next round repeats it."""
    reports, calls = Reports(), []
    always = Sweep("always", lambda connection, **_: ["row"], lambda which, now_ms: calls.append(which), pause_s=0.01)

    async def execute(command) -> Outcome:
        raise Busy("away")

    async with Background(sweeps=[always], report=reports).run(small, execute):

        async def twice():
            return len(reports.of("always")) > 1

        await eventually_async(twice)
    assert reports.of("always")[0].counts == {"found": 1, "done": 0, "elsewhere": 0, "refused": 0, "failed": 1}
    assert len(calls) > 1


def test_what_cannot_run_is_refused():
    """Two jobs of one name, also of a name that stockade uses; a job without a pause or without time; a negative
    time."""

    async def nothing():
        return {}

    with pytest.raises(ValueError, match="two jobs are named own"):
        Background(jobs=[Job("own", nothing, 1.0), Job("own", nothing, 1.0)])
    for name in ("purge", "purge events", "relay"):
        with pytest.raises(ValueError, match=f"two jobs are named {name}:"):
            Background(jobs=[Job(name, nothing, 1.0)])
    for times in ((0,), (1.0, 0)):
        with pytest.raises(ValueError, match="_s must be more than 0 seconds"):
            Job("own", nothing, *times)
    with pytest.raises(ValueError, match="0 or more milliseconds"):
        Background(keep_ms=-1)
