"""The shop with tokens of a provider: its keys over HTTP, and users with any name on every route and database."""

import asyncio
import re
from urllib.parse import quote
from uuid import uuid4

import httpx2
import pytest

from stockade.core import Key
from stockade.identity import user_id_of
from stockade.identity.testing import LocalIssuer
from stockade.shop.audit import audit
from stockade.shop.bootstrap import open_worker
from stockade.shop.http.requests.authorization import Access
from stockade.shop.http.routing.routes import ROUTES
from stockade.shop.tokens import TokenIssuer
from tests.cli.service import Service, prepared
from tests.http.conftest import Client, application, make_schema
from tests.waiting import eventually_async

SUBJECTS = [
    "auth0|5f7c8ec7c33c6c004bbafe82",
    "ann.o+shop@example.com",
    "samlp|acme|ann@example.com",
    "3f2504e0-4f89-41d3-9a0c-0305e82c3301",
    "repo:octo-org/octo-repo:ref:refs/heads/main",
    "o'brien@example.com",
    "김 철수",
    "100% & more?#;",
    "x" * 255,
]


@pytest.fixture
def issuer():
    """A provider on this machine."""
    with LocalIssuer() as made:
        yield made


class Caller(Client):
    """A client with a token of the provider."""

    def __init__(self, http, state, user, issuer, **claims):
        self.http, self.state, self.user, self.issuer = http, state, user_id_of(user), issuer
        self.token = issuer.token(user, audience="shop", **claims)
        self._keys = 0

    def as_user(self, user, admin=False):
        """Another user of the same provider."""
        return Caller(self.http, self.state, user, self.issuer, realm_access={"roles": ["shop-admin"] if admin else []})


def settings_of(issuer, **changed):
    return {
        "token_jwks": issuer.jwks_url,
        "token_issuer": issuer.url,
        "token_audience": "shop",
        "token_admin_claim": "realm_access.roles",
        "token_admin_value": "shop-admin",
        **changed,
    }


def provided(url, tmp_path, issuer, **chosen):
    """The application on a database, with a client that has a token of the provider."""
    return application(
        url, tmp_path, client=lambda http, state: Caller(http, state, "ann", issuer), **(chosen or settings_of(issuer))
    )


@pytest.fixture
async def served(issuer, database_url, tmp_path):
    """A client of the application on each database, under the provider."""
    await make_schema(database_url)
    async with provided(database_url, tmp_path, issuer) as caller:
        yield caller


async def test_every_subject_is_a_user_on_every_route(served):
    """Points, cart, order, payment and lists work for every name, for its owner and for an administrator."""
    admin = served.as_user("root", admin=True)
    (sku,) = await served.product(stock=1_000)
    for subject in SUBJECTS:
        user, user_id = served.as_user(subject), user_id_of(subject)
        direct = quote(subject, safe="") if "/" not in subject else user_id
        for caller, name in ((user, direct), (user, user_id), (admin, user_id)):
            path = f"/v1/users/{name}"
            charge = await caller.post(f"{path}/point-charges", {"amount": 5_000, "method": "INSTANT"}, key=uuid4().hex)
            assert charge.status_code == 201, (subject, charge.text)
            put = await caller.send("PUT", f"{path}/cart/items/{sku}", json={"quantity": 2})
            assert put.status_code == 200, (subject, put.text)
            assert len((await caller.get(f"{path}/cart")).json()["items"]) == 1
            removed = await caller.send("DELETE", f"{path}/cart/items/{sku}")
            assert removed.status_code == 204
            assert (await caller.get(f"{path}/points/entries")).status_code == 200
        placed = await user.order(sku)
        assert placed.status_code == 201, placed.text
        order_id = placed.json()["order_id"]
        for caller in (user, admin):
            assert (await caller.get(f"/v1/orders/{order_id}")).json()["user_id"] == user_id
        later = (await user.order(sku, pay="LATER")).json()["order_id"]
        paid = await user.post(f"/v1/orders/{later}/payments", {"method": "POINTS"})
        assert paid.status_code == 200, paid.text
        cancelled = await user.post(f"/v1/orders/{order_id}/cancel", {"reason": "changed my mind"})
        assert cancelled.status_code == 200, cancelled.text
        points = (await admin.get(f"/v1/users/{user_id}/points")).json()
        assert points["balance"] == 15_000 - 1_000
        assert len((await user.get(f"/v1/users/{user_id}/orders")).json()["items"]) == 2
        for name in (subject, user_id):
            listed = (await admin.get("/v1/admin/orders", params={"user_id": name})).json()["items"]
            assert {order["user_id"] for order in listed} == {user_id}
            assert len(listed) == 2
        stranger = served.as_user(subject + "!" if len(subject) < 255 else "y" * 255)
        assert (await stranger.get(f"/v1/users/{user_id}/points")).status_code == 403
        assert (await stranger.get(f"/v1/orders/{order_id}")).status_code == 404
    for wrong in ("", "x" * 256, "a\x00"):
        assert (await admin.get("/v1/admin/orders", params={"user_id": wrong})).status_code == 400
    assert not await served.state.shop.read(audit, wait_s=30)


@pytest.mark.postgres
@pytest.mark.redis
@pytest.mark.parametrize("strategy", ["redis-spin", "redis-pubsub", "advisory"])
async def test_every_subject_is_a_name_of_a_lock(issuer, postgres_database, redis_url, tmp_path, strategy):
    """Strategies that put the user's id into the name of a lock work for every name."""
    await make_schema(postgres_database)
    chosen = settings_of(issuer, strategy_points=strategy, strategy_stock=strategy, redis=redis_url)
    async with provided(postgres_database, tmp_path, issuer, **chosen) as root:
        for subject in SUBJECTS:
            user = root.as_user(subject)
            path = f"/v1/users/{user_id_of(subject)}"
            charged = await user.post(f"{path}/point-charges", {"amount": 5_000, "method": "INSTANT"})
            assert charged.status_code == 201, charged.text
            assert (await user.get(f"{path}/points")).json()["balance"] == 5_000


