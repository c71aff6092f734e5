"""The HTTP service, over one database and all that runs beside it."""

import asyncio
import os
import subprocess
import sys

import httpx
import pytest

from coupons.app import create_app
from coupons.config import Config


@pytest.fixture
async def client(database):
    """A client of the started application."""
    driver = {"sqlite": "sqlite+aiosqlite", "postgres": "postgresql+asyncpg"}[database.dialect.name]
    url = database.url.set(drivername=driver).render_as_string(hide_password=False)
    app = create_app(Config(url))
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://coupons") as client,
    ):
        yield client


async def ask(client, user, **headers):
    return await client.post("/campaigns/spring/coupons", headers={"X-User": user, **headers})


async def test_a_campaign_from_its_start_to_its_end(client):
    """Created, given out, sold out, refused the second time, replayed with the same key."""
    body = {"id": "spring", "size": 2, "ends_in_s": 60}
    admin = {"X-User": "admin", "Idempotency-Key": "k0"}
    made = await client.post("/campaigns", json=body, headers=admin)
    again = await client.post("/campaigns", json=body, headers=admin)
    assert made.status_code == again.status_code == 201
    assert again.headers["Idempotent-Replayed"] == "true"
    assert (await client.post("/campaigns", json=body | {"ends_in_s": 61}, headers=admin)).status_code == 422
    first = await ask(client, "ann", **{"Idempotency-Key": "k1"})
    again = await ask(client, "ann", **{"Idempotency-Key": "k1"})
    assert first.status_code == again.status_code == 201
    assert first.json() == again.json()
    assert again.headers["Idempotent-Replayed"] == "true"
    assert (await ask(client, "ann")).json() == {"detail": "ALREADY_GIVEN"}
    assert (await ask(client, "bob")).json()["number"] == 2
    assert ((await ask(client, "eve")).status_code, (await ask(client, "eve")).json()) == (409, {"detail": "SOLD_OUT"})
    assert (await client.get("/campaigns/spring")).json()["free"] == 0
    assert [each["number"] for each in (await client.get("/me/coupons", headers={"X-User": "ann"})).json()] == [1]


async def test_a_hundred_at_once(client):
    """Of 30 users who ask at once, 20 get a coupon."""
    body = {"id": "spring", "size": 20, "ends_in_s": 60}
    assert (await client.post("/campaigns", json=body, headers={"X-User": "admin"})).status_code == 201
    answers = await asyncio.gather(*(ask(client, f"user-{n}") for n in range(30)))
    assert sorted(each.status_code for each in answers) == [201] * 20 + [409] * 10


async def test_who_is_not_known_gets_nothing(client):
    """Without a user there is no coupon, and without a campaign neither; ids and times have a longest."""
    long = "s" * 65
    assert (await client.post(f"/campaigns/{long}/coupons", headers={"X-User": "ann"})).status_code == 422
    assert (await client.get(f"/campaigns/{long}")).status_code == 422
    forever = {"id": "spring", "size": 2, "ends_in_s": 1e300}
    assert (await client.post("/campaigns", json=forever, headers={"X-User": "admin"})).status_code == 422
    assert (await client.post("/campaigns/spring/coupons")).status_code == 422
    assert (await ask(client, "ann")).status_code == 404


def test_an_unknown_strategy_is_one_line():
    """The server ends with the names that there are, and without a traceback."""
    words = [sys.executable, "-m", "uvicorn", "--factory", "coupons.app:create_app", "--port", "0"]
    wrong = os.environ | {"COUPONS_STRATEGY": "optimist"}
    ended = subprocess.run(words, env=wrong, capture_output=True, text=True, check=False, timeout=60)
    (line,) = ended.stderr.splitlines()
    assert line.startswith("COUPONS_STRATEGY = 'optimist': must be one of unprotected, ")
    assert ended.returncode == 1
