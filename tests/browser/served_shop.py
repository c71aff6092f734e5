"""A shop with its front, served on a socket by the event loop of the tests that visit it.

In one process a test can hold a command back, and count orders in the database. Neighbour: `test_shop_front.py`.
"""

import asyncio
import contextlib
import socket
from contextlib import asynccontextmanager

import uvicorn
from sqlalchemy import func, select

from stockade.core.clock import now_ms
from stockade.shop.bootstrap import open_shop
from stockade.shop.config.settings import Settings
from stockade.shop.demo import create_demo
from stockade.shop.http.routing.app import create_app
from stockade.shop.model.tables import orders, skus
from tests.http.conftest import make_schema
from tests.waiting import eventually_async

SECRET = "a secret that is only used by tests"
STOP_LIMIT_S = 10


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self):
        yield  # those of the test run stay as they are


class ServedShop:
    """A shop and its address.

    Attributes:
        shop: open.
        url: of the shop front.
        state: of the application.
    """

    def __init__(self, shop, state, url):
        self.shop, self.state, self.url = shop, state, url

    async def orders(self, user):
        """How many orders the database has of a user."""
        count = select(func.count()).select_from(orders).where(orders.c.user_id == user)
        return await self.shop.read(lambda conn: conn.execute(count).scalar_one())

    async def on_hand(self, sku):
        """Units of a SKU in the database."""
        return await self.shop.read(lambda conn: conn.execute(select(skus.c.on_hand).where(skus.c.id == sku)).scalar())

    async def sign_in(self, page, user, admin=False):
        """Sign in with a token, as a person would."""
        await page.goto(f"{self.url}/sign-in")
        await page.fill("textarea[name=token]", self.state.tokens.issuer.issue(user, valid_s=600, admin=admin))
        await page.click("form[action='/shop/sign-in'] button")
        await page.wait_for_url(self.url)


@asynccontextmanager
async def served_shop(folder, **settings):
    """A served shop with the data of the demo, on a fresh SQLite database."""
    url = f"sqlite:///{folder / 'shop.sqlite'}"
    await make_schema(url)
    chosen = Settings(database=url, state_dir=str(folder), token_secret=SECRET, shop_front="demo", **settings)
    async with open_shop(chosen, jobs=False) as shop:
        await create_demo(shop.execute, users=20, products=20, now_ms=now_ms())
        app, state = create_app(shop)
        with socket.create_server(("127.0.0.1", 0)) as listening:
            server = _Server(uvicorn.Config(app, lifespan="off", log_config=None, access_log=False))
            serving = asyncio.create_task(server.serve([listening]))
            try:
                await eventually_async(_started(server))
                yield ServedShop(shop, state, f"http://127.0.0.1:{listening.getsockname()[1]}/shop")
            finally:
                server.should_exit = server.force_exit = True
                await asyncio.wait_for(serving, STOP_LIMIT_S)


def _started(server):
    async def check():
        return server.started

    return check
