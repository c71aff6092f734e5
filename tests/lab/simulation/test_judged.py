"""What a simulated history is judged by: errors that nobody handled, tasks that are left, requests that nobody took."""

import asyncio
from dataclasses import replace

import pytest

from benchmarks import simulation as benchmark
from stockade.kafka.worker import KafkaWorker
from stockade.lab.checkers import judge
from stockade.lab.checkers.violation import Violation
from stockade.lab.history.operation import FAILED, PROCESS_AWAY
from stockade.lab.simulation.settings import Faults, Settings
from stockade.lab.simulation.simulation import Stalled, play
from stockade.strategies.in_process import InProcess

SEED = 1


def found(contender, **changes):
    """The violations of one run without faults, as rule and detail."""
    processes = 1 if contender == "in-process" else 2
    played = play(SEED, replace(Settings.named(contender, processes=processes), **changes))
    return [(each.rule, each.detail) for each in judge(played.history)]


async def fails(*_):
    """What a defect of a service or a worker does."""
    raise ValueError("a defect")


@pytest.mark.parametrize("contender", ["in-process", "kafka"])
def test_without_a_defect_nothing_is_found(contender):
    """The control of the tests below."""
    assert found(contender) == []


def test_a_stop_that_fails_is_unexpected(monkeypatch):
    """A service whose stop raised has not stopped in order."""
    monkeypatch.setattr(InProcess, "stop", fails)
    assert found("in-process") == [("unexpected", "p1 did not handle ValueError: a defect")]


def test_a_start_that_fails_is_named(monkeypatch):
    """The run does not end, and says why."""
    monkeypatch.setattr(InProcess, "start", fails)
    with pytest.raises(Stalled, match="p1: ValueError: a defect"):
        found("in-process")


@pytest.mark.parametrize(
    ("left", "rule", "detail"),
    [(lambda: asyncio.Event().wait(), "nothing-left", "tasks"), (fails, "unexpected", "w1 did not handle ValueError")],
    ids=["a task without an end", "an error of a task"],
)
def test_what_a_worker_leaves_is_found(monkeypatch, left, rule, detail):
    """A worker of the log is judged as a service is."""
    run = KafkaWorker.run

    async def leaves(self, stop):
        task = asyncio.get_running_loop().create_task(left())
        await run(self, stop)
        del task

    monkeypatch.setattr(KafkaWorker, "run", leaves)
    violations = found("kafka")
    assert {each for each, _ in violations} == {rule}
    assert any(detail in text for _, text in violations)


def test_what_no_process_took_has_failed_and_is_sent_again():
    """Nobody had the request, so its outcome is certain, as in a recording."""
    settings = replace(Settings.named("optimistic"), faults=Faults(crash=0.2), clients=8)
    histories = [play(seed, settings).history for seed in range(8)]
    away = [(each, history) for history in histories for each in history.operations if each.code == PROCESS_AWAY]
    assert away
    for operation, history in away:
        assert operation.type == FAILED
        later = [each for each in history.operations if each.request_id == operation.request_id]
        assert later[-1].number > operation.number
    assert not any(judge(history) for history in histories)


def test_the_benchmark_measures_nothing_that_is_broken(monkeypatch):
    """A violation of a strategy that protects its rows ends it; of a control it is what must be."""
    monkeypatch.setattr(benchmark, "judge", lambda _history: [Violation("no-oversell", "too many")])
    monkeypatch.setattr(benchmark, "WARM_UP", 0)
    with pytest.raises(RuntimeError, match="in-process, calm, seed 3: no-oversell: too many"):
        benchmark.measure(Settings.named("in-process", processes=1), range(3, 4))
    assert benchmark.measure(Settings.named("unprotected"), range(1)).histories == 1
