"""The composition root: what fits together is opened, what does not is refused with the reason."""

import asyncio
import time

import pytest

from stockade.service.ids import derived_id
from stockade.shop import queries
from stockade.shop.bootstrap import open_shop
from stockade.shop.commands import CreateProduct, NewSku, OrderLine, PlaceOrder
from stockade.shop.config.redis_servers import redis_urls
from stockade.shop.config.settings import BadSetting, Settings
from stockade.shop.config.strategy_choice import check, check_servers
from stockade.shop.migrations import SCHEMA
from tests.waiting import eventually_async

SERVERS = [f"redis://{name}:1/0" for name in ("one", "two", "three", "four")]


async def opened(**settings):
    async with open_shop(Settings(database="sqlite://", **settings), jobs=False, before=SCHEMA.create_all) as shop:
        return shop


@pytest.mark.parametrize("pair", [("sequencer", "optimistic"), ("conditional", "pessimistic")])
async def test_strategies_whose_guards_compose_stand_side_by_side(pair):
    """Row locks, versions, deltas and serializable protect rows from each other's writers."""
    stock, points = pair
    shop = await opened(strategy_stock=stock, strategy_points=points)
    assert (shop.strategies["stock"].name, shop.strategies["points"].name) == pair


@pytest.mark.parametrize("pair", [("sequencer", "in-process"), ("unprotected", "optimistic")])
async def test_strategies_whose_guards_do_not_compose_are_refused(pair):
    """A strategy that protects nothing in the row is right alone or not at all; the error has the reason."""
    stock, points = pair
    with pytest.raises(BadSetting, match="does not protect rows from other strategies"):
        await opened(strategy_stock=stock, strategy_points=points, allow_overselling="yes")


async def test_a_timestamp_does_not_stand_beside_a_version():
    """The same strategy name with another stamp is another guard."""
    with pytest.raises(BadSetting, match="TIMESTAMP"):
        await opened(strategy_stock="optimistic", strategy_points="sequencer", stamp="timestamp")


async def test_one_strategy_is_one_object():
    """Stock and points under the same name share one queue and one batch."""
    shop = await opened(strategy_stock="in-process", strategy_points="in-process")
    assert shop.strategies["stock"] is shop.strategies["points"]


@pytest.mark.parametrize(("name", "shared"), [("sequencer", False), ("in-process", True)])
async def test_payments_have_a_queue_of_their_own(name, shared):
    """Under the sequencer, whose guard protects the rows; the control shares its mutexes, or it would not exclude."""
    shop = await opened(strategy_stock=name, strategy_points=name)
    assert (shop.strategies["payment"] is shop.strategies["stock"]) == shared


async def test_a_strategy_that_does_not_run_on_the_database_is_refused():
    """Advisory locks do not exist on SQLite, and the message names where they do."""
    with pytest.raises(BadSetting, match=r"does not run on sqlite, only on postgres"):
        await opened(strategy_stock="advisory", strategy_points="advisory")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"strategy_stock": "redlock"}, "redis: the strategy redlock needs a quorum, .* 3 or more; got 1"),
        ({"strategy_points": "redlock", "redis": ",".join(SERVERS[:4])}, "an odd number of servers, .* got 4"),
        ({"strategy_points": "redlock", "redis": ",".join(SERVERS[:1] * 3)}, "redis names one:1 more than once"),
        ({"strategy_points": "redis-spin", "redis": ",".join(SERVERS[:3])}, "redis-spin would use the first only"),
        ({"redis": "x:1"}, "redis: not a Redis URL that can be used: 'x:1'"),
        ({"redis": " , "}, "redis"),
        ({"redis": "redis://:pa,55@one/0"}, r"redis://:\*\*\*@one/0.*a comma in a password is written %2C"),
        ({"redis": "redis://:pa55@one/0?colour=red"}, "unknown parameter 'colour'"),
        ({"redis": "rediss://one/0?ssl_ca_certs=/none"}, "ssl_ca_certs"),
        ({"strategy_stock": "kafka"}, "the strategy kafka: kafka_bootstrap must name the brokers"),
        ({"events": "kafka"}, "events = 'kafka': kafka_bootstrap must name the brokers"),
        ({"database": "postgresql://ann:pa55@h/x?colour=red"}, "database: .*colour"),
    ],
)
async def test_servers_that_cannot_be_used_are_refused_before_anything_is_opened(settings, message):
    """A quorum of one server, a URL that is none, brokers that nobody named: one line with the name of the setting."""

    def opening(_):
        raise AssertionError("the database was opened before the settings were checked")

    with pytest.raises(BadSetting, match=message) as refused:
        async with open_shop(Settings(**{"database": "sqlite://", **settings}), jobs=False, before=opening):
            pass
    assert "\n" not in str(refused.value)
    assert "55" not in str(refused.value)


