"""The Redis servers of the settings, which hold the locks of some strategies. Nothing here connects to them.

Neighbours: `strategy_options` passes them to the strategies; `strategy_choice` checks them before anything is opened.
"""

import re
from collections.abc import Sequence

from stockade.locks.redis.transport.address import Address
from stockade.shop.config.settings import BadSetting, Settings
from stockade.strategies.lock_based import LockBased

_BETWEEN = re.compile(r",\s*(?=[a-z]+://)")


def redis_urls(settings: Settings) -> tuple[str, ...]:
    """The URLs of the setting `redis`; those after the first begin with a scheme too."""
    return tuple(url for each in _BETWEEN.split(settings.redis) if (url := each.strip(", ")))


def check_redis(settings: Settings) -> None:
    """Refuse URLs of servers that cannot hold locks.

    Raises:
        BadSetting: a URL cannot be used, or two of them name one server. The message has no password.
    """
    urls = redis_urls(settings)
    if not urls:
        raise BadSetting(
            f"{settings.with_source('redis')} is empty: it must name a server, e.g. redis://127.0.0.1:6379/0"
        )
    places = []
    for url in urls:
        if "," in url:
            text = "a comma in a password is written %2C, and every server has a URL of its own"
            raise BadSetting(f"{settings.with_value(redis=settings.redis)}: {text}")
        try:
            address = Address.parse(url)
        except ValueError as error:
            raise BadSetting(f"{settings.with_source('redis')}: {error}") from None
        places.append(address.where)
    if twice := sorted({each for each in places if places.count(each) > 1}):
        text = f"names {', '.join(twice)} more than once: locks need independent servers"
        raise BadSetting(f"{settings.with_source('redis')} {text}")


def check_quorum(settings: Settings, strategies: Sequence[type[LockBased]]) -> None:
    """Refuse a number of servers that the strategies cannot hold their locks on.

    Args:
        settings: checked by `check_redis`.
        strategies: those that take locks.

    Raises:
        BadSetting: too few, an even number, or several of which only the first would ever be used.
    """
    count = len(redis_urls(settings))
    for each in strategies:
        if each.servers > 1 and (count < each.servers or count % 2 == 0):
            must_be = f"an odd number of servers, {each.servers} or more"
            text = f"the strategy {each.name} needs a quorum, {must_be}; got {count}"
            raise BadSetting(f"{settings.with_source('redis')}: {text}")
    if strategies and count > 1 and all(each.servers == 1 for each in strategies):
        text = f"{strategies[0].name} would use the first only; name one, or choose redlock"
        raise BadSetting(f"{settings.with_source('redis')} names {count} servers, of which the strategy {text}")
