"""Which strategy each group of commands runs under, and whether the settings fit; checked without opening a database.

Neighbours: `bootstrap` creates the strategies; the command line checks here before it starts a process.
"""

from stockade.shop.config.addresses import allowed_origins, check_shop_front, metrics_address
from stockade.shop.config.kafka_brokers import HOW_TO_NAME_BROKERS, brokers_of
from stockade.shop.config.payment_gateway import check_gateway
from stockade.shop.config.redis_servers import check_quorum, check_redis
from stockade.shop.config.settings import BadSetting, Settings
from stockade.store.engine.registry import read_url
from stockade.strategies import registry
from stockade.strategies.kafka import Kafka
from stockade.strategies.lock_based import LockBased

STRATEGY_GROUPS = ("stock", "points", "payment")


def chosen_strategy(settings: Settings, group: str) -> str:
    """The name of the strategy of a group: the value of `strategy_GROUP`."""
    if group == "payment" and not settings.strategy_payment:
        return settings.strategy_stock
    return str(getattr(settings, f"strategy_{group}"))


def check(settings: Settings) -> None:
    """Refuse settings that cannot work together, before anything is opened.

    Raises:
        BadSetting: an unknown strategy, one that oversells without `allow_overselling`, or more processes than a
            strategy or database can be right in; or as `brokers_of`, `allowed_origins`, `metrics_address`,
            `check_shop_front` and `check_gateway`.
    """
    for group in STRATEGY_GROUPS:
        name = chosen_strategy(settings, group)
        if name not in registry.names():
            chosen = settings.with_value(**{f"strategy_{group}": name})
            raise BadSetting(f"{chosen}: must be one of {', '.join(registry.names())}")
        if registry.guarantees(name).processes == "one" and settings.workers > 1:
            raise BadSetting(
                f"{settings.with_value(workers=settings.workers)}: the strategy {name} is right in one process only; "
                "set workers to 1 or choose another strategy"
            )
    if settings.allow_overselling == "no" and (why := overselling(settings)):
        raise BadSetting(f"{why}; start it with --allow-overselling (allow_overselling = yes) if that is wanted")
    brokers_of(settings)
    allowed_origins(settings)
    metrics_address(settings)
    check_shop_front(settings)
    check_gateway(settings)
    if settings.workers > 1 and in_memory(settings):
        text = "a database in memory can be used by one process only"
        raise BadSetting(f"{settings.with_value(workers=settings.workers)}: {text}")


def check_servers(settings: Settings) -> None:
    """Refuse unusable addresses of the database, the lock servers and the brokers. Connects to none of them.

    Raises:
        BadSetting: a URL cannot be used, brokers are needed and not named, or as `check_redis` and `check_quorum`.
    """
    try:
        read_url(settings.database_url)
    except ValueError as error:
        raise BadSetting(f"{settings.with_source('database')}: {error}") from None
    chosen = [registry.find(chosen_strategy(settings, group)) for group in STRATEGY_GROUPS]
    check_redis(settings)
    check_quorum(settings, [each for each in chosen if issubclass(each, LockBased)])
    if not settings.kafka_bootstrap and Kafka in chosen:
        named = settings.with_source("kafka_bootstrap")
        raise BadSetting(f"the strategy kafka: {named} must name the brokers, {HOW_TO_NAME_BROKERS}")
    if not settings.kafka_bootstrap and settings.events == "kafka":
        wanted = settings.with_value(events="kafka")
        raise BadSetting(f"{wanted}: kafka_bootstrap must name the brokers, {HOW_TO_NAME_BROKERS}")


def overselling(settings: Settings) -> str:
    """Why the strategies of these settings sell units more than once; empty when they do not."""
    for group in STRATEGY_GROUPS:
        name = chosen_strategy(settings, group)
        if registry.guarantees(name).may_oversell:
            chosen = settings.with_value(**{f"strategy_{group}": name})
            return f"{chosen} is a negative control: it sells units more than once"
        if settings.lock_guard == "none" and issubclass(registry.find(name), LockBased):
            why = "after a pause or a failover a lock alone sells units more than once"
            chosen = settings.with_value(**{f"strategy_{group}": name})
            return f"{settings.with_value(lock_guard='none')} with {chosen}: {why}"
    return ""


def in_memory(settings: Settings) -> bool:
    """Whether the database lives in this process only."""
    return settings.database_url in ("sqlite://", "sqlite:///", "sqlite:///:memory:")
