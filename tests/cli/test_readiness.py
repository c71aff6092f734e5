"""When a service is ready: with the servers that its strategy needs, and told at the start what it lacks."""

import asyncio
import json
import os
import stat
import time
from contextlib import asynccontextmanager
from uuid import uuid4

import httpx2
import pytest
from typer.testing import CliRunner

from stockade import __version__
from stockade.cli import app
from stockade.shop.config.settings import BadSetting, Settings
from stockade.shop.config.strategy_choice import check
from stockade.shop.http.routing.service_routes import READY_KEPT_S
from tests.cli.service import Service, prepared
from tests.http.conftest import application
from tests.waiting import eventually_async


@pytest.fixture
def start(tmp_path):
    """Function: settings -> a client of the application in this process, on a fresh database."""

    @asynccontextmanager
    async def started(**settings):
        url = f"sqlite:///{tmp_path / 'shop.sqlite'}"
        await prepared(url)
        async with application(url, tmp_path, **settings) as http:
            yield http

    return started


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
async def test_a_lock_server_that_is_away(strategy, redis_server, start):
    """A service whose strategy needs Redis is not ready without it, and says so; the control needs none and stays."""
    server = redis_server()
    chosen = {"strategy_stock": strategy, "strategy_points": strategy}
    async with start(redis=server.url, wait_s=1, **chosen) as http:
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
async def test_a_quorum_is_ready_without_one_of_three(redis_server, start):
    """What orders can do without, readiness does not ask for: two of three servers are a quorum, one is none."""
    servers = [redis_server() for _ in range(3)]
    three = ",".join(each.url for each in servers)
    async with start(strategy_stock="redlock", strategy_points="redlock", redis=three, wait_s=1) as http:
        (sku,) = await http.product()
        servers[0].stop()
        assert await readiness(http) == (200, "")
        assert (await http.order(sku, pay="LATER")).status_code == 201
        servers[1].stop()
        await not_kept()
        assert (await readiness(http))[0] == 503
        assert (await http.order(sku, pay="LATER")).status_code == 503


@pytest.mark.kafka
async def test_brokers_that_are_away(servers, tmp_path):
    """Under the strategy kafka a service is ready only while the brokers answer; many who ask cost one question."""
    broker = servers.kafka()
    log = {"kafka_bootstrap": broker.url, "kafka_topic": f"shop-{uuid4().hex}", "wait_s": 1}
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
    """One line has the version, the database without its password, the strategies, the pool and the processes; another
    one warns that the service signs with a new secret, which makes tokens of before void."""
    with Service(tmp_path, "--strategy", "pessimistic", pool_size=3, token_secret="") as service:
        async with service.client() as api:  # the control of the next test: metrics are with the API
            assert (await api.get("/metrics")).status_code == 200
        lines = [json.loads(line) for line in service.log.read_text().splitlines()]
    (said,) = [line for line in lines if line["event"] == "serving"]
    assert (said["version"], said["pool_size"], said["workers"]) == (__version__, 3, 1)
    assert (said["stock"], said["points"]) == ("pessimistic", "pessimistic")
    assert said["database"].startswith("sqlite:///")
    assert any(line["event"].startswith("a new token secret was made") for line in lines)


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


def metrics_port(service):
    """The port of the metrics, as the log has it."""
    lines = [json.loads(line) for line in service.log.read_text().splitlines()]
    return next(line["port"] for line in lines if line["event"] == "metrics")


@pytest.mark.parametrize("wrong", ["9100", "127.0.0.1", "127.0.0.1:99999", "http://127.0.0.1:9100", "127.0.0.1:8000"])
def test_an_address_that_cannot_be_used(wrong):
    """It ends the start before anything is opened."""
    with pytest.raises(BadSetting, match="metrics_address"):
        check(Settings(metrics_address=wrong))


def test_the_state_is_for_its_owner_only(tmp_path, monkeypatch):
    """The folder, the database and the files beside it, and the secret can be read by no other user, whatever the
    umask says; the secret that was made is told, and only then."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("STOCKADE_TOKEN_SECRET", raising=False)
    old = os.umask(0o000)
    try:
        made, first, second = (
            CliRunner().invoke(app, words) for words in (["demo"], ["token", "ann"], ["token", "ann"])
        )
    finally:
        os.umask(old)
    assert made.exit_code == first.exit_code == second.exit_code == 0, made.stderr + first.stderr
    state = tmp_path / ".stockade"
    assert stat.S_IMODE(state.stat().st_mode) == 0o700
    files = {each.name: oct(stat.S_IMODE(each.stat().st_mode)) for each in state.iterdir()}
    assert {"stockade.db", "token.secret"} <= files.keys()
    assert set(files.values()) == {"0o600"}
    assert "warning: a new token secret was made" in first.stderr
    assert second.stderr == ""
