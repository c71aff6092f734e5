"""How service processes start: forked, or cold where they need that; a start that is given up leaves no process."""

import asyncio
import importlib
import itertools
import signal
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version

import pytest

from stockade.lab.errors import LabError
from stockade.lab.execution.processes import process_start, service_process
from stockade.lab.execution.processes.forking_process import ForkedProcess, ForkingProcess, can_fork
from stockade.lab.execution.processes.messages import Close
from stockade.lab.execution.processes.service_process import ServiceProcess
from tests.cli import warm_start

needs_forks = pytest.mark.skipif(not can_fork(), reason="the end of a process of another one cannot be waited for here")
LIMIT_S = 30
ORDER = "print([*{str(each) for each in range(99)}])\n"
PACKAGES = {"asyncpg", "asyncmy", "hiredis", "confluent_kafka", "redis", "alembic", "typer"}


@pytest.fixture
async def process():
    """A service process that has nothing open."""
    found = ServiceProcess("service 0", Close())
    yield found
    await found.close()


@needs_forks
async def test_it_is_forked_unless_the_interpreter_has_to_begin_anew(process, monkeypatch):
    """A variable of its own may be for the interpreter; where nothing can fork, all start cold."""
    await process.start()
    assert isinstance(process._process, ForkedProcess)
    await process.kill()
    await process.start({"TZ": "UTC"})
    assert isinstance(process._process, subprocess.Popen)
    await process.kill()
    monkeypatch.setattr(process_start, "can_fork", lambda: False)
    await process.start({})
    assert isinstance(process._process, subprocess.Popen)
    assert await process.serves(LIMIT_S)


async def test_a_start_that_is_given_up_leaves_a_process_that_kill_ends(process, monkeypatch):
    """Given up while the process begins: whoever ends it afterwards waits for it, and ends it."""
    begun, go, started = asyncio.Event(), asyncio.Event(), []
    start = process_start.start_process

    async def slow(*arguments):
        begun.set()
        await go.wait()
        started.append(await start(*arguments))
        started[0].send_signal(signal.SIGSTOP)  # so that nothing but `kill` ends it
        return started[0]

    monkeypatch.setattr("stockade.lab.execution.processes.service_process.start_process", slow)
    starting = asyncio.create_task(process.start())
    await asyncio.wait_for(begun.wait(), LIMIT_S)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    killing = asyncio.create_task(process.kill())
    go.set()
    await asyncio.wait_for(killing, LIMIT_S)
    assert started[0].poll() == -9
    assert process.pid == 0


async def test_one_that_cannot_be_started_says_so_and_the_next_start_works(process, monkeypatch):
    """As a supervisor tries again and again."""

    async def fails(*arguments):
        for each in arguments[1:3]:
            each.close()
        raise LabError("cannot be started: too many processes")

    with monkeypatch.context() as patched:
        patched.setattr("stockade.lab.execution.processes.service_process.start_process", fails)
        with pytest.raises(LabError, match="too many processes"):
            await process.start()
    await process.kill()
    await process.start()
    assert await process.serves(LIMIT_S)


@needs_forks
async def test_two_service_processes_differ_in_the_order_of_their_sets(monkeypatch, tmp_path):
    """Code that locks rows in the order of a set has to meet its deadlock; one that is replaced keeps its order."""
    monkeypatch.delenv("PYTHONHASHSEED", raising=False)
    forking = [ForkingProcess(["json"]), ForkingProcess(["json"])]
    monkeypatch.setattr(service_process, "NEXT", itertools.cycle(forking))
    chosen = [ServiceProcess(f"service {number}")._forking for number in range(3)]
    assert chosen == [*forking, forking[0]]
    (tmp_path / "order.py").write_text(ORDER)
    with (tmp_path / "out").open("w+") as out:
        streams, path = (out.fileno(), out.fileno()), [str(tmp_path), *sys.path]
        for each in chosen:
            started = each.start("order", [], environment={}, folder=str(tmp_path), streams=streams, path=path)
            assert started.wait(LIMIT_S) == 0
        out.seek(0)
        first, second, third = out.read().splitlines()
    assert first == third != second


@needs_forks
async def test_a_process_that_is_replaced_is_forked_by_the_same(process):
    """Whatever has been started meanwhile."""
    other = ServiceProcess("service 1", Close())
    try:
        await asyncio.gather(process.start(), other.start())
        before = process._process._forking
        await process.kill()
        await process.start()
        assert process._process._forking is before is not other._process._forking
    finally:
        await other.close()


@pytest.mark.parametrize("name", sorted({*process_start.IMPORTED, *warm_start.IMPORTED}))
def test_what_is_imported_before_a_fork_is_there(name):
    """A module that has another name now would be left out in silence, and every start be slow."""
    package = name.partition(".")[0]
    try:
        version(package.replace("_", "-"))
    except PackageNotFoundError:
        assert package in PACKAGES, "a package that is no extra"
        pytest.skip(f"{package} is not installed")
    assert importlib.import_module(name)


def test_a_process_that_has_ended_is_not_stopped():
    """Nor is one that there never was."""
    ended = subprocess.Popen([sys.executable, "-ISc", ""])
    ended.wait(LIMIT_S)
    assert not process_start.is_stopped(ended)
    assert not process_start.is_stopped(None)
