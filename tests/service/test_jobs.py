"""What keeps a job alive: a report that raises, a command of a sweep that raises, a sink that is slow at the stop."""

import asyncio

from coupons.application import APPLICATION
from stockade.core import Accepted
from stockade.service import Background, Handlers, Job, Sweep, jobs, open_service
from stockade.service.sweeper import Sweeper
from tests.service.conftest import NOW_MS, campaign, give
from tests.waiting import eventually_async


def broken_report(done):
    """A report with a bug."""
    raise RuntimeError(f"no report of {done}")


async def test_a_report_that_raises_ends_no_job(small, caplog):
    """The error of a report is logged, and the job and the relay that it tells of go on."""
    rounds, seen = [], []

    async def work():
        rounds.append(1)
        return {"done": 1}

    async def see(event):
        seen.append(event.kind)

    background = Background(
        sink=Handlers(see), jobs=[Job("own", work, pause_s=0.01)], wall_clock_ms=lambda: NOW_MS, report=broken_report
    )
    async with open_service(APPLICATION, small, "pessimistic", background=background) as service:
        await service.execute(campaign(2))

        async def of_both(count):
            return len(rounds) > count and len(seen) >= count

        await service.execute(give("ann"))
        await eventually_async(lambda: of_both(1))
        await service.execute(give("bob"))
        await eventually_async(lambda: of_both(2))
    assert any("the report of a job failed" in each.message for each in caplog.records)


async def test_a_broken_command_of_a_sweep_counts_as_failed(caplog):
    """A TypeError of one command is counted and logged, and the round waits for the commands beside it."""
    carried_out = []

    def command(which, now_ms):
        if which == "broken":
            raise TypeError("no command of this row")
        return which

    async def execute(command):
        await asyncio.sleep(0)
        carried_out.append(command)
        return Accepted({})

    async def read(query):
        return query(None)

    sweep = Sweep("ends", lambda connection, **_: ["broken", "whole", "last"], command)
    counts = await Sweeper(sweep, read, execute, lambda: NOW_MS).once()
    assert counts == {"found": 3, "done": 2, "elsewhere": 0, "refused": 0, "failed": 1}
    assert carried_out == ["whole", "last"]
    assert "no command of this row" in caplog.text


class Slow:
    """A sink that never confirms."""

    def __init__(self):
        self.called, self.closed = asyncio.Event(), 0

    async def publish(self, events):
        self.called.set()
        await asyncio.Event().wait()

    async def close(self):
        self.closed += 1


async def test_a_stop_during_a_slow_publish_closes_the_sink(small, monkeypatch):
    """The round of the relay is given up after its time, and the connections of its sink are closed, once."""
    monkeypatch.setattr(jobs, "STOP_ROUND_S", 0.02)
    sink = Slow()
    async with open_service(APPLICATION, small, "pessimistic", background=Background(sink=sink)) as service:
        await service.execute(campaign(1))
        await service.execute(give("ann"))
        await asyncio.wait_for(sink.called.wait(), 10)
    assert sink.closed == 1
