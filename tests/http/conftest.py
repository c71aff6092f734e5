"""The real application on a fresh SQLite database, spoken to in process."""

from contextlib import asynccontextmanager

import httpx2
import pytest

from stockade.shop.bootstrap import open_shop
from stockade.shop.config.settings import Settings
from stockade.shop.http.routing.app import create_app
from stockade.shop.migrations import SCHEMA
from tests.databases import CREATED

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
    await CREATED.migrate(url, SCHEMA)


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
async def sqlite_url(tmp_path):
    """A fresh migrated SQLite database."""
    url = f"sqlite:///{tmp_path / 'shop.sqlite'}"
    await make_schema(url)
    return url


@pytest.fixture
def start(sqlite_url, tmp_path):
    """Function: settings -> an application on the fresh database, as an async context manager."""
    return lambda **settings: application(sqlite_url, tmp_path, **settings)


@pytest.fixture
async def client(start):
    """A client of an application with the default settings."""
    async with start() as made:
        yield made