@pytest.mark.kafka
async def test_every_subject_is_a_key_of_a_message(issuer, sqlite_url, kafka_bootstrap, tmp_path):
    """Under the strategy kafka a worker decides the charges of every name; each is in the account of its user only."""
    log = {"kafka_bootstrap": kafka_bootstrap, "kafka_topic": f"users-{uuid4().hex}", "wait_s": 30}
    chosen = settings_of(issuer, strategy_points="kafka", strategy_stock="kafka", **log)
    async with provided(sqlite_url, tmp_path, issuer, **chosen) as root:
        users = [root.as_user(subject) for subject in SUBJECTS]
        async with open_worker(root.state.settings, lambda *_, **__: None) as worker:
            stop = asyncio.Event()
            running = asyncio.create_task(worker.run(stop))
            await asyncio.gather(*(user.charge(1_000 + place) for place, user in enumerate(users)))
            stop.set()
            await running
        for place, user in enumerate(users):
            points = await user.get(f"/v1/users/{user.user}/points")
            assert points.json()["balance"] == 1_000 + place


def test_every_id_of_a_user_makes_a_key():
    """A user id fits the columns of keys, and the text of its key names only it."""
    ids = [user_id_of(subject) for subject in SUBJECTS]
    assert max(map(len, ids)) <= 64
    assert len({str(Key("points", each)) for each in ids}) == len(SUBJECTS)


@pytest.fixture
async def over_sqlite(issuer, sqlite_url, tmp_path):
    """A client of the application on SQLite, under the provider."""
    async with provided(sqlite_url, tmp_path, issuer) as caller:
        yield caller


async def test_every_closed_route_needs_a_token_of_the_provider(over_sqlite, issuer):
    """Development tokens, and those of another audience or provider, are 401 on every route that is not open."""
    with LocalIssuer() as other:
        wrong = [
            TokenIssuer(b"a secret that is only used by tests").issue("ann", valid_s=60, admin=True),
            issuer.token("ann", audience="another"),
            issuer.token("ann", audience="shop", iss=other.url),
            other.token("ann", audience="shop", iss=issuer.url),
            issuer.token("ann", audience="shop", valid_s=-60),
        ]
    for route in (route for route in ROUTES if route.access is not Access.ANYONE):
        path = re.sub(r"{(\w+)}", lambda name: "ann" if name[1] == "user_id" else "some-id", route.path)
        for token in wrong:
            answer = await over_sqlite.send(route.method, path, token=token, key="k")
            assert (answer.status_code, answer.json()["code"]) == (401, "UNAUTHENTICATED"), (path, answer.text)
        right = await over_sqlite.send(route.method, path, key="k")
        assert right.status_code != 401, (path, right.text)


async def test_a_role_makes_an_administrator(over_sqlite):
    """The same request is 403 for a user, and allowed with the role that the settings name."""
    body = {"name": "a shirt", "category": "clothes", "skus": [{"price": 1, "stock": 1}]}
    assert (await over_sqlite.post("/v1/products", body)).status_code == 403
    assert (await over_sqlite.as_user("root", admin=True).post("/v1/products", body)).status_code == 201


async def test_without_keys_a_request_is_unavailable_not_refused(sqlite_url, issuer, tmp_path):
    """While the provider was never reached, a token is 503 with Retry-After; open routes work."""
    chosen = settings_of(issuer, token_jwks="http://127.0.0.1:1/jwks", token_retry_s=30)
    async with provided(sqlite_url, tmp_path, issuer, **chosen) as caller:
        answer = await caller.get("/v1/users/ann/orders")
        assert (answer.status_code, answer.json()["code"]) == (503, "DEPENDENCY_DOWN")
        assert answer.headers["retry-after"] == "30"
        assert (await caller.get("/v1/products", token="")).status_code == 200


async def test_a_service_follows_the_provider(issuer, tmp_path):
    """`stockade serve` in two processes takes tokens of a key that was made after its start, and logs no token."""
    url = f"sqlite:///{tmp_path / 'shop.db'}"
    await prepared(url, users=1, products=1, stock=9, points=0)
    chosen = settings_of(issuer, token_retry_s=0.1, token_secret="", access_log=1, log_level="debug")
    with Service(tmp_path, "--database", url, "--workers", 2, **chosen) as service:
        issued = []
        async with httpx2.AsyncClient(base_url=service.url) as http:
            for kid in ("key-1", "key-2", "key-3"):
                if kid != "key-1":
                    issuer.rotate(kid, "ES256")
                for _ in range(6):
                    issued.append(issuer.token("auth0|ann", audience="shop", number=len(issued)))
                    await _accepted(http, issued[-1])
        log = service.log.read_text()
    assert not any(part in log for token in issued for part in token.split(".")[1:])


async def _accepted(http, token):
    """A request with this token is answered; a process may have to wait before it reads the keys again."""
    path, headers = "/v1/users/auth0%7Cann/orders", {"Authorization": f"Bearer {token}", "Connection": "close"}
    await eventually_async(lambda: _is_ok(http, path, headers))


async def _is_ok(http, path, headers):
    return (await http.get(path, headers=headers)).status_code == 200
