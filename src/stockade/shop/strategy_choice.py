"""Which strategy each resource runs under, and whether the settings fit them; known without opening a database.

Neighbours: `wiring` makes the strategies; the command line asks here before it starts a process.
"""

from stockade.shop.kafka_brokers import brokers_of
from stockade.shop.settings import BadSetting, Settings
from stockade.strategies import registry
from stockade.strategies.locked import Locked

RESOURCES = ("stock", "points")


def chosen_strategy(settings: Settings, resource: str) -> str:
    """The name of a resource's strategy."""
    return str(getattr(settings, f"strategy_{resource}"))


def check(settings: Settings) -> None:
    """Refuse settings that cannot work together, before anything is opened.

    Raises:
        BadSetting: an unknown strategy, one that oversells without `allow_overselling`, or more processes than a
            strategy or database can be right in; or as `brokers_of`.
    """
    for resource in RESOURCES:
        name = chosen_strategy(settings, resource)
        if name not in registry.names():
            raise BadSetting(f"strategy_{resource} = {name!r}: must be one of {', '.join(registry.names())}")
        if registry.promise(name).processes == "one" and settings.workers > 1:
            raise BadSetting(
                f"workers = {settings.workers}: the strategy {name} is right in one process only; "
                "set workers to 1 or choose another strategy"
            )
    if settings.allow_overselling == "no" and (why := overselling(settings)):
        raise BadSetting(f"{why}; start it with --allow-overselling (allow_overselling = yes) if that is wanted")
    brokers_of(settings)
    if settings.workers > 1 and in_memory(settings):
        raise BadSetting(f"workers = {settings.workers}: a database in memory can be used by one process only")


def overselling(settings: Settings) -> str:
    """Why the strategies of these settings sell units more than once; empty when they do not."""
    for resource in RESOURCES:
        name = chosen_strategy(settings, resource)
        if registry.promise(name).may_oversell:
            return f"strategy_{resource} = {name!r} is a negative control: it sells units more than once"
        if settings.lock_guard == "none" and issubclass(registry.find(name), Locked):
            why = "after a pause or a failover a lock alone sells units more than once"
            return f"lock_guard = 'none' with strategy_{resource} = {name!r}: {why}"
    return ""


def in_memory(settings: Settings) -> bool:
    """Whether the database lives in this process only."""
    return settings.database_url in ("sqlite://", "sqlite:///", "sqlite:///:memory:")
