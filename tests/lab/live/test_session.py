"""The session with a process that the test plays: however it ends, the run ends in order and pages learn how."""

import asyncio
import json

import pytest

from stockade.lab.live import session as session_module
from stockade.lab.live.child import Child
from stockade.lab.live.choices import Choices
from stockade.lab.live.plan import LivePlan
from stockade.lab.live.runs import ENDED, FAILED, RUNNING, STOPPED
from stockade.lab.live.session import Session
from tests.waiting import eventually_async

PLAN = LivePlan("burst", "reference", ("unprotected", "sequencer"))
LIMIT_S = 10.0


class Played(Child):
    """A child whose output is what the test feeds; `end` waits until `may_end` is set."""

    pid, returncode = 1, 0

    def __init__(self):
        self.stdout = asyncio.StreamReader(limit=1_000)
        self.ending, self.may_end, self.ended = asyncio.Event(), asyncio.Event(), False
        super().__init__(self, None)

    async def wait(self):
        return self.returncode

    async def send(self, value):
        pass

    async def end(self):
        self.ending.set()
        await self.may_end.wait()
        self.ended = True


@pytest.fixture
async def played(monkeypatch):
    """A session and the child of its run, which the test plays."""
    child = Played()

    async def start(_module, *_arguments):
        return child

    monkeypatch.setattr(session_module.Child, "start", start)
    return Session(Choices({}, {}, {}, {}, {})), child


def published(session):
    """The states of the run that pages were told."""
    events = [encoded.decode().splitlines() for _, encoded in session.feed._kept]
    return [json.loads(lines[2][6:])["state"] for lines in events if lines[1] == "event: run"]


async def until_ended(session):
    async with asyncio.timeout(LIMIT_S):
        await asyncio.wait([session._task])
    return session.runs[-1]


async def test_a_second_stop_does_not_disturb_the_first(played):
    """Both answer when the process has ended, and pages are told that the run was stopped."""
    session, child = played
    session.start(PLAN)
    first = asyncio.create_task(session.stop())
    async with asyncio.timeout(LIMIT_S):
        await child.ending.wait()
        second = asyncio.create_task(session.stop())
        await asyncio.sleep(0)
        assert not first.done()
        child.may_end.set()
        await asyncio.gather(first, second)
    assert child.ended
    assert published(session) == [RUNNING, STOPPED]


async def test_a_stop_while_the_run_ends_by_itself(played):
    """It waits for the end, and the run has ended: it was not stopped."""
    session, child = played
    session.start(PLAN)
    child.stdout.feed_eof()
    async with asyncio.timeout(LIMIT_S):
        await child.ending.wait()
        stop = asyncio.create_task(session.stop())
        await asyncio.sleep(0)
        child.may_end.set()
        await stop
    assert child.ended
    assert published(session) == [RUNNING, ENDED]


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (b"hello", "nobody understands: hello"),
        (b"[1]", "nobody understands: [1]"),
        (b"\xff", "nobody understands"),
        (b'{"event":"leg"}', "nobody understands: KeyError 'control'"),
        (b'{"event":"points","leg":3,"points":[],"sums":{}}', "nobody understands: IndexError"),
        (b'{"event":"points","leg":"x"}', "nobody understands: TypeError"),
        (b'"%s"' % (b"x" * 3_000), "a line of more than"),
        (b'{"error":"no room"}', "no room"),
    ],
)
async def test_what_is_not_understood_is_a_failure(played, line, says):
    """The run has not been stopped by anybody: it has failed, with what was said."""
    session, child = played
    child.may_end.set()
    child.stdout.feed_data(line + b"\n")
    session.start(PLAN)
    run = await until_ended(session)
    assert (run.state, child.ended) == (FAILED, True)
    assert says in run.error


async def test_a_process_that_cannot_begin_is_a_failure(played, monkeypatch):
    """The next run can begin."""
    session, _ = played

    async def start(_module, *_arguments):
        raise OSError("no such program")

    monkeypatch.setattr(session_module.Child, "start", start)
    session.start(PLAN)
    run = await until_ended(session)
    assert (run.state, run.error) == (FAILED, "OSError: no such program")


async def test_a_run_without_a_control_that_failed_shows_nothing(played):
    """Pages are told with every event whether a negative control of this run was seen to fail."""
    session, child = played
    child.may_end.set()
    told = [{"event": "leg", "control": name} for name in ("sequencer", "unprotected")]
    sums = [{"violations": {}}, {"violations": {"oversell": 3}}]
    for leg, must_fail in enumerate((False, True)):
        told.append({"event": "points", "leg": leg, "points": [], "sums": sums[leg]})
        told.append({"event": "verdict", "leg": leg, "verdict": "", "kept": True, "reason": "", "must_fail": must_fail})
    child.stdout.feed_data(b"".join(json.dumps(each).encode() + b"\n" for each in told))
    session.start(PLAN)

    async def all_told():
        return session.feed._last == len(told) + 1

    await eventually_async(all_told)
    events = [json.loads(encoded.decode().splitlines()[2][6:]) for _, encoded in session.feed._kept]
    assert [each["seen_to_fail"] for each in events] == [False] * 6 + [True]
    await session.stop()
    assert session.runs[-1].as_json(points=False)["seen_to_fail"]
