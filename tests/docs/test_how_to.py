"""The how-to pages: their programs run against real servers and frameworks, and do what the pages say."""

import asyncio
import json
import re
from uuid import uuid4

import pytest
from httpx2 import ASGITransport, AsyncClient

from stockade.core import Busy
from stockade.locks import RedisLocks
from stockade.locks.aio import RedisLocks as AioRedisLocks
from stockade.shop.config.load import load_settings
from stockade.store import STORE_SCHEMA, Database, SqlStore
from stockade.strategies.options import Options
from tests.docs.blocks import blocks, program
from tests.docs.django_settings import configure
from tests.store.conftest import soon


@pytest.fixture
async def fastapi_client(redis_url, monkeypatch):
    """A client of the page's application, which is started and stopped with it."""
    monkeypatch.setenv("REDIS_URL", redis_url)
    app = program("how-to/lock-in-fastapi.md", name="fastapi_page").app
    async with (
        app.router.lifespan_context(app),
        AsyncClient(transport=ASGITransport(app), base_url="http://t") as client,
    ):
        yield client


async def test_fastapi_answers_409_while_another_request_holds_the_lock(fastapi_client, redis_url):
    """The report is built; while somebody else holds its lock the answer is 409, for another day it is 200."""
    assert (await fastapi_client.post("/reports/monday")).json() == {"day": "monday", "report": "report of monday"}
    async with AioRedisLocks(redis_url) as others, others.lock("report:monday"):
        refused = await fastapi_client.post("/reports/monday")
        assert (refused.status_code, refused.headers["Retry-After"]) == (409, "1")
        assert (await fastapi_client.post("/reports/tuesday")).status_code == 200
    assert (await fastapi_client.post("/reports/monday")).status_code == 200


@pytest.fixture
def django_page(redis_url, monkeypatch, tmp_path):
    """The page's model and view over a SQLite file with one invoice."""
    from django.db import connection

    monkeypatch.setenv("REDIS_URL", redis_url)
    configure(tmp_path)
    program("how-to/lock-in-django.md", name="shop.locks", only=[0])
    page = program("how-to/lock-in-django.md", name="django_page", only=[1])
    with connection.schema_editor() as editor:
        editor.create_model(page.Invoice)
    page.Invoice.objects.create(pk=1)
    yield page
    page.locks.close()
    connection.close()


def test_django_sends_an_invoice_once_and_refuses_a_late_holder(django_page, redis_url):
    """The second request sends nothing, a held lock is 409, and a row that has seen a newer token is 503."""
    from django.test import RequestFactory

    def send():
        answer = django_page.send_invoice(RequestFactory().post("/"), 1)
        return answer.status_code, json.loads(answer.content)

    assert send() == (200, {"sent_now": True})
    assert send() == (200, {"sent_now": False})
    with RedisLocks(redis_url) as others, others.lock("invoice:1"):
        assert send() == (409, {"error": "this invoice is being sent"})
    django_page.Invoice.objects.update(fence_token=2**62)
    assert send() == (503, {"error": "try again"})


def test_celery_skips_a_task_that_runs_elsewhere(redis_url, monkeypatch):
    """The task does its work; while another worker holds its lock it is skipped."""
    monkeypatch.setenv("REDIS_URL", redis_url)
    page = program("how-to/lock-in-celery.md", name="celery_page")
    try:
        assert page.rebuild_index.apply(("books",)).get() == "rebuilt"
        with RedisLocks(redis_url) as others, others.lock("index:books"):
            skipped = page.rebuild_index.apply(("music",)), page.rebuild_index.apply(("books",))
        assert [each.get() for each in skipped] == ["rebuilt", "skipped: another worker rebuilds it"]
    finally:
        page.locks.close()


async def test_the_new_strategy_is_right_and_bounded(database_url):
    """Thirty callers book five seats under the page's strategy; one that waits too long gets Busy."""
    seats = program("how-to/own-tables.md", name="own_tables_page")
    page = program("how-to/add-a-strategy.md", name="strategy_page")
    database = await Database.open(database_url)
    try:
        await STORE_SCHEMA.migrate(database)
        await database.transaction(seats.own.create_all, deadline=soon(20))
        strategy = page.SingleFile(SqlStore(database, [seats.SEATS]), Options(wait_s=10))
        await strategy.start()
        answers = await asyncio.gather(
            *(strategy.execute(seats.BookSeat(uuid4().hex, "hamlet", f"u{n}", 1)) for n in range(30))
        )
        assert sum(answer.accepted for answer in answers) == 5
        hurried = page.SingleFile(strategy.store, Options(wait_s=0.01))
        async with hurried._line:
            with pytest.raises(Busy):
                await hurried.execute(seats.BookSeat(uuid4().hex, "hamlet", "late", 1))
        await strategy.stop()
    finally:
        await database.close()


def test_the_settings_of_the_server_page_are_accepted(tmp_path):
    """The settings file and the environment of the page are read, and the unit runs a command that there is."""
    page = "how-to/run-on-a-server.md"
    (tmp_path / "stockade.toml").write_text(blocks(page, "toml")[0])
    secrets, unit = blocks(page, "ini")
    environment = dict(line.split("=", 1) for line in secrets.splitlines())
    settings = load_settings({}, environment, folder=tmp_path)
    assert (settings.workers, settings.strategy_stock, settings.drain_s) == (2, "sequencer", 5.0)
    assert "owner" not in settings.database_url
    assert "stockade serve --config" in unit
    assert float(re.search(r"TimeoutStopSec=(\d+)", unit)[1]) > settings.drain_s + settings.stop_wait_s + 3
    assert int(re.search(r"LimitNOFILE=(\d+)", unit)[1]) > settings.max_connections + 200


async def test_a_sink_of_your_own_receives_the_events(tmp_path, capsys):
    """The relay of docs/events.md hands every event of the outbox to its function, and ends when it is stopped."""
    seats, page = program("how-to/own-tables.md", name="own_tables_page"), program("events.md", name="events", only=[0])
    url = f"sqlite:///{tmp_path / 'seats.db'}"
    await seats.main(url)
    stop = asyncio.Event()
    delivered = []

    async def deliver(event):
        delivered.append(event.kind)
        if len(delivered) == 5:
            stop.set()

    page.deliver = deliver
    await asyncio.wait_for(page.relay(url, stop), 20)
    assert delivered == ["seat.booked"] * 5


def test_the_first_lock_runs(capsys):
    """The programs of the page run, and print what the page says."""
    program("start/lock.md", name="lock_page")
    assert capsys.readouterr().out == blocks("start/lock.md", "text")[0]
