"""Traces of orders: one trace from the caller's request to the transaction, also across Kafka; nothing when off."""

import asyncio
import subprocess
import sys
from contextlib import asynccontextmanager
from uuid import uuid4

import httpx2
import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from stockade.core import Accepted, Guard
from stockade.shop.bootstrap import open_shop, open_worker
from stockade.shop.config.settings import Settings
from stockade.shop.http.routing.app import create_app
from stockade.shop.migrations import SCHEMA
from stockade.shop.operations.tracing import TracedShop, TracedStore, Tracing, tracing_of
from stockade.shop.shop import Shop
from stockade.store import SqlStore
from tests.http.conftest import SECRET, Client
from tests.waiting import eventually_async

CALLER = "4bf92f3577b34da6a3ce929d0e0e4736"
TRACEPARENT = {"traceparent": f"00-{CALLER}-00f067aa0ba902b7-01"}
EXPORTER = InMemorySpanExporter()


@pytest.fixture
def spans():
    """Function: the spans that have ended since the test began, by name."""
    provider = trace.get_tracer_provider()
    if not isinstance(provider, TracerProvider):
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(EXPORTER))
        trace.set_tracer_provider(provider)
    EXPORTER.clear()
    return lambda name: [each for each in EXPORTER.get_finished_spans() if each.name == name]


@asynccontextmanager
async def shop(url, tmp_path, **settings):
    """An open shop, and a client of its application."""
    chosen = Settings(database=url, state_dir=str(tmp_path), token_secret=SECRET, tracing="yes", **settings)
    async with open_shop(chosen, jobs=False, before=SCHEMA.migrate) as opened:
        app, state = create_app(opened)
        async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url="http://shop") as http:
            yield Client(http, state), chosen


def trace_of(span):
    return format(span.context.trace_id, "032x")


@pytest.mark.parametrize("strategy", ["pessimistic", "sequencer"])
async def test_an_order_is_one_trace(strategy, database_url, tmp_path, spans):
    """Request, command and transaction are spans of the caller's trace, each the parent of the next."""
    async with shop(database_url, tmp_path, strategy_stock=strategy) as (client, _):
        (sku,) = await client.product(stock=1)
        EXPORTER.clear()
        assert (await client.order(sku, pay="LATER", headers=TRACEPARENT)).status_code == 201
        assert (await client.order(sku, pay="LATER")).status_code == 409
    request, refused = spans("POST /v1/orders")
    command, rejected = spans("command place_order")
    transaction, other = spans("transaction")
    assert trace_of(request) == CALLER
    assert command.parent.span_id == request.context.span_id
    assert transaction.parent.span_id == command.context.span_id
    assert trace_of(transaction) == CALLER != trace_of(other)
    assert (request.attributes["http.response.status_code"], refused.attributes["http.response.status_code"]) == (
        201,
        409,
    )
    assert command.attributes["stockade.strategy"] == strategy
    outcomes = [each.attributes["stockade.outcome"] for each in (command, rejected)]
    assert outcomes == ["ACCEPTED", "OUT_OF_STOCK"]
    texts = [str(value) for each in EXPORTER.get_finished_spans() for value in (each.name, *each.attributes.values())]
    assert not [text for text in texts if "ann" in text.split("/")]  # no span names a user


async def test_a_batch_is_linked_with_all_of_its_orders(sqlite_url, tmp_path, spans):
    """Of a batch each order finds the transaction: as its child, or by a link in both directions."""
    async with shop(sqlite_url, tmp_path) as (client, _):
        (sku,) = await client.product(stock=100)
        EXPORTER.clear()
        await asyncio.gather(*(client.order(sku, pay="LATER") for _ in range(30)))
    commands = {each.context.span_id: each for each in spans("command place_order")}
    assert len(commands) == 30
    found = set()
    batches = spans("transaction")
    for batch in batches:
        of = {batch.parent.span_id} | {link.context.span_id for link in batch.links}
        assert len(of) == batch.attributes["stockade.commands"]
        for span_id in of - {batch.parent.span_id}:
            assert batch.context.span_id in {link.context.span_id for link in commands[span_id].links}
        found |= of
    assert found == commands.keys()
    assert len(batches) < 30