@pytest.mark.parametrize(
    ("settings", "urls"),
    [
        ({"strategy_stock": "redlock", "redis": ", ".join(SERVERS[:3])}, SERVERS[:3]),
        ({"strategy_stock": "redis-spin", "redis": "redis://:pa%2C55@one:1/0,"}, ["redis://:pa%2C55@one:1/0"]),
    ],
)
def test_servers_that_can_be_used(settings, urls):
    """Several URLs for a quorum, and a comma in a password."""
    check_servers(Settings(**settings))
    assert redis_urls(Settings(**settings)) == tuple(urls)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"strategy_stock": "nix"}, "strategy_stock = 'nix': must be one of unprotected, in-process"),
        ({"strategy_points": "in-process", "workers": 2}, "right in one process only"),
        ({"database": "sqlite://", "workers": 2}, "in memory can be used by one process only"),
    ],
)
def test_what_can_be_known_without_a_database(settings, message):
    """Unknown names and too many processes are refused before anything starts."""
    with pytest.raises(BadSetting, match=message):
        check(Settings(**settings))


@pytest.mark.parametrize("url", ["nix", "oracle://x", "postgres//x"])
async def test_an_unusable_database_url(url):
    """The message names the setting and what is supported."""
    with pytest.raises(BadSetting, match="database: "):
        async with open_shop(Settings(database=url)):
            pass


def product(now_ms):
    id_ = derived_id("p")
    return CreateProduct(id_, id_, now_ms, "a", "b", (NewSku(10, 5, "s"),))


async def test_an_expired_reservation_gives_its_stock_back():
    """The background job of an open shop expires what ran out."""
    settings = Settings(database="sqlite://", sweep_s=0.05)
    async with open_shop(settings, before=SCHEMA.create_all) as shop:
        now_ms = time.time_ns() // 1_000_000
        assert (await shop.execute(product(now_ms))).accepted
        order = PlaceOrder(derived_id("o"), "f" * 32, now_ms - 1_000, "ann", (OrderLine("s", 2),), "LATER", 1)
        assert (await shop.execute(order)).accepted

        async def free():
            stock = await shop.read(lambda conn: queries.stock(conn, "s"))
            return stock.available == 5

        await eventually_async(free)


async def test_outcomes_are_counted_by_strategy_and_code():
    """Every command is counted once: accepted, replayed, refused, or failed."""
    async with open_shop(Settings(database="sqlite://"), jobs=False, before=SCHEMA.create_all) as shop:
        seen = []
        shop.count = lambda *words: seen.append(words)
        now_ms = time.time_ns() // 1_000_000
        await shop.execute(product(now_ms))
        await shop.execute(product(now_ms))
        order = PlaceOrder(derived_id("o"), "f" * 32, now_ms, "ann", (OrderLine("s", 9),), "LATER")
        await shop.execute(order)
        assert [code for _, _, code in seen] == ["ACCEPTED", "REPLAYED", "OUT_OF_STOCK"]


async def test_closing_finishes_what_waits():
    """Commands that are queued when the shop closes are carried out, not dropped."""
    async with open_shop(Settings(database="sqlite://"), jobs=False, before=SCHEMA.create_all) as shop:
        now_ms = time.time_ns() // 1_000_000
        await shop.execute(product(now_ms))
        orders = [
            PlaceOrder(derived_id("o", n), "f" * 32, now_ms, "ann", (OrderLine("s", 1),), "LATER") for n in range(5)
        ]
        waiting = [asyncio.create_task(shop.execute(order)) for order in orders]
        await asyncio.sleep(0)
    assert all(outcome.accepted for outcome in await asyncio.gather(*waiting))
