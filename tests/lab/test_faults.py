"""Runs under faults: the bare forms of the locks break where their lease is not enough, the guarded ones hold."""

import asyncio
import signal
from pathlib import Path

import pytest

from stockade.lab import aimed_faults as folder
from stockade.lab.aimed_faults import faults, find
from stockade.lab.aimed_faults.pause import FAULT as PAUSE
from stockade.lab.errors import LabError
from stockade.lab.execution.fault_harness import FaultHarness
from stockade.lab.execution.order_senders import SenderConfig
from stockade.lab.model.burst import RepeatNames
from stockade.lab.presets.reference import workload
from stockade.lab.runs.repeats import create_rows
from stockade.lab.targets.target_database import open_target_database
from tests.lab.conftest import by_strategy

HOLDS, BREAKS = ("as promised", 20, 10), ("broken", 21, 9)


def verdicts(document):
    """(fault, strategy) -> verdict, accepted, rejected."""
    return {
        (run["fault"], run["strategy"]): (run["verdict"], run["accepted"], run["rejected"]) for run in document["runs"]
    }


@pytest.mark.redis
def test_a_lease_alone_is_not_enough(lab):
    """Version and token refuse the late writer, or let it decide again; without them its unit is sold twice."""
    names = "redis-pubsub,redis-pubsub:fence,redis-pubsub:bare"
    code, document, output = lab("--fault", "pause,restart,failover", "--strategies", names)
    assert code == 0, output
    for fault in ("pause", "restart", "failover"):
        assert {name: found for (at, name), found in verdicts(document).items() if at == fault} == {
            "redis-pubsub": HOLDS,
            "redis-pubsub:fence": HOLDS,
            "redis-pubsub:bare": BREAKS,
        }
    for broken in (run for run in document["runs"] if run["verdict"] == "broken"):
        assert {"oversell", "ledger-chain"} <= {each["rule"] for each in broken["violations"]}


@pytest.mark.redis
def test_a_quorum_alone_is_not_enough(lab):
    """One of the majority forgets, the third server comes back: two majorities, unless the row is guarded."""
    code, document, output = lab("--fault", "restart,failover", "--strategies", "redlock,redlock:bare")
    assert code == 0, output
    assert verdicts(document) == {
        (fault, name): holds
        for fault in ("restart", "failover")
        for name, holds in (("redlock", HOLDS), ("redlock:bare", BREAKS))
    }


@pytest.mark.redis
@pytest.mark.postgres
def test_a_killed_process_leaves_nothing_half_done(lab, postgres_database):
    """Every buyer gets a decision in the end; the row lock ends with the connection, the lease by itself."""
    options = ("--database", postgres_database, "--strategies", "pessimistic,redis-pubsub:bare")
    code, document, output = lab("--fault", "crash", *options)
    assert code == 0, output
    assert set(verdicts(document).values()) == {HOLDS}


@pytest.mark.redis
@pytest.mark.postgres
def test_a_pause_on_a_real_database(lab, postgres_database):
    """It breaks those that promise nothing, and no other."""
    names = "unprotected,sequencer,redis-spin,redis-spin:bare"
    code, document, output = lab("--database", postgres_database, "--fault", "pause", "--strategies", names)
    assert code == 0, output
    found = verdicts(document)
    assert found.pop(("pause", "unprotected"))[0] == "broken"
    assert found.pop(("pause", "redis-spin:bare")) == BREAKS
    assert set(found.values()) == {HOLDS}


def test_points_are_lost_under_a_pause_without_protection(lab):
    """The charge of the process that stood still overwrites the others': with a version check it does not."""
    options = ("--preset", "charge", "--fault", "pause", "--strategies", "unprotected,optimistic")
    code, document, output = lab(*options)
    runs = by_strategy(document)
    assert code == 0, output
    assert (runs["unprotected"]["verdict"], runs["optimistic"]["verdict"]) == ("broken", "as promised")
    assert runs["unprotected"]["left"] < 400
    assert runs["optimistic"]["left"] == 400


@pytest.fixture
async def prepared():
    """A database with the rows of one workload, and a harness that has opened no shop yet."""
    async with open_target_database("sqlite", 4) as target:
        orders = workload(RepeatNames("harness", 0, 5, 3, now_ms=1))
        await create_rows(target, [orders])
        async with FaultHarness() as harness:
            yield target, orders, harness


async def test_a_fault_that_misses_is_an_error(prepared):
    """No order reaches a fault point that does not exist: the run fails instead of passing."""
    target, orders, harness = prepared
    await harness.prepare(SenderConfig(target.url, "pessimistic"), [])
    harness.point = "nowhere"
    with pytest.raises(LabError, match="the fault missed: no order reached the fault point 'nowhere'"):
        await PAUSE.run(harness, orders)
    with pytest.raises(LabError, match="the fault missed"):
        await harness.replace_victim()


async def test_a_victim_that_ends_by_itself_is_told_from_a_fault_that_misses(prepared):
    """The script does not wait for the fault point of a process that is away."""
    target, orders, harness = prepared
    await harness.prepare(SenderConfig(target.url, "pessimistic"), [])
    harness.point = "loaded"
    await harness.signal_at_point(signal.SIGSTOP)
    harness.victim._process.kill()
    await asyncio.to_thread(harness.victim._process.wait)
    with pytest.raises(LabError, match="the victim ended before the fault point 'loaded'"):
        await harness._wait_until_stopped(harness.send(harness.victim, orders.orders))


async def test_responses_of_a_killed_process_are_unknown_and_retried(prepared):
    """Its buyers get no response; each gets a decision when it repeats the request at the other process."""
    target, orders, harness = prepared
    await harness.prepare(SenderConfig(target.url, "pessimistic"), [])
    harness.victim._process.kill()
    responses = await harness.send(harness.victim, orders.orders)
    assert [(response.status, response.code, response.unknown) for response in responses] == [
        ("failed", "OUTCOME_UNKNOWN", True)
    ] * 5
    again = await harness.retry_failed(orders, responses)
    assert sorted(response.status for response in again) == ["accepted"] * 3 + ["rejected"] * 2
    assert [response.began_ns for response in again] == [response.began_ns for response in responses]


def test_every_file_is_found():
    """A fault is one file, and no other file lists it."""
    files = {path.stem for path in Path(folder.__file__).parent.glob("*.py")} - {"__init__"}
    assert set(faults()) == files == {fault.name for fault in find("all")}
    assert [fault.name for fault in find("pause, crash,pause")] == ["pause", "crash"]
    assert find("") == []
