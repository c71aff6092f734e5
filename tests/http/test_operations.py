"""Health, readiness and metrics of the service itself."""

import asyncio
import contextlib
import socket
import time

import httpx2
import pytest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import text

from stockade.shop.http.responses.response import Response
from stockade.shop.http.responses.response_cache import ResponseCache
from stockade.shop.migrations import SCHEMA, SHOP
from stockade.shop.operations.metrics_server import MAX_CONNECTIONS, MAX_HEAD_BYTES, MetricsServer
from stockade.store.schema.migrate import shown
from tests.http.stand_ins import Failing, Held


async def test_alive_and_ready(client):
    """A healthy service says so, without a token."""
    for path in ("/healthz", "/readyz"):
        answer = await client.get(path, token="")
        assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


async def test_a_stopping_process_is_alive_but_not_ready(client):
    """Readiness ends first, so that no new requests are sent here."""
    client.state.concurrency.stopping = True
    assert (await client.get("/healthz")).status_code == 200
    answer = await client.get("/readyz")
    assert (answer.status_code, answer.json()["code"]) == (503, "NOT_READY")
    assert "stopping" in answer.json()["detail"]


@pytest.mark.parametrize("stopping", [True, False])
async def test_a_request_that_outlives_the_stop(client, stopping):
    """Cancelled at the end of a stop, an order is a 503 and may have happened; any other cancellation is one."""
    (sku,) = await client.product(stock=2)
    held = Held(client.state.shop)
    order = asyncio.create_task(client.order(sku, 1, pay="LATER"))
    await held.arrived.wait()
    client.state.concurrency.stopping = stopping
    order.cancel()
    (answer,) = await asyncio.gather(order, return_exceptions=True)
    if stopping:
        assert (answer.status_code, answer.json()["code"]) == (503, "NOT_READY")
        assert (answer.json()["outcome"], answer.json()["retryable"]) == ("unknown", True)
    else:
        assert isinstance(answer, asyncio.CancelledError)
    assert client.state.concurrency.in_flight == 0


async def test_an_old_schema_is_not_ready(client):
    """Without the present schema no orders can be taken, and the answer names the cure."""
    older = text(f"UPDATE {SHOP.version_table} SET version_num = '0001'")
    await client.state.shop.database.transaction(lambda c: c.execute(older), deadline=time.monotonic() + 5)
    answer = await client.get("/readyz")
    assert answer.status_code == 503
    assert shown(SCHEMA.newest()) in answer.json()["detail"]
    assert "stockade migrate" in answer.json()["detail"]


async def test_readiness_is_checked_once_for_all_who_ask(client):
    """Many who ask at once, or again within the time, cost one look at the database; and a stop is seen at once."""
    database, asked = client.state.shop.database, []
    under = database.read

    async def counted(body, **limits):
        asked.append(body)
        return await under(body, **limits)

    database.read = counted
    assert (await client.get("/readyz")).status_code == 200
    one = len(asked)
    answers = await asyncio.gather(*(client.get("/readyz") for _ in range(20)))
    assert {each.status_code for each in answers} == {200}
    assert len(asked) == one > 0
    client.state.concurrency.stopping = True
    assert (await client.get("/readyz")).status_code == 503


async def test_readiness_takes_no_longer_than_it_may(start):
    """A read that waits for ever ends with `wait_s`: the two reads of a check have one time limit together."""

    async def hang(body, **limits):
        await asyncio.Event().wait()

    async with start(wait_s=0.05) as client:
        client.state.shop.database.read = hang
        async with asyncio.timeout(5):
            answer = await client.get("/readyz")
        assert (answer.status_code, "within 0.05 s" in answer.json()["detail"]) == (503, True)


@pytest.mark.parametrize("history", SCHEMA.histories, ids=lambda each: each.name)
async def test_a_newer_schema_is_ready(client, history):
    """A newer version migrates first: until they are replaced, processes of this version stay ready."""
    newer = text(f"UPDATE {history.version_table} SET version_num = '9999'")
    await client.state.shop.database.transaction(lambda c: c.execute(newer), deadline=time.monotonic() + 5)
    assert (await client.get("/readyz")).status_code == 200


async def samples(client):
    """The metrics as (name, labels in the order of their names) -> value."""
    answer = await client.get("/metrics", token="")
    assert answer.headers["content-type"].startswith("text/plain")
    families = text_string_to_metric_families(answer.text)
    return {(each.name, *each.labels.values()): each.value for family in families for each in family.samples}


