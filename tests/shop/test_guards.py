"""What the settings of two processes mean for each other: who may open a shop or a worker beside whom."""

from contextlib import AsyncExitStack
from dataclasses import replace

import pytest

from stockade.shop.bootstrap import open_shop, open_worker
from stockade.shop.config.settings import BadSetting, Settings
from stockade.shop.config.strategy_options import options_of
from stockade.shop.demo import create_demo
from stockade.shop.migrations import SCHEMA
from stockade.strategies import registry

REDIS = {"redis": "redis://:secret@127.0.0.1:1/0"}
ELSEWHERE = {"redis": "redis://127.0.0.1:2/0"}


def under(strategy, **settings):
    """Settings of a process under one strategy."""
    return Settings(strategy_stock=strategy, strategy_points=strategy, **settings)


def compatibility(settings):
    """As a process of these settings registers it."""
    return registry.compatibility([registry.create(settings.strategy_stock, _Store(), options_of(settings))])


class _Store:
    supports_pipelining = False


SEQUENCER = under("sequencer")
FENCED = under("redis-pubsub", lock_guard="fence", **REDIS)
STAMPED = under("optimistic", stamp="timestamp")


@pytest.mark.parametrize(
    ("one", "other", "right"),
    [
        (SEQUENCER, under("optimistic"), True),
        (under("conditional"), under("serializable"), True),
        (under("pessimistic"), under("redis-spin", **REDIS), True),
        (SEQUENCER, under("kafka", kafka_bootstrap="127.0.0.1:1"), True),
        (STAMPED, STAMPED, True),
        (STAMPED, under("optimistic"), False),
        (under("advisory"), under("advisory"), True),
        (under("advisory"), SEQUENCER, False),
        (FENCED, replace(FENCED, redis="redis://:another@127.0.0.1:1/0"), True),
        (FENCED, replace(FENCED, **ELSEWHERE), False),
        (FENCED, replace(FENCED, strategy_stock="redis-spin", strategy_points="redis-spin"), False),
        (FENCED, replace(FENCED, lock_guard="version"), False),
        (under("in-process"), under("in-process"), False),
        (under("in-process"), SEQUENCER, False),
    ],
)
def test_whose_guards_stand_together(one, other, right):
    """Equal values stand together: composing guards, or the same one with the same parameters; passwords may differ."""
    assert (compatibility(one) == compatibility(other)) is right
    assert "secret" not in compatibility(one)


@pytest.mark.parametrize("strategy", registry.names())
def test_every_strategy_says_what_it_stands_beside(strategy):
    """What `stockade strategies` prints agrees with what is registered."""
    said = registry.stands_beside(strategy)
    composes = compatibility(under(strategy, kafka_bootstrap="127.0.0.1:1", **REDIS)) == registry.COMPOSES
    assert ("all that compose" in said) is composes


@pytest.fixture
async def url(tmp_path):
    """A migrated SQLite file that an in-process shop uses."""
    url = f"sqlite:///{tmp_path / 'shop.sqlite'}"
    async with open_shop(replace(under("in-process"), database=url), jobs=False, before=SCHEMA.migrate):
        yield url


def open_demo(url):
    """What `stockade demo` opens."""
    return open_shop(Settings(database=url), jobs=False)


def open_log_worker(url):
    """What `stockade worker` opens; it does not speak to brokers before it runs."""
    return open_worker(Settings(database=url, kafka_bootstrap="127.0.0.1:1"), lambda event, **fields: None)


@pytest.mark.parametrize("opening", [open_demo, open_log_worker])
async def test_nothing_that_writes_opens_beside_an_in_process_shop(url, opening):
    """The commands that write under another guard are refused as a second service is."""
    with pytest.raises(BadSetting, match=r"is not right beside in-process \(guard none\), which process .+:\d+"):
        async with opening(url):
            pass


async def test_a_database_in_memory_needs_no_registration():
    """No other process can use it."""
    async with open_shop(replace(under("in-process"), database="sqlite://"), jobs=False, before=SCHEMA.migrate) as shop:
        assert shop.registration is None
        assert (await create_demo(shop.execute, users=1, products=1, now_ms=0)).made == 2


@pytest.mark.parametrize(
    "settings", [under("unprotected"), under("redis-pubsub", lock_guard="none")], ids=["unprotected", "bare"]
)
async def test_a_control_opens_only_where_overselling_is_allowed(settings):
    """The lab and tests say so openly, as a user does with the flag; options that leave the guard out count as well."""
    settings = replace(settings, database="sqlite://")
    with pytest.raises(BadSetting, match="sells units more than once"):
        async with open_shop(settings, jobs=False):
            pass
    bare = replace(options_of(settings), bare=True)
    unseen = replace(settings, strategy_stock="redis-spin", strategy_points="redis-spin", lock_guard="version")
    async with AsyncExitStack() as stack:
        with pytest.raises(BadSetting, match="sells units more than once"):
            await stack.enter_async_context(open_shop(unseen, options=bare, jobs=False))
        allowed = replace(settings, allow_overselling="yes")
        await stack.enter_async_context(open_shop(allowed, jobs=False, before=SCHEMA.migrate))
