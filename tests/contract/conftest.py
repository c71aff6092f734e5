"""One shop for each strategy and database: what every strategy is held to, written once."""

import time
from dataclasses import replace

import pytest
from redis import Redis

from stockade.core import Backoff, Guard
from stockade.devservers import Servers
from stockade.service.ids import derived_id
from stockade.shop.commands.charge_points import ChargePoints
from stockade.shop.commands.create_product import CreateProduct, NewSku
from stockade.shop.commands.lines import OrderLine
from stockade.shop.commands.place_order import PlaceOrder
from stockade.shop.migrations import SCHEMA
from stockade.shop.model.resources import SHOP_RESOURCES
from stockade.store import Database, SqlStore
from stockade.strategies import registry
from stockade.strategies.options import Options
from tests.databases import CREATED
from tests.devservers.pool import memory_folder

NOW_MS = 1_700_000_000_000


class Bench:
    """A running strategy over a migrated database, with words for what tests do."""

    def __init__(self, name, database, options, single_statement=True):
        self.name = name
        self.database = database
        self.store = SqlStore(database, SHOP_RESOURCES, single_statement=single_statement)
        self.strategy = registry.create(name, self.store, options)

    async def product(self, *skus, stock=20, price=1000):
        """A product with these SKUs."""
        news = tuple(NewSku(price, stock, sku) for sku in skus)
        command = CreateProduct(derived_id("product", *skus), "f", NOW_MS, "Lamp", "light", news, product_id="")
        (answer,) = await self.store.transact([command], Guard.ROW, deadline=time.monotonic() + 10)
        assert answer.accepted, answer

    def order(self, number, *skus, user="u1", pay="LATER"):
        """An order of one unit of each SKU."""
        lines = tuple(OrderLine(sku, 1) for sku in skus or ("s",))
        return PlaceOrder(derived_id("order", number), "f", NOW_MS, user, lines, pay)

    def charge(self, number, user="u1", amount=100):
        """A charge of points."""
        return ChargePoints(derived_id("charge", number), "f", NOW_MS, user, amount)


def _marked(name):
    """A strategy that needs a server is marked with it."""
    return pytest.param(name, marks=[getattr(pytest.mark, need) for need in registry.guarantees(name).needs])


SWITCHED_OFF = "sequencer, single_statement = no"


@pytest.fixture(params=[*(_marked(name) for name in registry.names()), SWITCHED_OFF])
def strategy_name(request):
    """Every strategy in turn, and the sequencer without what only makes it faster on PostgreSQL."""
    return request.param


@pytest.fixture
async def database(database_url):
    """A migrated database of each kind."""
    await CREATED.migrate(database_url, SCHEMA)
    found = await Database.open(database_url, pool_size=8)
    yield found
    await found.close()


@pytest.fixture(scope="module")
def more_redis():
    """Function: URLs of so many Redis servers beside the worker's own, started at the first call."""
    with Servers(memory_folder()) as servers:
        started = []

        def urls(count):
            while len(started) < count:
                started.append(servers.redis().url)
            return started[:count]

        yield urls


@pytest.fixture
def fresh_redis(server_url, more_redis):
    """Function: the URLs of so many empty, independent Redis servers."""

    def urls(count=1):
        found = (server_url("redis"), *more_redis(count - 1))
        for url in found:
            with Redis.from_url(url) as client:
                client.flushdb()
        return found

    return urls


@pytest.fixture
async def bench(strategy_name, database, fresh_redis):
    """The strategy over the database, started; combinations that a Guarantees excludes are skipped."""
    single_statement = strategy_name != SWITCHED_OFF
    strategy_name = strategy_name.partition(",")[0]
    promise = registry.guarantees(strategy_name)
    if not single_statement and not database.dialect.supports_single_statement:
        pytest.skip("the setting changes nothing on this database")
    if database.dialect.name not in promise.databases:
        pytest.skip(f"{strategy_name} promises nothing on {database.dialect.name}")
    options = Options(wait_s=20, backoff=Backoff(retries=1000))
    if "redis" in promise.needs:
        options = replace(options, redis=fresh_redis(registry.find(strategy_name).servers))
    elif promise.needs:
        pytest.skip(f"{strategy_name} needs {', '.join(promise.needs)}: see its own tests")
    found = Bench(strategy_name, database, options, single_statement)
    await found.strategy.start()
    yield found
    await found.strategy.stop()