async def test_metrics_count_requests_commands_and_store_events(client):
    """Requests by route and status, outcomes by strategy and code, and what the store did are counted."""
    (sku,) = await client.product(stock=2)
    await client.order(sku, 1, pay="LATER", key="a")
    await client.order(sku, 1, pay="LATER", key="a")
    await client.order(sku, 5, pay="LATER")
    found = await samples(client)
    assert found["stockade_commands_total", "ACCEPTED", "place_order", "sequencer"] == 1
    assert found["stockade_commands_total", "REPLAYED", "place_order", "sequencer"] == 1
    assert found["stockade_commands_total", "OUT_OF_STOCK", "place_order", "sequencer"] == 1
    assert found["stockade_request_seconds_count", "POST /v1/orders", "201"] == 2
    assert found["stockade_request_seconds_count", "POST /v1/orders", "409"] == 1
    assert found["stockade_store_total", "commits"] == client.state.shop.store.stats.commits
    assert found["stockade_waiting", "at_work"] == 0
    Failing(client.state.shop, ValueError("x"))
    await client.order(sku)
    assert (await samples(client))["stockade_commands_total", "INTERNAL_ERROR", "place_order", "failing"] == 1


class Clock:
    """A clock that a test moves."""

    now_s = 100.0

    def __call__(self):
        return self.now_s


async def test_kept_answers_end_when_the_setting_says():
    """With `cache_s` = 24 a response is made anew after 24 seconds, not after 24 of another unit."""
    clock, made = Clock(), []
    cache = ResponseCache(24.0, clock)

    async def make():
        made.append(clock.now_s)
        return Response(200, b"%d" % len(made))

    assert (await cache.get("k", make)).body == b"1"
    clock.now_s += 23.9
    assert (await cache.get("k", make)).body == b"1"
    clock.now_s += 0.2
    assert (await cache.get("k", make)).body == b"2"


async def test_kept_answers_are_bounded_and_errors_are_not_kept():
    """Many different requests do not grow the memory, and a failure is not remembered."""
    cache = ResponseCache(10.0)

    async def make():
        return Response(200, b"")

    async def fail():
        raise ValueError("once")

    with pytest.raises(ValueError, match="once"):
        await cache.get("k", fail)
    for number in range(1000):
        await cache.get(number, make)
    assert len(cache._entries) <= 256
    assert not cache._pending


async def test_popular_is_kept_and_stock_is_not(start):
    """Popular products may be a little old; stock and the product's available units never are."""
    async with start(cache_s=300) as client:
        (sku,) = await client.product(stock=5)
        await client.charge()
        assert (await client.get("/v1/products/popular")).json()["items"] == []
        await client.order(sku, 2)
        assert (await client.get("/v1/products/popular")).json()["items"] == []
        assert (await client.get("/v1/products/popular?limit=6")).json()["items"] != []
        assert (await client.get(f"/v1/skus/{sku}/stock")).json()["available"] == 3
        (product,) = (await client.get("/v1/products")).json()["items"]
        assert product["skus"][0]["available"] == 3


@pytest.mark.redis
@pytest.mark.parametrize("strategy", ["redis-pubsub", "in-process", "sequencer"])
async def test_metrics_of_locks(start, redis_url, strategy):
    """Under a strategy with locks, waits and holds are counted under its name; under another one there are none."""
    async with start(strategy_stock=strategy, strategy_points=strategy, redis=redis_url) as client:
        (sku,) = await client.product(stock=2)
        await client.order(sku, 1, pay="LATER")
        found = await samples(client)
        waits = [value for name, value in found.items() if name[0] == "stockade_lock_wait_seconds_count" and value]
        if strategy == "sequencer":
            assert waits == []
        else:
            assert found["stockade_lock_wait_seconds_count", "acquired", strategy] >= 1
            assert found["stockade_lock_hold_seconds_count", "released", strategy] >= 1


@pytest.fixture
async def worker_metrics():
    """The port at which a process without routes of its own answers."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        async with MetricsServer(lambda: b"stockade_x 1\n").serving(listening):
            yield listening.getsockname()[1]


async def test_a_worker_answers_for_its_metrics(worker_metrics):
    """The metrics and whether it is alive, and nothing else."""
    async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{worker_metrics}") as http:
        answers = [
            await http.get("/metrics"),
            await http.get("/healthz"),
            await http.get("/"),
            await http.post("/metrics"),
        ]
    assert [each.status_code for each in answers] == [200, 200, 404, 404]
    assert (answers[0].text, answers[1].json()) == ("stockade_x 1\n", {"status": "ok"})
    assert answers[0].headers["content-type"].startswith("text/plain; version=0.0.4")


async def test_a_worker_has_few_connections_for_its_metrics(worker_metrics):
    """One beyond the bound is closed at once, a request that is too long too; those within it are answered."""
    streams = [await asyncio.open_connection("127.0.0.1", worker_metrics) for _ in range(MAX_CONNECTIONS + 1)]
    async with asyncio.timeout(10):
        assert await streams[-1][0].read() == b""
        streams[0][1].write(b"GET /" + b"x" * 2 * MAX_HEAD_BYTES)
        with contextlib.suppress(ConnectionError):
            assert await streams[0][0].read() == b""
        for reader, writer in streams[1:-1]:
            writer.write(b"GET /metrics HTTP/1.1\r\n\r\n")
            assert (await reader.read()).startswith(b"HTTP/1.1 200 OK")
    for _, writer in streams:
        writer.close()
