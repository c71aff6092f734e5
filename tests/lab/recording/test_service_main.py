"""A service process without a process: what it says about a command."""

from types import SimpleNamespace

import pytest

from stockade.core import Accepted, Busy, Stats
from stockade.lab.execution.processes.messages import Execute
from stockade.lab.execution.processes.service_main import _Handler


@pytest.mark.parametrize(("lost", "in_doubt"), [(0, False), (1, True)])
async def test_a_commit_whose_reply_was_lost_meanwhile_is_told(lost, in_doubt):
    """A replayed decision may be its own then; what was lost before it began says nothing."""
    stats = Stats(unknown=7)

    async def execute(command):
        stats.unknown += lost
        return Accepted({}, {}, replayed=True)

    answer = await carried_out(execute, stats)
    assert (answer.type, answer.replayed, answer.in_doubt) == ("ok", True, in_doubt)


async def test_a_failure_has_no_doubt():
    """It says that nothing happened."""

    async def execute(command):
        raise Busy("full")

    answer = await carried_out(execute, Stats())
    assert (answer.type, answer.in_doubt) == ("failed", False)


async def test_the_most_in_a_queue_is_kept_until_it_is_begun_anew():
    """Several ask for the counters: none of them takes what was seen from the others."""
    handler = _Handler(None)
    database = SimpleNamespace(waiting=0)
    handler._service = SimpleNamespace(queued=7, database=database, store=SimpleNamespace(stats=Stats()))
    handler._count()
    handler._service.queued = 1
    assert [handler._count().highest["queued"] for _ in range(2)] == [7, 7]
    handler._count(begin_anew=True)
    assert handler._count().highest["queued"] == 1


async def carried_out(execute, stats):
    """The answer of a process whose service is this one."""
    handler = _Handler(None)
    handler._service = SimpleNamespace(
        execute=execute, store=SimpleNamespace(stats=stats), queued=0, database=SimpleNamespace(waiting=0)
    )
    return await handler._execute(Execute(SimpleNamespace(keys=())))
