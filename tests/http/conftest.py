"""The real application on a fresh SQLite database, spoken to in process; and one that is served, for payments."""

import asyncio
import itertools
import shutil
from contextlib import asynccontextmanager

import httpx2
import pytest

from stockade.devservers import Servers, drop_database, fresh_database
from stockade.devservers.gateway import GatewayClient
from stockade.shop.bootstrap import open_shop
from stockade.shop.config.settings import Settings
from stockade.shop.http.routing.app import create_app
from stockade.shop.migrations import SCHEMA
from stockade.store import Database
from tests.cli.service import Service, audited, prepared

SECRET = "a secret that is only used by tests"


class Client:
    """Speaks to an application as one user; every answer is a plain response."""

    def __init__(self, http, state, user="ann", admin=False):
        self.http, self.state, self.user = http, state, user
        self.token = state.tokens.issuer.issue(user, valid_s=3600, admin=admin)
        self._keys = 0

    def as_user(self, user, admin=False):
        """The same application, another caller."""
        return Client(self.http, self.state, user, admin)

    async def send(self, method, path, *, key=None, token=None, headers=(), **content):
        """One request; `key` is sent as it stands, `token=""` sends none."""
        sent = dict(headers)
        if token != "":
            sent["Authorization"] = f"Bearer {token or self.token}"
        if key is not None:
            sent["Idempotency-Key"] = key
        return await self.http.request(method, path, headers=sent, **content)

    async def get(self, path, **options):
        return await self.send("GET", path, **options)

    async def post(self, path, body, *, key=None, **options):
        """A POST with a key of its own unless one is given."""
        self._keys += 1
        return await self.send("POST", path, key=key or f"{self.user}-{self._keys}", json=body, **options)

    async def product(self, stock=20, price=1000, skus=1):
        """A new product; the ids of its SKUs."""
        admin = self.as_user("root", admin=True)
        body = {"name": "a shirt", "category": "clothes", "skus": [{"price": price, "stock": stock}] * skus}
        made = await admin.post("/v1/products", body, key=f"product-{stock}-{price}-{skus}-{id(body)}")
        assert made.status_code == 201, made.text
        return [sku["id"] for sku in made.json()["skus"]]

    async def charge(self, amount=100_000):
        """Points for this user."""
        made = await self.post(f"/v1/users/{self.user}/point-charges", {"amount": amount, "method": "INSTANT"})
        assert made.status_code == 201, made.text

    async def order(self, sku, quantity=1, pay="POINTS", **options):
        return await self.post("/v1/orders", {"lines": [{"sku_id": sku, "quantity": quantity}], "pay": pay}, **options)


async def make_schema(url):
    """Migrate a database."""
    database = await Database.open(url)
    await SCHEMA.migrate(database)
    await database.close()


@pytest.fixture(scope="session")
def migrated(tmp_path_factory):
    """A migrated SQLite file, to be copied: cheaper than a migration for each test."""
    path = tmp_path_factory.mktemp("schema") / "empty.sqlite"
    asyncio.run(make_schema(f"sqlite:///{path}"))
    return path


@asynccontextmanager
async def application(url, tmp_path, options=None, *, client=None, **settings):
    """An open shop and a client of its application; `client` makes another one than `Client`."""
    chosen = Settings(database=url, state_dir=str(tmp_path), token_secret=SECRET, **settings)
    async with open_shop(chosen, options=options, jobs=False) as shop:
        app, state = create_app(shop)
        transport = httpx2.ASGITransport(app=app, raise_app_exceptions=False)
        async with httpx2.AsyncClient(transport=transport, base_url="http://shop") as http:
            yield (client or Client)(http, state)


@pytest.fixture
def sqlite_url(migrated, tmp_path):
    """A fresh migrated SQLite database."""
    copy = tmp_path / "shop.sqlite"
    shutil.copy(migrated, copy)
    return f"sqlite:///{copy}"


@pytest.fixture
def start(sqlite_url, tmp_path):
    """Function: settings -> an application on the fresh database, as an async context manager."""
    return lambda **settings: application(sqlite_url, tmp_path, **settings)


@pytest.fixture
async def client(start):
    """A client of an application with the default settings."""
    async with start() as made:
        yield made


class Payable:
    """A served shop with demo data that takes payments through a private gateway, whose count is the judge.

    Attributes:
        url: of the database.
        service: the process.
        gateway: the server of the gateway, to pause.
        judge: its control.
    """

    def __init__(self, url, service, gateway):
        self.url, self.service, self.gateway, self.judge = url, service, gateway, GatewayClient(gateway.url)

    def buyer(self, user="user-1"):
        """A client over HTTP."""
        return Buyer(self.service.client(user))


class Buyer:
    """Speaks to a served shop as one user."""

    keys = itertools.count()

    def __init__(self, http):
        self.http = http

    async def __aenter__(self):
        await self.http.__aenter__()
        return self

    async def __aexit__(self, *error):
        await self.http.__aexit__(*error)

    async def get(self, path):
        """The body of an answer, which must be 200."""
        answer = await self.http.get(path)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def post(self, path, body, key=None):
        """A POST with a key of its own unless one is given."""
        headers = {"Idempotency-Key": key or f"key-{next(self.keys)}"}
        return await self.http.post(path, json=body, headers=headers)

    async def order(self, quantity=2):
        """A new order that waits to be paid."""
        made = await self.post("/v1/orders", {"lines": [{"sku_id": "sku-1", "quantity": quantity}], "pay": "LATER"})
        assert made.status_code == 201, made.text
        return made.json()

    async def pay(self, order, payment_key="card", key=None, amount=None):
        """Pay an order through the gateway; every payment key is used once."""
        body = {"method": "PG", "payment_key": f"{payment_key}-{next(self.keys)}", "amount": amount or order["total"]}
        return await self.post(f"/v1/orders/{order['order_id']}/payments", body, key)

    async def status(self, order):
        """The present state of an order."""
        return (await self.get(f"/v1/orders/{order['order_id']}"))["status"]


@pytest.fixture(scope="session", params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def payable(request, server_url, tmp_path_factory):
    """One served shop with its gateway for all tests of payments on one kind of database; the audit ends it."""
    folder = tmp_path_factory.mktemp("payable")
    server = None if request.param == "sqlite" else server_url("postgres")
    url = f"sqlite:///{folder / 'shop.sqlite'}" if server is None else asyncio.run(fresh_database(server))
    asyncio.run(prepared(url, products=1, stock=10_000, users=2))
    with Servers() as servers:
        gateway = servers.gateway()
        key = {"gateway": "toss", "gateway_secret": "test_sk_only_for_tests", "gateway_url": gateway.url}
        waits = {"gateway_call_s": 5, "duplicate_wait_s": 0.05, "reconcile_s": 0.1}
        with Service(folder, database=url, **key, **waits) as service:
            shop = Payable(url, service, gateway)
            yield shop
            assert service.stop() == 0
            assert "only_for_tests" not in service.log.read_text()
        violations = asyncio.run(audited(url))[1]
        count = shop.judge.count()
    if server is not None:
        asyncio.run(drop_database(server, url))
    assert violations == []
    assert count.charged_twice == []
