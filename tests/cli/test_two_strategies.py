"""Two services on one database under strategies that do not compose: the second is refused, or units are sold twice."""

import asyncio
import json
import os
import re
import signal
import sys
from contextlib import ExitStack, asynccontextmanager

import pytest

from tests.cli import service as services
from tests.cli.service import Service, audited, prepared, stockade
from tests.cli.test_serve import place
from tests.waiting import eventually

UNITS, BUYERS = 60, 120
SHORT = {"guard_lease_s": 1}
BLIND = """
import sys
from stockade.store import guards_in_use
guards_in_use.refuse_beside = lambda *arguments: None
from stockade.cli import app
app(sys.argv[1:])
"""


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


async def test_the_second_control_is_refused(database_url, tmp_path):
    """On each database: the refusal names the process, its strategy and the way out; the first one sells on exactly."""
    await prepared(database_url, products=1, stock=UNITS)
    with Service(tmp_path, "--strategy", "in-process", database=database_url) as first:
        host_and_pid = f":{first.process.pid}"
        for words in (["--strategy", "in-process"], ["--workers", 2]):
            message = await asyncio.to_thread(serve, tmp_path, database_url, *words)
            assert "is not right beside in-process (guard none)" in message
            assert host_and_pid in message
            assert f"stop that process first (kill {first.process.pid} on " in message
            assert "beside in-process nothing works" in message
        assert await sell(first) == UNITS
        assert first.stop() == 0
    with Service(tmp_path, "--strategy", "sequencer", database=database_url) as second:
        assert second.stop() == 0
    assert (await audited(database_url))[1] == []


@pytest.mark.parametrize(
    ("running", "works"),
    [
        (["--strategy", "sequencer"], "beside sequencer work optimistic, pessimistic, "),
        (["--strategy", "redis-spin", "--set", "lock_guard=fence"], "beside redis-spin only works redis-spin with the"),
        (["--strategy", "unprotected", "--allow-overselling"], "only works what was started with --allow-overselling"),
    ],
    ids=["composes", "fence", "oversells"],
)
def test_the_refusal_says_what_works_beside_each_control(tmp_path, redis_url, running, works):
    """Row guards beside each other, a fence beside its own kind, what oversells beside what was allowed to."""
    url = f"sqlite:///{tmp_path / 'shop.sqlite'}"
    asyncio.run(prepared(url))
    with Service(tmp_path, *running, database=url, redis=redis_url):
        assert works in serve(tmp_path, url, "--strategy", "in-process")


def test_the_supervisor_of_several_workers_is_named(tmp_path):
    """Its pid, which `serve` logs, is the one to stop: a worker would be started anew; stopped, the next one starts."""
    url = f"sqlite:///{tmp_path / 'shop.sqlite'}"
    asyncio.run(prepared(url))
    with Service(tmp_path, "--workers", 2, database=url) as first:
        (serving,) = [json.loads(line) for line in first.log.read_text().splitlines() if '"serving"' in line]
        message = serve(tmp_path, url, "--strategy", "in-process")
        assert f"process {serving['process']} has used" in message
        assert f"kill {first.process.pid} on" in message
        assert "and so have" not in message
        assert first.stop() == 0
    with Service(tmp_path, "--strategy", "in-process", database=url) as second:
        assert second.stop() == 0


async def test_without_the_refusal_units_are_sold_twice(postgres_database, tmp_path, monkeypatch):
    """The control: two services that do not look at each other's rows sell more than there is."""
    await prepared(postgres_database, products=1, stock=UNITS)
    with ExitStack() as stack:
        first = stack.enter_context(Service(tmp_path, "--strategy", "in-process", database=postgres_database))
        start = services.subprocess.Popen

        def unseeing(command, **options):
            return start([sys.executable, "-c", BLIND, *command[3:]], **options)

        monkeypatch.setattr(services.subprocess, "Popen", unseeing)
        second = stack.enter_context(Service(tmp_path, "--strategy", "sequencer", database=postgres_database))
        sold = 0
        for _ in range(5):  # a race: once is enough
            sold = max(sold, await sell(first, second))
            if sold > UNITS:
                break
        assert sold > UNITS


