"""Commands of an application of one's own under the strategy `kafka`: `stockade worker --app` decides the coupons."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import pytest

from coupons.application import APPLICATION
from stockade.core import Accepted
from stockade.kafka.admin import Admin
from stockade.kafka.options import KafkaOptions
from stockade.service import open_service
from stockade.store import Database
from stockade.strategies.options import Options
from stockade.testing import race_commands
from tests.service.conftest import campaign, give
from tests.test_tidy import ROOT
from tests.waiting import eventually_async

EXAMPLE = ROOT / "examples" / "coupons" / "src"


@pytest.fixture
async def database(postgres_database):
    """The schema of the example on PostgreSQL."""
    opened = await Database.open(postgres_database, tables=APPLICATION.tables)
    try:
        await APPLICATION.schema.migrate(opened)
        yield opened
    finally:
        await opened.close()


@pytest.fixture
async def log(kafka_bootstrap):
    """A fresh topic of two partitions, removed at the end."""
    name = f"coupons.{uuid4().hex[:12]}"
    yield KafkaOptions(APPLICATION.codec, kafka_bootstrap, topic=name, group=name, partitions=2)
    admin = Admin(kafka_bootstrap)
    for topic in (name, f"{name}.dead"):
        admin.delete_topic(topic)


@pytest.fixture
def worker(database, log, tmp_path):
    """`stockade worker --app` in a process of its own."""
    stockade = Path(sys.executable).parent / "stockade"
    settings = {"kafka_bootstrap": log.bootstrap, "kafka_topic": log.topic, "kafka_group": log.group}
    command = [stockade, "worker", "--app", "coupons.application:APPLICATION"]
    command += ["--database", database.url.render_as_string(hide_password=False)]
    command += [word for name, value in settings.items() for word in ("--set", f"{name}={value}")]
    said = (tmp_path / "worker.log").open("w+")
    variables = {**os.environ, "PYTHONPATH": str(EXAMPLE)}
    process = subprocess.Popen(command, env=variables, stdout=said, stderr=said, cwd=tmp_path)
    yield process, tmp_path / "worker.log"
    if process.poll() is None:
        process.kill()
    process.wait()
    said.close()


async def test_a_worker_decides_the_commands_of_another_application(database, log, worker):
    """Of 60 users who ask at once for 40 coupons, 40 get one; the worker stops when it is told to."""
    process, said = worker
    async with open_service(APPLICATION, database, "kafka", Options(wait_s=20, kafka=log)) as service:

        async def taken():
            assert process.poll() is None, said.read_text()
            return "partition taken" in said.read_text()

        await eventually_async(taken, 30)
        assert isinstance(await service.execute(campaign(40)), Accepted)
        results = await race_commands(service.execute, [give(f"user-{n}") for n in range(60)])
    given = [each.data["number"] for each in results if isinstance(each, Accepted)]
    assert sorted(given) == list(range(1, 41)), results
    assert await database.read(APPLICATION.audit) == []
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 0, said.read_text()
