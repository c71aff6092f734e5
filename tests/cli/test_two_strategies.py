"""Two services on one database under strategies that do not compose: the second is refused, or units are sold twice."""

import asyncio
import json
import os
import re
import signal
import time
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager

import pytest

from stockade.core import Accepted, Busy
from stockade.core.clock import now_ms
from stockade.service.ids import new_request_id
from stockade.shop.commands import OrderLine, PlaceOrder
from stockade.shop.config.settings import BadSetting, Settings
from stockade.shop.config.strategy_choice import check
from tests.cli.service import Service, audited, opened, prepared, refusal, stockade
from tests.cli.test_serve import place
from tests.waiting import eventually, eventually_async

UNITS, BUYERS = 60, 120
LOCK_ALONE = "a lock alone sells units more than once"
BLIND = """
import sys
from stockade.store import guards_in_use
guards_in_use.refuse_beside = lambda *arguments: None
from stockade.cli import app
app(sys.argv[1:])
"""


@pytest.fixture
async def file_url(tmp_path):
    """A SQLite file with demo data."""
    url = f"sqlite:///{tmp_path / 'shop.sqlite'}"
    await prepared(url)
    return url


def order():
    """One unit for a user of the demo data, unpaid."""
    id_ = new_request_id(now_ms())
    return PlaceOrder(id_, id_, now_ms(), "user-1", (OrderLine("sku-1", 1),), "LATER")


def serve(folder, url, *words, **settings):
    """`stockade serve` to its end: what it was refused with."""
    refused = stockade(folder, "serve", "--port", 0, "--database", url, *words, **settings)
    assert refused.returncode != 0
    assert "Traceback" not in refused.stderr
    return refused.stderr.splitlines()[-1]


@asynccontextmanager
async def buyers(*sellers):
    """A client of each service, as one user."""
    clients = [each.client("user-1") for each in sellers]
    try:
        yield clients
    finally:
        for each in clients:
            await each.aclose()


async def sell(*sellers):
    """Everybody at once, in turn at each service; how many orders were accepted."""
    async with buyers(*sellers) as clients:
        answers = await asyncio.gather(*(place(clients[n % len(clients)], n) for n in range(BUYERS)))
    return sum(answer.status_code == 201 for answer in answers)


async def test_the_second_control_is_refused(postgres_database, tmp_path):
    """The refusal names the process, its strategy and the way out; the first one sells on exactly."""
    await prepared(postgres_database, products=1, stock=UNITS)
    with Service(tmp_path, "--strategy", "in-process", database=postgres_database) as first:
        message = await asyncio.to_thread(serve, tmp_path, postgres_database, "--workers", 2)
        for each in (message, await refusal(postgres_database, "in-process")):
            assert "is not right beside in-process (guard none)" in each
            assert f":{first.process.pid}" in each
            assert f"stop that process first (kill {first.process.pid} on " in each
            assert "beside in-process nothing works" in each
        assert await sell(first) == UNITS
        assert first.stop() == 0
    async with opened(postgres_database, "sequencer"):
        pass
    assert (await audited(postgres_database))[1] == []


@pytest.mark.parametrize(
    ("running", "works"),
    [
        ({"strategy": "sequencer"}, "beside sequencer work optimistic, pessimistic, "),
        ({"strategy": "redis-spin", "lock_guard": "fence"}, "beside redis-spin only works redis-spin with the"),
        (
            {"strategy": "unprotected", "allow_overselling": "yes"},
            "only works what was started with --allow-overselling",
        ),
    ],
    ids=["composes", "fence", "oversells"],
)
async def test_the_refusal_says_what_works_beside_each_control(file_url, redis_url, running, works):
    """Row guards beside each other, a fence beside its own kind, what oversells beside what was allowed to."""
    async with opened(file_url, redis=redis_url, **running):
        assert works in await refusal(file_url, "in-process")


async def test_the_supervisor_of_several_workers_is_named(file_url, tmp_path):
    """Its pid, which `serve` logs, is the one to stop: a worker would be started anew; stopped, the next one starts."""
    with Service(tmp_path, "--workers", 2, database=file_url) as first:
        (serving,) = [json.loads(line) for line in first.log.read_text().splitlines() if '"serving"' in line]
        message = await refusal(file_url, "in-process")
        assert f"process {serving['process']} has used" in message
        assert f"kill {first.process.pid} on" in message
        assert "and so have" not in message
        assert first.stop() == 0
    async with opened(file_url, "in-process"):
        pass


