"""The blocking form: what was not open in time is closed and may be started again; a query ends with `Busy`."""

import asyncio
import threading
from contextlib import asynccontextmanager

import pytest

from coupons.application import APPLICATION
from stockade.core import Accepted, Busy, Unknown
from stockade.service import BlockingService, blocking
from stockade.strategies.options import Options
from tests.threads import Running
from tests.waiting import eventually


class Opening:
    """Stands for `open_service`: it waits until it `may_open`, and counts what it opened and closed."""

    def __init__(self, service=None, error=None):
        self.service, self.error = service, error
        self.may_open = threading.Event()
        self.begun = self.opened = self.ended = 0

    @asynccontextmanager
    async def __call__(self, *_, **__):
        self.begun += 1
        try:
            if self.error is not None:
                raise self.error
            if not self.may_open.is_set():
                await asyncio.Event().wait()
            self.opened += 1
            yield self.service
        finally:
            self.ended += 1


class Service:
    """Stands for `Service`, whose calls answer at once, or never end."""

    def __init__(self, never=False):
        self.never = never

    async def execute(self, command):
        await self._work()
        return Accepted({"command": command})

    async def read(self, query, *, timeout_s):
        await self._work()
        return query(None)

    async def _work(self):
        if self.never:
            await asyncio.Event().wait()


@pytest.fixture
def blocked(monkeypatch):
    """Makes a `BlockingService` over an `Opening`, with short limits."""
    monkeypatch.setattr(blocking, "START_WAIT_S", 0.05)
    monkeypatch.setattr(blocking, "ANSWER_WAIT_S", 0.01)

    def make(opening, **options):
        monkeypatch.setattr(blocking, "open_service", opening)
        return BlockingService(APPLICATION, "sqlite://", options=Options(**options))

    return make


def threads():
    return [each for each in threading.enumerate() if each.name == "stockade-service"]


def test_a_start_that_ran_out_of_time_is_ended_and_can_be_repeated(blocked):
    """What did not open in time never opens unseen; a second start opens, and the `with` block closes."""
    opening = Opening(Service())
    service = blocked(opening)
    with pytest.raises(Busy, match=r"not open within 0\.05 s") as refused:
        service.start()
    assert refused.value.code == "DEPENDENCY_DOWN"
    assert (opening.begun, opening.opened, opening.ended) == (1, 0, 1)
    eventually(lambda: threads() == [])
    with pytest.raises(RuntimeError, match="not started"):
        service.execute("early")
    opening.may_open.set()
    with service:
        assert service.execute("c").data == {"command": "c"}
        assert (opening.begun, opening.opened, opening.ended) == (2, 1, 1)
    assert opening.ended == 2
    assert threads() == []


def test_a_timeout_of_the_opening_itself_is_raised_as_it_is(blocked):
    """A TimeoutError of `open_service` keeps its message, and the service can be started again."""
    opening = Opening(Service(), TimeoutError("no answer of the server"))
    service = blocked(opening)
    for _ in range(2):
        with pytest.raises(TimeoutError, match="no answer of the server"):
            service.start()
    assert opening.begun == opening.ended == 2


def test_a_query_without_a_result_is_busy_and_a_command_unknown(blocked):
    """Nobody has to repeat a query with a request id; a command may have been carried out."""
    opening = Opening(Service(never=True))
    opening.may_open.set()
    with blocked(opening, wait_s=0.01) as service:
        with pytest.raises(Busy, match=r"no result within 0\.05 s"):
            service.read(lambda connection: 1, timeout_s=0.02)
        with pytest.raises(Unknown, match="same request id"):
            service.execute("c")


def test_two_threads_start_at_once(blocked, monkeypatch):
    """Both return when the application is open, which is opened once; the second does not go ahead of the first."""
    monkeypatch.setattr(blocking, "START_WAIT_S", 10.0)
    begun, go_on = threading.Event(), threading.Event()

    @asynccontextmanager
    async def opening(*_, **__):
        assert not begun.is_set()
        begun.set()
        await asyncio.to_thread(go_on.wait, 10)
        yield Service()

    service = blocked(opening)

    def use():
        service.start()
        return service.execute("c").data

    first = Running(use)
    assert begun.wait(10)
    second = Running(use)
    second.join(0.05)  # long enough for a `start` that does not wait
    go_on.set()
    outcomes = [each.result(10) for each in (first, second)]
    service.close()
    assert outcomes == [{"command": "c"}] * 2


def test_a_close_ends_what_is_carried_out(blocked, monkeypatch, caplog):
    """A command that the close interrupts is unknown, and its message names the close, not a time limit; an application
    that closes too slowly is logged."""
    monkeypatch.setattr(blocking, "STOP_WAIT_S", 0.01)
    called, closed = threading.Event(), threading.Event()

    class Stuck(Service):
        async def execute(self, command):
            called.set()
            await asyncio.Event().wait()

    @asynccontextmanager
    async def opening(*_, **__):
        yield Stuck()
        await asyncio.to_thread(closed.wait, 10)

    service = blocked(opening, wait_s=60.0)
    service.start()

    user = Running(service.execute, "c")
    assert called.wait(10)
    service.close()
    assert "did not close within 0.01 s" in caplog.text
    closed.set()
    with pytest.raises(Unknown, match=r"^no outcome before the service was closed; send the same request id again$"):
        user.result(10)
    eventually(lambda: threads() == [])


def test_a_timeout_of_a_query_itself_is_raised_as_it_is(blocked):
    """The error of the work is not taken for the end of the wait."""
    opening = Opening(Service())
    opening.may_open.set()

    def late(connection):
        raise TimeoutError("of the query")

    with blocked(opening) as service, pytest.raises(TimeoutError, match="of the query"):
        service.read(late)
