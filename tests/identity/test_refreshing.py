"""Keys that are loaded in the background: whatever fails, loading goes on and nobody waits for ever."""

import asyncio
import threading
import time
from contextlib import nullcontext

import pytest

from stockade.identity import KeysUnavailable, Refresh
from stockade.identity.keys import Keys
from stockade.identity.refreshing_keys import RefreshingKeys
from tests.identity.parts import Clock, Reports
from tests.waiting import eventually, eventually_async


async def test_a_defect_of_a_reader_is_reported():
    """What a reader raises unexpectedly ends as unavailable keys and a report, not as a dead thread."""
    reports = Reports()
    keys = RefreshingKeys(lambda: 1 / 0, Refresh(), reports)
    with pytest.raises(KeysUnavailable):
        await keys.load()
    eventually(lambda: reports == ["ZeroDivisionError: division by zero"])


@pytest.fixture
def no_thread(monkeypatch):
    """Function: whether threads can be started."""
    start = threading.Thread.start

    def allow(allowed):
        def refuse(_thread):
            raise RuntimeError("can't start new thread")

        monkeypatch.setattr(threading.Thread, "start", start if allowed else refuse)

    return allow


async def test_a_thread_that_cannot_be_started_is_tried_again(no_thread, caplog):
    """Without a thread the keys are unavailable and not lost: after `retry_s` they are loaded."""
    clock = Clock()
    keys = RefreshingKeys(list, Refresh(retry_s=10, wait_s=5), clock=clock)
    no_thread(False)
    begun_s = time.monotonic()
    for _ in range(3):
        with pytest.raises(KeysUnavailable):
            await keys.load()
    assert time.monotonic() - begun_s < 2  # nobody waits for a thread that does not run
    assert caplog.messages == ["the keys of tokens are not loaded: can't start new thread"]
    no_thread(True)
    clock.now_s += 10
    assert list(await keys.load()) == []


async def test_keys_at_hand_need_no_thread(no_thread):
    """Old keys are used while no thread can be started, and are loaded again later."""
    clock = Clock()
    keys = RefreshingKeys(list, Refresh(refresh_s=300, retry_s=10), first=Keys([]), clock=clock)
    no_thread(False)
    clock.now_s += 300
    assert keys.at_hand() is not None
    no_thread(True)
    clock.now_s += 10
    assert keys.at_hand() is not None
    await eventually_async(lambda: _loaded(keys, clock))


async def _loaded(keys, clock):
    return keys._loaded_s == clock.now_s


@pytest.mark.parametrize("error", [OSError("down"), None])
async def test_a_report_that_fails_stops_nothing(error, caplog):
    """Who waits is woken, the failure is logged, and the keys are loaded again at the next time."""
    clock, calls = Clock(), []

    def load():
        calls.append(clock.now_s)
        if error is not None and len(calls) == 1:
            raise error
        return []

    keys = RefreshingKeys(load, Refresh(retry_s=10, wait_s=20), lambda _reason: 1 / 0, clock=clock)
    keys._failing = error is None  # so that the first loading has something to report
    begun_s = time.monotonic()
    with nullcontext() if error is None else pytest.raises(KeysUnavailable):
        await keys.load()
    assert time.monotonic() - begun_s < 5
    eventually(lambda: "the report about the keys of tokens failed" in caplog.messages)
    clock.now_s += 10
    assert list(await keys.load()) == []
    assert len(calls) == 2


async def test_who_stops_waiting_is_forgotten():
    """While a loading hangs, requests whose time is over or that were cancelled leave nothing behind."""
    go_on = threading.Event()
    keys = RefreshingKeys(lambda: go_on.wait(10) and [], Refresh(wait_s=0.01))
    try:
        for _ in range(3):
            with pytest.raises(KeysUnavailable):
                await keys.load()
        keys._refresh = Refresh(wait_s=10)
        waiting = asyncio.create_task(keys.load())
        await asyncio.sleep(0)
        assert len(keys._waiters) == 1
        waiting.cancel()
        await asyncio.wait({waiting})
        assert len(keys._waiters) == 0
    finally:
        go_on.set()


async def test_a_loading_that_ends_its_thread_is_no_end():
    """Whatever ends a loading, who waits is woken and the next loading begins."""
    clock, reports, answers = Clock(), Reports(), [SystemExit("over"), []]

    def load():
        answer = answers.pop(0)
        if isinstance(answer, BaseException):
            raise answer
        return answer

    keys = RefreshingKeys(load, Refresh(retry_s=10, wait_s=20), reports, clock=clock)
    with pytest.raises(KeysUnavailable):
        await keys.load()
    eventually(lambda: reports == ["SystemExit: over"])
    clock.now_s += 10
    assert list(await keys.load()) == []
