"""When a service is ready: with the servers that its strategy needs, and told at the start what it lacks."""

import asyncio
import json
import os
import stat
import subprocess
import sys
import time
from uuid import uuid4

import httpx2
import pytest

from stockade import __version__
from stockade.shop.http.routing.service_routes import READY_KEPT_S
from tests.cli.service import Service, environment, prepared, stockade
from tests.cli.test_serve import place
from tests.waiting import eventually_async


async def readiness(http):
    """The status of /readyz and what it names."""
    answer = await http.get("/readyz")
    return answer.status_code, answer.json().get("detail", "")


async def not_kept():
    """Wait until an answer that was given before is kept no longer."""
    over_s = time.monotonic() + READY_KEPT_S

    async def over():
        return time.monotonic() > over_s

    await eventually_async(over)


@pytest.mark.redis
@pytest.mark.parametrize("strategy", ["redis-pubsub", "sequencer"])
async def test_a_lock_server_that_is_away(strategy, redis_server, tmp_path):
    """A service whose strategy needs Redis is not ready without it, and says so; the control needs none and stays."""
    url, server = f"sqlite:///{tmp_path / 'shop.sqlite'}", redis_server()
    await prepared(url)
    with Service(tmp_path, "--strategy", strategy, database=url, redis=server.url, wait_s=1) as service:
        async with service.client() as http:
            assert await readiness(http) == (200, "")
            server.stop()
            await not_kept()
            status, detail = await readiness(http)
            if strategy == "sequencer":
                assert status == 200
            else:
                assert (status, "lock server of redis-pubsub" in detail) == (503, True)
                assert str(server.port) not in detail  # hosts are for the log
            server.start()

            async def ready():
                return (await readiness(http))[0] == 200

            await eventually_async(ready)


@pytest.mark.redis
async def test_a_quorum_is_ready_without_one_of_three(redis_server, tmp_path):
    """What orders can do without, readiness does not ask for: two of three servers are a quorum, one is none."""
    url, servers = f"sqlite:///{tmp_path / 'shop.sqlite'}", [redis_server() for _ in range(3)]
    await prepared(url, products=1, stock=10)
    three = ",".join(each.url for each in servers)
    with Service(tmp_path, "--strategy", "redlock", database=url, redis=three, wait_s=1) as service:
        async with service.client("user-1") as http:
            servers[0].stop()
            assert await readiness(http) == (200, "")
            assert (await place(http, 1)).status_code == 201
            servers[1].stop()
            await not_kept()
            assert (await readiness(http))[0] == 503
            assert (await place(http, 2)).status_code == 503


@pytest.mark.kafka
async def test_brokers_that_are_away(servers, tmp_path):
    """Under the strategy kafka a service is ready only while the brokers answer; many who ask cost one question."""
    url, broker = f"sqlite:///{tmp_path / 'shop.sqlite'}", servers.kafka()
    await prepared(url)
    log = {"database": url, "kafka_bootstrap": broker.url, "kafka_topic": f"shop-{uuid4().hex}", "wait_s": 1}
    with Service(tmp_path, "--strategy", "kafka", **log) as service:
        async with service.client() as http:
            assert await readiness(http) == (200, "")
            broker.brokers[0].kill()
            await not_kept()
            answers = await asyncio.gather(*(readiness(http) for _ in range(8)))
            assert {status for status, _ in answers} == {503}
            assert all("Kafka" in detail for _, detail in answers)
            assert service.process.poll() is None


async def test_the_start_says_what_runs(tmp_path):
    """One line has the version, the database without its password, the strategies, the pool and the processes."""
    with Service(tmp_path, "--strategy", "pessimistic", pool_size=3) as service:
        lines = [json.loads(line) for line in service.log.read_text().splitlines()]
    (said,) = [line for line in lines if line["event"] == "serving"]
    assert (said["version"], said["pool_size"], said["workers"]) == (__version__, 3, 1)
    assert (said["stock"], said["points"]) == ("pessimistic", "pessimistic")
    assert said["database"].startswith("sqlite:///")


async def test_metrics_have_an_address_of_their_own(tmp_path):
    """With two processes too: by their port there is nothing else but health, and by the other port no metrics."""
    with Service(tmp_path, "--workers", "2", metrics_address="127.0.0.1:0", log_level="info") as service:
        port = await asyncio.to_thread(metrics_port, service)
        async with service.client() as api, httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}") as inside:
            for http, path, status in (
                (api, "/metrics", 404),
                (api, "//metrics/", 404),
                (api, "/v1/products", 200),
                (api, "/readyz", 200),
                (inside, "/metrics", 200),
                (inside, "/readyz", 200),
                (inside, "/v1/products", 404),
                (inside, "/openapi.json", 404),
            ):
                assert (await http.get(path)).status_code == status, (http.base_url, path)
            assert "stockade_request_seconds" in (await inside.get("/metrics")).text
    with Service(tmp_path) as service:  # the control: without the setting, metrics are with the API
        async with service.client() as api:
            assert (await api.get("/metrics")).status_code == 200


def metrics_port(service):
    """The port of the metrics, as the log has it."""
    lines = [json.loads(line) for line in service.log.read_text().splitlines()]
    return next(line["port"] for line in lines if line["event"] == "metrics")


@pytest.mark.parametrize("wrong", ["9100", "127.0.0.1", "127.0.0.1:99999", "http://127.0.0.1:9100", "127.0.0.1:8000"])
def test_an_address_that_cannot_be_used(wrong, tmp_path):
    """It ends the start with one line, before anything is opened."""
    refused = stockade(tmp_path, "serve", metrics_address=wrong)
    assert (refused.returncode, len(refused.stderr.splitlines())) == (2, 1)
    assert "metrics_address" in refused.stderr


def test_the_state_is_for_its_owner_only(tmp_path):
    """The folder, the database and the files beside it, and the secret can be read by no other user, whatever the
    umask says; the secret that was made is told, and only then."""
    old = os.umask(0o000)
    try:
        made = stockade(tmp_path, "demo")
        first = stockade(tmp_path, "token", "ann", token_secret="")
        second = stockade(tmp_path, "token", "ann", token_secret="")
    finally:
        os.umask(old)
    assert made.returncode == first.returncode == second.returncode == 0, made.stderr + first.stderr
    state = tmp_path / ".stockade"
    assert stat.S_IMODE(state.stat().st_mode) == 0o700
    files = {each.name: oct(stat.S_IMODE(each.stat().st_mode)) for each in state.iterdir()}
    assert {"stockade.db", "token.secret"} <= files.keys()
    assert set(files.values()) == {"0o600"}
    assert "warning: a new token secret was made" in first.stderr
    assert second.stderr == ""


def test_serve_tells_a_secret_that_it_made(tmp_path):
    """A service that signs with a new secret logs a warning: tokens of before are void."""
    words = [sys.executable, "-m", "stockade", "serve", "--port", "0"]
    settings = environment(token_secret="")
    with subprocess.Popen(words, cwd=tmp_path, env=settings, stdout=-1, stderr=-1, text=True) as process:
        assert process.stdout.readline().startswith("ready on")
        process.terminate()
        log = process.stderr.read()
    assert "a new token secret was made" in log
