"""Recordings end to end: service processes, load, faults, the final state, and the verdict."""

import signal
from dataclasses import replace

import pytest
from typer.testing import CliRunner

from stockade.cli import app
from stockade.lab.checkers import judge
from stockade.lab.checkers.exposure import not_exposed
from stockade.lab.errors import LabError
from stockade.lab.faults import find_faults
from stockade.lab.history.history_file import read_history
from stockade.lab.model.contender import Contender
from stockade.lab.recording import deliveries, engine
from stockade.lab.recording.engine import record
from stockade.lab.recording.plan import RecordingPlan
from stockade.lab.ring.summary import summarise
from stockade.lab.workloads.registry import find_workload
from tests.lab.recording.seeded_bugs import LEAKS, PUBLISHES_LATE

SECONDS = 0.6


def plan(workload="order-stream", strategy="pessimistic", **options):
    return RecordingPlan(find_workload(workload), Contender.parse(strategy), **{"seconds": SECONDS, **options})


def run(*options):
    return CliRunner().invoke(app, ["lab", "record", *options], catch_exceptions=False)


def test_the_command_keeps_a_history_that_is_sound(tmp_path):
    """The history has every operation and the final state; a guarded strategy breaks no rule, exit code 0."""
    file = tmp_path / "history.jsonl"
    result = run("--seconds", str(SECONDS), "--history", str(file), "--seed", "5")
    assert result.exit_code == 0, result.output
    assert "as claimed" in result.output
    history = read_history(file)
    assert (history.seed, history.workload, history.strategy) == (5, "order-stream", "pessimistic")
    assert [each.number for each in history.operations] == list(range(len(history.operations)))
    assert {each.command for each in history.operations} >= {"place_order", "read"}
    assert {each.process for each in history.operations} == {"service 0", "service 1"}
    accepted = {each.request_id for each in history.operations if each.type == "ok" and each.command != "read"}
    assert accepted == {each.request_id for each in history.final.requests if each.accepted}
    assert accepted >= {each.order_id for each in history.final.orders} > set()
    assert {each.request_id for each in history.final.outbox} >= {each.order_id for each in history.final.orders}
    assert history.final.audit == ()


def test_unprotected_is_seen_to_break_a_rule():
    """The negative control at a small load: two processes that protect nothing lose updates, and must."""
    result = run("--strategies", "unprotected", "--seconds", str(SECONDS))
    assert result.exit_code == 0, result.output
    assert "violated as claimed, as it must be" in result.output
    assert "version-chain" in result.output


async def test_a_killed_process_answers_with_unknown_and_equal_requests_get_equal_answers():
    """SIGKILL in the middle, and a tenth of the requests twice: each is decided in the end, and carried out once."""
    (kill,) = find_faults("process-kill")
    made = plan("repeats", faults=[replace(kill, recovery_s=0.5)], seconds=0.7)
    history = await record(made)
    assert [each.action for each in history.fault_log] == ["inject", "heal"]
    assert not_exposed(history) == []
    assert history.fault_log[0].hit[0] in {"service 0", "service 1"}
    assert "PROCESS_ENDED" in {each.code for each in history.operations}
    assert any(each.replayed and each.invoke_ns > history.phases.final_ns for each in history.operations)
    assert history.final.extra["undecided"] == 0
    found = summarise(made, history)
    assert {"exactly-once", "same-answer", "version-chain", "events"}.isdisjoint(found.violations), found.first
    assert len(history.final.deliveries) >= len(history.final.outbox) > 10


async def kill_after_commit(disturbed):
    """SIGKILL to a process that has committed, and answered nobody."""
    await disturbed.processes.signal_at_point(0, "committed", signal.SIGKILL)
    assert await disturbed.processes.was_signalled(0, 5.0)
    return ("service 0",)


async def test_an_event_that_is_published_after_the_commit_is_lost_with_its_process(monkeypatch):
    """The negative control of the outbox, which loses none when a process is killed (see above)."""
    monkeypatch.setattr(deliveries, "RELAY_WAIT_S", 0.1)  # there is no relay to wait for
    (kill,) = find_faults("process-kill-at-point")
    faults = [replace(kill, inject=kill_after_commit, recovery_s=0.5)]
    history = await record(plan(app=PUBLISHES_LATE, faults=faults, seconds=0.8, processes=1))
    assert len(history.final.deliveries) > 10
    assert "events" in {each.rule for each in judge(history)}


async def test_a_leak_with_each_command_is_noticed():
    """What a pool may open is allowed, and less than what a leak opens in half a second."""
    found = judge(await record(plan(app=LEAKS, processes=1)))
    assert {"files", "tasks"} <= {each.detail.partition(":")[0] for each in found if each.rule == "nothing-left"}, found


@pytest.mark.usefixtures("postgres_url")
async def test_postgres_with_cancelled_requests():
    """Clients give up: what they gave up may have happened, and nothing happens twice."""
    (cancellation,) = find_faults("cancellation")
    faults = [replace(cancellation, recovery_s=0.5)]
    made = plan("reservations", database="postgres", faults=faults, seconds=1.0, processes=1)
    history = await record(made)
    assert "CANCELLED" in {each.code for each in history.operations}
    found = summarise(made, history)
    assert {"exactly-once", "version-chain", "order-states"}.isdisjoint(found.violations), found.first


async def test_kafka_records_have_their_place(kafka_bootstrap):
    """Under a command log the history has the place of each decided command; a command in no place was not decided."""
    made = plan("hot-and-zipf", "kafka", kafka=kafka_bootstrap, workers=1, processes=1)
    history = await record(made)
    logged = {each.request_id for each in history.final.log}
    assert logged >= {each.request_id for each in history.final.requests} > set()
    assert summarise(made, history).verdict == "as claimed"


@pytest.mark.parametrize(
    ("options", "part"),
    [
        (("--workload", "nothing"), "unknown workload"),
        (("--fault", "nothing"), "unknown fault"),
        (("--fault", "database-kill"), "SQLite is a file"),
        (("--database", "postgres", "--fault", "database-kill+session-kill"), "healing one heals the database of both"),
        (("--strategies", ""), "names none"),
        (("--seconds", "0"), "must be a number from 0.5"),
        (("--history", "/nowhere/x"), "there is no folder /nowhere"),
        (("--history", "/proc/x"), "--history /proc/x: cannot be written"),
        (("--history", "/proc/x/", "--strategies", "pessimistic,optimistic"), "which cannot be made"),
        (("--strategies", "advisory"), "not on sqlite"),
    ],
)
def test_options_that_cannot_be(options, part):
    """One line says what is wrong, exit code 2."""
    result = run(*options)
    assert result.exit_code == 2
    assert part in result.output


async def test_what_cannot_be_is_said_before_a_server_is_started(monkeypatch):
    """A private broker takes seconds to start, to say that the strategy does not run on SQLite."""
    monkeypatch.setattr(engine, "open_servers", None)
    with pytest.raises(LabError, match="not on sqlite"):
        await record(plan("hot-and-zipf", "advisory"))
