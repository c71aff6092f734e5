"""The background job that repeats releases: one loop at a time, and every release on its way is known.

Neighbours: `redis/test_quorum_release_retry.py` and `test_release_unanswered.py` (the same with servers).
"""

import asyncio
import math

import pytest

from stockade.locks.engine.background_job import BackgroundJob
from stockade.locks.engine.lock_request import LockRequest, Spec
from stockade.locks.engine.release_retry import ReleaseRetry
from stockade.locks.errors import LockUnavailable
from stockade.locks.runtime.async_runtime import AsyncRuntime
from tests.threads import Running
from tests.waiting import eventually, eventually_async, turns_until

WAIT_S = 10


def ask(owner):
    """A request of that owner."""
    return LockRequest(Spec("a"), owner)


@pytest.mark.parametrize("leaves", [True, False], ids=["leaves", "control"])
async def test_a_move_leaves_no_round_behind(monkeypatch, leaves):
    """A debt from a first loop that moves to this one: nothing is paid in the first. The control's job stays current
    there, and pays."""
    if not leaves:
        monkeypatch.setattr(BackgroundJob, "is_current", lambda self, ticket: True)
    first, paid = {}, []

    async def pay(server, ask, timeout_s):
        paid.append(asyncio.get_running_loop())

    retries = ReleaseRetry(AsyncRuntime(), pay, lambda calls: asyncio.gather(*calls, return_exceptions=True))

    async def owe():
        retries.retry(ask("one"), ["server"], math.inf)
        (job,) = asyncio.all_tasks() - {asyncio.current_task()}
        first["loop"] = asyncio.get_running_loop()
        await asyncio.wait({job}, timeout=WAIT_S)

    monkeypatch.setattr(
        "stockade.locks.engine.release_retry._PAUSE_S", WAIT_S
    )  # the first loop waits until it is woken
    thread = Running(lambda: asyncio.run(owe()))
    eventually(lambda: retries._job._wakeup is not None or not thread.is_alive())
    retries.change_loop()  # the job of this loop begins after the next `await`
    thread.result(WAIT_S)
    assert paid == ([] if leaves else [first["loop"]])
    if leaves:
        await eventually_async(lambda: asyncio.sleep(0, retries._job.running))
    await retries.close(WAIT_S)
    assert paid == [asyncio.get_running_loop() if leaves else first["loop"]]


async def test_each_release_on_its_way_is_known():
    """Two rounds that pay one server at once: an owner that asks anew waits for its own release in both."""
    under_way, answered = [], asyncio.Event()

    async def pay(server, ask, timeout_s):
        under_way.append(ask.owner_id)
        await answered.wait()

    retries = ReleaseRetry(AsyncRuntime(), pay, lambda calls: asyncio.gather(*calls, return_exceptions=True))
    retries.retry(ask("one"), ["server"], math.inf)
    retries.retry(ask("two"), ["server"], math.inf)
    rounds = [asyncio.create_task(retries._round()) for _ in range(2)]
    await turns_until(lambda: len(under_way) == 2)
    for owner in under_way:
        with pytest.raises(LockUnavailable):
            await retries.cancel(owner, 0.0)
    answered.set()
    await asyncio.gather(*rounds)
    for owner in under_way:
        await retries.cancel(owner, 0.0)
    await retries.close(WAIT_S)