def test_a_killed_process_is_forgotten_after_its_lease(tmp_path):
    """kill -9 leaves the row: refused with the seconds to wait, and started once they are over."""
    url = f"sqlite:///{tmp_path / 'shop.sqlite'}"
    asyncio.run(prepared(url))
    with Service(tmp_path, "--strategy", "in-process", database=url, guard_lease_s=8) as first:
        first.process.kill()
        first.process.wait()
        assert re.search(r"If it was killed, wait [1-8] s", serve(tmp_path, url))

    def started():
        try:
            with Service(tmp_path, "--strategy", "sequencer", database=url) as second:
                return second.stop() == 0
        except AssertionError:
            return False

    assert eventually(started, 30)


async def test_who_was_paused_beyond_its_lease_takes_no_more_orders(tmp_path):
    """SIGSTOP, another strategy starts, SIGCONT: 503 NOT_READY for every order, /readyz says who is in the way."""
    url = f"sqlite:///{tmp_path / 'shop.sqlite'}"
    await prepared(url)
    with Service(tmp_path, "--strategy", "in-process", database=url, **SHORT) as first:
        os.kill(first.process.pid, signal.SIGSTOP)
        try:
            with ExitStack() as stack:
                second = await asyncio.to_thread(eventually, lambda: started(stack, tmp_path, url), 30)
                os.kill(first.process.pid, signal.SIGCONT)
                async with buyers(first, second) as (sleeper, newcomer):
                    answers = [await place(sleeper, number) for number in range(3)]
                    assert {(each.status_code, each.json()["code"]) for each in answers} == {(503, "NOT_READY")}
                    assert (await place(newcomer, 9)).status_code == 201
                    ready = await sleeper.get("/readyz")
                    assert ready.status_code == 503
                    assert "is not right beside sequencer" in ready.json()["detail"]
                assert second.stop() == 0
                async with buyers(first) as (sleeper,):
                    await asyncio.to_thread(eventually, lambda: "stopped" in second.log.read_text())
                    answer = None
                    async with asyncio.timeout(20):
                        while answer is None or answer.status_code != 201:
                            answer = await place(sleeper, 10)
        finally:
            os.kill(first.process.pid, signal.SIGCONT)
        assert first.stop() == 0
    assert (await audited(url))[1] == []


def started(stack, folder, url):
    """The second service, or nothing while it is refused."""
    try:
        return stack.enter_context(Service(folder, "--strategy", "sequencer", database=url))
    except AssertionError:
        return None


def test_a_rolling_change_between_guards_that_compose_is_allowed(tmp_path):
    """Row locks, versions and a second process of the same strategy start beside each other."""
    url = f"sqlite:///{tmp_path / 'shop.sqlite'}"
    asyncio.run(prepared(url))
    with ExitStack() as stack:
        for strategy in ("sequencer", "optimistic", "conditional", "sequencer"):
            stack.enter_context(Service(tmp_path, "--strategy", strategy, database=url))


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"strategy": "unprotected"}, "is a negative control: it sells units more than once"),
        ({"strategy": "redis-spin", "lock_guard": "none"}, "a lock alone sells units more than once"),
    ],
)
def test_what_oversells_starts_only_with_a_flag_that_says_so(tmp_path, redis_url, settings, reason):
    """Without the flag one line and exit code 2; with it a warning in the log that names the reason."""
    refused = stockade(tmp_path, "serve", "--port", 0, redis=redis_url, **settings)
    assert refused.returncode == 2
    assert reason in refused.stderr
    assert "--allow-overselling" in refused.stderr
    with Service(tmp_path, "--allow-overselling", redis=redis_url, **settings) as service:
        lines = [json.loads(line) for line in service.log.read_text().splitlines()]
        assert any(each["level"] == "warning" and reason in each.get("reason", "") for each in lines)


def test_in_process_in_two_workers_is_refused(tmp_path):
    """Two workers are two processes, each with mutexes of its own."""
    refused = stockade(tmp_path, "serve", "--port", 0, "--strategy", "in-process", "--workers", 2)
    assert refused.returncode == 2
    assert "right in one process only" in refused.stderr