async def test_without_the_refusal_units_are_sold_twice(postgres_database, tmp_path):
    """The control: two services that do not look at each other's rows sell more than there is."""
    await prepared(postgres_database, products=1, stock=UNITS)
    with ExitStack() as stack:
        first = stack.enter_context(Service(tmp_path, "--strategy", "in-process", database=postgres_database))
        unseeing = {"program": ("-c", BLIND), "database": postgres_database}
        second = stack.enter_context(Service(tmp_path, "--strategy", "sequencer", **unseeing))
        sold = 0
        for _ in range(5):  # a race: once is enough
            sold = max(sold, await sell(first, second))
            if sold > UNITS:
                break
        assert sold > UNITS


async def test_a_killed_process_is_forgotten_after_its_lease(file_url, tmp_path):
    """kill -9 leaves the row: refused with the seconds to wait, and opened once they are over."""
    with Service(tmp_path, "--strategy", "in-process", database=file_url, guard_lease_s=4) as first:
        first.process.kill()
        first.process.wait()
    waits = re.search(r"If it was killed, wait ([1-4]) s", await refusal(file_url))
    over_s = time.monotonic() + int(waits[1])
    await asyncio.to_thread(eventually, lambda: time.monotonic() > over_s)
    async with opened(file_url):
        pass


async def test_who_was_paused_beyond_its_lease_takes_no_more_orders(file_url, tmp_path):
    """SIGSTOP, another strategy starts, SIGCONT: 503 NOT_READY for every order, /readyz says who is in the way."""
    with Service(tmp_path, "--strategy", "in-process", database=file_url, guard_lease_s=1) as first:
        try:
            async with AsyncExitStack() as stack:
                second = await entered_beside_paused(first, stack, file_url)
                os.kill(first.process.pid, signal.SIGCONT)
                async with buyers(first) as (sleeper,):
                    answers = [await place(sleeper, number) for number in range(3)]
                    assert {(each.status_code, each.json()["code"]) for each in answers} == {(503, "NOT_READY")}
                    assert isinstance(await second.execute(order()), Accepted)
                    ready = await sleeper.get("/readyz")
                    assert ready.status_code == 503
                    assert "is not right beside sequencer" in ready.json()["detail"]
            async with buyers(first) as (sleeper,):
                answer = None
                async with asyncio.timeout(20):
                    while answer is None or answer.status_code != 201:
                        answer = await place(sleeper, 10)
        finally:
            os.kill(first.process.pid, signal.SIGCONT)
        assert first.stop() == 0
    assert (await audited(file_url))[1] == []


async def entered_beside_paused(paused, stack, url):
    """Pause a service and enter under another strategy; again if it was paused with SQLite's lock on the file."""
    for wait_s in (8, 8, 30):
        os.kill(paused.process.pid, signal.SIGSTOP)
        try:
            return await eventually_async(lambda: entered(stack, url), wait_s)
        except AssertionError:
            os.kill(paused.process.pid, signal.SIGCONT)
            async with buyers(paused) as (client,):  # an order was decided: the lock of the pause has been given back
                await place(client, 99)
    raise AssertionError("the paused process kept the others out")


async def entered(stack, url):
    """The second shop, or nothing while it is refused, or while the paused one holds the SQLite file."""
    try:
        return await stack.enter_async_context(opened(url))
    except (BadSetting, Busy):
        return None


async def test_a_rolling_change_between_guards_that_compose_is_allowed(file_url):
    """Row locks, versions and a second process of the same strategy start beside each other."""
    async with AsyncExitStack() as stack:
        for strategy in ("sequencer", "optimistic", "conditional", "sequencer"):
            await stack.enter_async_context(opened(file_url, strategy))


def test_what_oversells_starts_only_with_a_flag_that_says_so(tmp_path, redis_url):
    """Without the flag one line and exit code 2; with it a warning in the log that names the reason."""
    bare = {"strategy": "redis-spin", "redis": redis_url, "lock_guard": "none"}
    refused = stockade(tmp_path, "serve", "--port", 0, **bare)
    assert refused.returncode == 2
    assert LOCK_ALONE in refused.stderr
    assert "--allow-overselling" in refused.stderr
    with Service(tmp_path, "--allow-overselling", **bare) as service:
        lines = [json.loads(line) for line in service.log.read_text().splitlines()]
        assert any(each["level"] == "warning" and LOCK_ALONE in each.get("reason", "") for each in lines)


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        (
            {"strategy_stock": "unprotected"},
            "is a negative control: it sells units more than once; start it with",
        ),
        ({"strategy_points": "in-process", "workers": 2}, "in-process is right in one process only"),
    ],
)
def test_a_control_is_refused_before_anything_is_opened(settings, reason):
    """What oversells without the flag, and mutexes in two workers, which have mutexes of their own."""
    with pytest.raises(BadSetting, match=reason):
        check(Settings(**settings))
