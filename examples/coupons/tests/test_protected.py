"""The service behind a test issuer: its JWKS is read over HTTP, and its tokens name the users."""

import httpx
import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute

from coupons.config import Config
from coupons.protected import create_app
from stockade.identity.testing import LocalIssuer

CAMPAIGN = {"id": "spring", "size": 2, "ends_in_s": 60}


@pytest.fixture
def issuer():
    """A provider on this machine."""
    with LocalIssuer() as made:
        yield made


@pytest.fixture(params=["sequencer", "pessimistic", "optimistic"])
async def client(request, database, issuer):
    """A client of the started application under each strategy."""
    driver = {"sqlite": "sqlite+aiosqlite", "postgres": "postgresql+asyncpg"}[database.dialect.name]
    url = database.url.set(drivername=driver).render_as_string(hide_password=False)
    app = create_app(Config(url, request.param), jwks=issuer.jwks_url, issuer=issuer.url)
    elsewhere = FastAPI()  # the same routes at other paths: who may call one does not depend on where it is
    elsewhere.state, elsewhere.dependency_overrides = app.state, app.dependency_overrides
    for route in app.routes:
        if isinstance(route, APIRoute):
            path, methods = f"/shop{route.path}", list(route.methods)
            elsewhere.add_api_route(path, route.endpoint, methods=methods, status_code=route.status_code)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(elsewhere), base_url="http://coupons/shop") as client,
    ):
        yield client


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


async def test_tokens_name_the_users(client, issuer):
    """One coupon for each subject, campaigns by administrators only, and nothing for a header or another audience."""
    ann = bearer(issuer.token("auth0|ann", audience="coupons"))
    admin = bearer(issuer.token("root", audience="coupons", realm_access={"roles": ["coupons-admin"]}))
    assert (await client.post("/campaigns", json=CAMPAIGN, headers=ann)).status_code == 403
    assert (await client.post("/campaigns", json=CAMPAIGN, headers=admin)).status_code == 201
    assert (await client.post("/campaigns/spring/coupons", headers=ann)).status_code == 201
    assert (await client.post("/campaigns/spring/coupons", headers=ann)).json() == {"detail": "ALREADY_GIVEN"}
    other = bearer(issuer.token("bob", audience="shop"))
    for headers in ({}, {"X-User": "bob"}, other):
        assert (await client.post("/campaigns/spring/coupons", headers=headers)).status_code == 401
    issuer.rotate("key-2", "ES256")
    assert len((await client.get("/me/coupons", headers=ann)).json()) == 1