@pytest.mark.kafka
async def test_a_trace_crosses_kafka(sqlite_url, tmp_path, kafka_bootstrap, spans):
    """The worker's span and its transaction belong to the trace of the request, awaited or not."""
    log = {"kafka_bootstrap": kafka_bootstrap, "kafka_topic": f"traced-{uuid4().hex}", "wait_s": 20}
    log |= {"strategy_stock": "kafka", "strategy_points": "sequencer"}
    async with (
        shop(sqlite_url, tmp_path, **log) as (
            client,
            chosen,
        ),
        open_worker(chosen, lambda event, **fields: None) as worker,
    ):
        stop = asyncio.Event()
        running = asyncio.create_task(worker.run(stop))
        try:
            (sku,) = await client.product(stock=5)
            EXPORTER.clear()
            assert (await client.order(sku, pay="LATER", headers=TRACEPARENT)).status_code == 201
            queued = await client.order(sku, pay="LATER", headers={**TRACEPARENT, "Prefer": "respond-async"})
            assert queued.status_code == 202

            async def both():
                return len(spans("process place_order")) == 2

            await eventually_async(both)
        finally:
            stop.set()
            await running
    processed = spans("process place_order")
    assert {trace_of(each) for each in processed} == {CALLER}
    assert {each.parent.span_id for each in processed} == {
        each.context.span_id for each in spans("command place_order")
    }
    assert {each.attributes["stockade.outcome"] for each in processed} == {"ACCEPTED"}
    transactions = spans("transaction")
    assert {each.parent.span_id for each in transactions} <= {each.context.span_id for each in processed}
    assert {trace_of(each) for each in transactions} == {CALLER}


@pytest.mark.redis
async def test_locks_are_spans_of_the_command(sqlite_url, tmp_path, redis_url, spans):
    """Under a lock strategy the wait and the hold of each lock are children of the command's span."""
    async with shop(sqlite_url, tmp_path, strategy_stock="redis-pubsub", redis=redis_url) as (client, _):
        (sku,) = await client.product(stock=5)
        EXPORTER.clear()
        assert (await client.order(sku, pay="LATER", headers=TRACEPARENT)).status_code == 201
    (command,) = spans("command place_order")
    (wait,), (hold,) = spans("lock.wait"), spans("lock.hold")
    assert {wait.parent.span_id, hold.parent.span_id} == {command.context.span_id}


async def test_without_the_setting_nothing_is_traced(sqlite_url, tmp_path, spans):
    """Off, a request takes no other path: the plain shop, store and handlers, and no span; the control is on."""
    for tracing, kinds in (("no", (Shop, SqlStore)), ("yes", (TracedShop, TracedStore))):
        chosen = Settings(database=sqlite_url, state_dir=str(tmp_path), token_secret=SECRET, tracing=tracing)
        async with open_shop(chosen, jobs=False) as opened:
            assert (type(opened), type(opened.store)) == kinds
            app, state = create_app(opened)
            async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url="http://shop") as http:
                assert (await Client(http, state).get("/v1/products")).status_code == 200
        assert len(spans("GET /v1/products")) == (tracing == "yes")


@pytest.mark.parametrize(("tracing", "code"), [("no", 0), ("yes", 2)])
def test_without_the_extra(tracing, code, tmp_path):
    """Off, nothing of OpenTelemetry is imported; on and not installed, the start ends with what to install."""
    text = "import sys; sys.modules['opentelemetry'] = None; from stockade.__main__ import main; main()"
    words = ["demo", "--database", "sqlite://", "--users", "1", "--products", "1", "--set", f"tracing={tracing}"]
    done = subprocess.run(
        [sys.executable, "-c", text, *words], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == code, done.stderr
    assert ("pip install 'stockade[otel]'" in done.stderr) == (tracing == "yes")


class Received:
    """A command that a worker has read."""

    name = "stand_in"

    def __init__(self, number):
        self.request_id = str(number)


def test_spans_that_are_never_decided_are_bounded(spans, monkeypatch):
    """A worker that loses its partition leaves no span open for ever: beyond the bound the oldest one ends."""
    monkeypatch.setattr("stockade.shop.operations.tracing.MAX_OPEN", 3)
    tracing = Tracing()
    for number in range(5):
        tracing.received(Received(number), {})
    assert [each.attributes["stockade.request_id"] for each in spans("process stand_in")] == ["0", "1"]


def test_the_span_of_a_message_that_is_read_again_ends(spans):
    """After a rebalance a worker may read a message again that it had not decided: both spans end, each once."""
    tracing = Tracing()
    for _ in range(2):
        tracing.received(Received(1), {})
    assert len(spans("process stand_in")) == 1
    tracing.decided([Received(1)], [Accepted({})])
    outcomes = [each.attributes.get("stockade.outcome") for each in spans("process stand_in")]
    assert outcomes == [None, "ACCEPTED"]


def test_a_failed_transaction_leaves_no_text_of_its_error(spans, tmp_path):
    """A driver's error has the statement's parameters in its text: the span has the code only."""
    tracing = tracing_of(Settings(state_dir=str(tmp_path), tracing="yes"))
    with pytest.raises(RuntimeError), tracing.transaction([], Guard.ROW):
        raise RuntimeError("[parameters: ann@example.com]")
    (span,) = spans("transaction")
    assert span.attributes["stockade.outcome"] == "INTERNAL_ERROR"
    assert not span.events
    assert "ann@example.com" not in span.to_json()
