"""docs/how-to/commands-in-frameworks.md: its programs run in FastAPI, Django and Celery over a real database."""

import asyncio
import os
from types import ModuleType

import pytest
from httpx2 import ASGITransport, AsyncClient

from stockade.service import BlockingService
from stockade.store import STORE_SCHEMA, Database
from tests.docs.blocks import program
from tests.docs.django_settings import configure
from tests.store.conftest import soon

PAGE = "how-to/commands-in-frameworks.md"
FASTAPI, DJANGO, CELERY = range(3)


@pytest.fixture
async def seats(tmp_path, monkeypatch):
    """The program of the page about own tables as the module `seats`, and a database with its tables."""
    url = f"sqlite:///{tmp_path / 'seats.db'}"
    module = program("how-to/own-tables.md", name="seats")
    database = await Database.open(url)
    await STORE_SCHEMA.migrate(database)
    await database.transaction(module.own.create_all, deadline=soon(20))
    await database.close()
    monkeypatch.setenv("DATABASE_URL", url)
    return module


async def book(client, user, key):
    return await client.post("/shows/hamlet/seats", headers={"X-User": user, "Idempotency-Key": key})


async def test_fastapi_books_five_seats(seats):
    """Of eight users five get a seat; a repeated key is answered alike."""
    app = program(PAGE, name="frameworks_fastapi", only=[FASTAPI]).app
    async with (
        app.router.lifespan_context(app),
        AsyncClient(transport=ASGITransport(app), base_url="http://t") as client,
    ):
        answers = await asyncio.gather(*(book(client, f"user-{n}", "1") for n in range(8)))
        assert sorted(each.status_code for each in answers) == [200] * 5 + [409] * 3
        first = next(n for n, each in enumerate(answers) if each.status_code == 200)
        assert (await book(client, f"user-{first}", "1")).json() == answers[first].json()


async def test_django_opens_the_service_with_the_server(seats, tmp_path):
    """The ASGI wrapper opens and closes; the asynchronous view books and refuses."""
    from django.urls import path

    settings = configure(tmp_path)
    page = program(PAGE, name="frameworks_django", only=[DJANGO])
    urls = settings.ROOT_URLCONF = ModuleType("frameworks_urls")
    urls.urlpatterns = [path("shows/<str:show>/seats", page.book)]
    messages, sent = asyncio.Queue(), asyncio.Queue()
    serving = asyncio.create_task(page.application({"type": "lifespan"}, messages.get, sent.put))
    await messages.put({"type": "lifespan.startup"})
    assert (await sent.get())["type"] == "lifespan.startup.complete"
    async with AsyncClient(transport=ASGITransport(page.application), base_url="http://t") as client:
        answers = [await book(client, f"user-{n}", "1") for n in range(6)]
    assert [each.status_code for each in answers] == [200] * 5 + [409]
    assert answers[5].json() == {"code": "SOLD_OUT"}
    await messages.put({"type": "lifespan.shutdown"})
    await serving
    assert (await sent.get())["type"] == "lifespan.shutdown.complete"
    assert page.opened == []


def test_celery_carries_out_a_task_once(seats):
    """A task that is delivered twice books one seat; the child's signals open and close the service."""
    page = program(PAGE, name="frameworks_celery", only=[CELERY])
    page.start()
    try:
        outcomes = [page.book.apply(("hamlet", "ann"), task_id="t1").get() for _ in range(2)]
        assert outcomes == [{"left": 4}, {"left": 4}]
        others = [page.book.apply(("hamlet", f"user-{n}"), task_id=f"u{n}").get() for n in range(5)]
        assert others[-1] == {"refused": "SOLD_OUT"}
    finally:
        page.stop()
    with pytest.raises(RuntimeError, match="is not started"):
        page.service.execute(None)


async def test_a_blocking_service_says_where_it_cannot_be_used(seats):
    """On an event loop, before its start, after a fork."""
    application = program(PAGE, name="frameworks_fastapi", only=[FASTAPI]).APPLICATION
    service = BlockingService(application, os.environ["DATABASE_URL"])
    with pytest.raises(RuntimeError, match="would block this event loop"):
        service.execute(None)
    await asyncio.to_thread(service.start)
    try:
        await asyncio.to_thread(service.start)  # a second start does nothing
        service._pid += 1
        with pytest.raises(RuntimeError, match="started before a fork"):
            await asyncio.to_thread(service.execute, None)
        service._pid -= 1
        assert await asyncio.to_thread(service.read, lambda connection: connection.dialect.name) == "sqlite"
    finally:
        await asyncio.to_thread(service.close)
    nowhere = BlockingService(application, "nothing://")
    with pytest.raises(ValueError, match="nothing"):
        await asyncio.to_thread(nowhere.start)
