"""Lab runs of the strategy over a log: a private Kafka or a named one, accepted and decided, figures and topics."""

import json
import os
import re
import signal
import subprocess
import sys
from functools import partial

import jsonschema_rs
import pytest

from stockade.kafka.admin import Admin
from stockade.lab.errors import LabError
from stockade.lab.execution.command_log.log_workers import LogWorkers
from stockade.lab.presets import find
from stockade.lab.targets import kafka_servers
from stockade.lab.targets.kafka_servers import NOT_REQUESTED, KafkaServers
from stockade.lab.targets.target_database import open_target_database
from stockade.shop.application import PATH
from tests.lab.conftest import by_strategy
from tests.lab.test_document import PAGE
from tests.waiting import eventually

pytestmark = pytest.mark.kafka
QUICK = ("--repeats", "2", "--strategies", "kafka")


@pytest.fixture(autouse=True)
def _nothing_named(monkeypatch):
    """No kafka_servers of the environment: what the lab does by itself is tested."""
    monkeypatch.delenv("STOCKADE_TEST_KAFKA", raising=False)


def topics_of(bootstrap, lab_pid=None):
    """The topics that are left of a lab, by default of this process: other tests use the brokers at the same time."""
    from confluent_kafka.admin import AdminClient

    found = AdminClient({"bootstrap.servers": bootstrap}).list_topics(timeout=15).topics
    return [name for name in found if name.startswith(f"stockade-lab-{lab_pid or os.getpid()}-")]


def test_a_private_broker_is_started_for_it(lab):
    """Named in --strategies it gets a broker, a worker process and topics; 20 of 20 are sold, as promised."""
    code, document, output = lab(*QUICK)
    assert code == 0, output
    (run,) = document["runs"]
    assert (run["accepted"], run["rejected"], run["left"], run["verdict"]) == (20, 10, 0, "as promised")
    jsonschema_rs.validate(json.loads(re.search(r"```json\n(.*?)```", PAGE, re.DOTALL).group(1)), document)


@pytest.mark.postgres
def test_published_times_beside_ours(lab, postgres_database, kafka_bootstrap):
    """The published 377 ms stand beside our time, and accepted is distinguished from decided."""
    names = ("pessimistic", "kafka")
    code, document, output = lab(
        *("--repeats", "2", "--strategies", ",".join(names), "--database", postgres_database),
        *("--kafka", kafka_bootstrap),
    )
    assert code == 0, output
    rows = {line.split()[0]: line.split() for line in output.splitlines() if line.startswith(names)}
    assert {name: row[8] for name, row in rows.items()} == {"pessimistic": "527", "kafka": "377"}
    runs = by_strategy(document)
    assert "log" not in runs["pessimistic"]
    log = runs["kafka"]["log"]
    assert (log["partitions"], log["workers"]) == (3, 1)
    assert len(log["accepted_wall_ms"]["samples"]) == len(runs["kafka"]["wall_ms"]["samples"]) == 2
    assert log["accepted_latency_ms"]["p50"] <= log["accepted_latency_ms"]["p99"]
    assert 1 < log["orders_per_transaction"] <= 30, "the orders of one product must meet in batches"
    assert 0 <= log["lag"] <= 30
    assert runs["kafka"]["attempts_per_order"] < 1
    assert re.search(r"accepted [\d.]+ \(.*\) ms, p50/p95/p99 .*; above: decided", output)
    assert re.search(r"3 partitions, 1 worker, [\d.]+ orders per transaction, lag at most \d+", output)
    assert "published of kafka: until accepted, so it compares with accepted" in output
    assert topics_of(kafka_bootstrap) == []


def test_every_preset_runs_under_it(lab, kafka_bootstrap):
    """All workloads are decided right, on six partitions; who does not fit is named with the reason."""
    code, document, output = lab(
        *("--preset", "all", "--repeats", "1", "--strategies", "kafka", "--buyers", "10", "--stock", "1000"),
        *("--partitions", "6", "--kafka", kafka_bootstrap),
    )
    assert code == 0, output
    ran = {run["preset"] for run in document["runs"]}
    assert ran == {name for name, variant in find("all") if not variant.strategies and variant.payment is None}
    assert {(run["log"]["partitions"], run["log"]["workers"]) for run in document["runs"]} == {(6, 1)}
    assert "left out: all: not applicable on sqlite" in output
    assert topics_of(kafka_bootstrap) == []


def test_two_processes_take_orders_and_two_decide(lab, kafka_bootstrap):
    """Services queue side by side, workers share the partitions: nothing is sold twice."""
    code, document, output = lab(*QUICK, "--processes", "2", "--workers", "2", "--kafka", kafka_bootstrap)
    assert code == 0, output
    (run,) = document["runs"]
    assert (run["accepted"], run["rejected"], run["left"], run["log"]["workers"]) == (20, 10, 0, 2)


def test_brokers_that_are_not_there_end_the_run_with_a_message(lab, monkeypatch):
    """A named Kafka that does not answer ends the run before anything is measured."""
    monkeypatch.setattr(kafka_servers, "Admin", partial(Admin, wait_s=1.0))
    code, document, output = lab(*QUICK, "--kafka", "127.0.0.1:1")
    assert (code, document) == (2, None)
    assert "error: kafka: Kafka cannot be reached" in output


def test_a_run_that_is_stopped_leaves_no_topics(tmp_path, kafka_bootstrap):
    """Ended by SIGTERM in the middle, it removes its topics from the brokers of others."""
    command = [sys.executable, "-m", "stockade", "lab", "--repeats", "5000", "--strategies", "kafka,pessimistic"]
    run = subprocess.Popen(
        [*command, "--kafka", kafka_bootstrap],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )
    try:
        eventually(lambda: any(name.endswith(".dead") for name in topics_of(kafka_bootstrap, run.pid)))
        run.send_signal(signal.SIGTERM)
        _, errors = run.communicate(timeout=60)
    finally:
        run.kill()
        run.wait()
    assert (run.returncode, "Traceback" in errors) == (143, False), errors
    eventually(lambda: topics_of(kafka_bootstrap, run.pid) == [])
    assert not list(tmp_path.glob("stockade-*"))


async def test_a_worker_that_ends_ends_the_run(kafka_bootstrap):
    """The run does not wait for a worker that has ended; its topics are removed nevertheless."""

    async def interrupted(target, log_workers):
        async with log_workers.open_log(PATH, target.url, kafka_bootstrap, 2):
            assert [each.partitions for each in await log_workers.progress()] == [(0, 1)]
            os.kill(log_workers.processes[0].pid, signal.SIGKILL)
            await log_workers.progress()

    async with open_target_database("sqlite", 4) as target:
        with pytest.raises(LabError, match="log worker 0 ended"):
            async with LogWorkers(1, 2) as log_workers:
                await interrupted(target, log_workers)
    eventually(lambda: topics_of(kafka_bootstrap) == [])


def test_without_brokers_it_is_left_out():
    """The message says how to run this strategy too."""
    from stockade.lab.model.contender import Contender

    assert KafkaServers().why_not(Contender("kafka")) == NOT_REQUESTED
    assert KafkaServers().why_not(Contender("pessimistic")) == ""
    assert KafkaServers("a:1").why_not(Contender("kafka")) == ""
