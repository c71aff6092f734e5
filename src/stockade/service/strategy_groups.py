"""Chooses the strategy of each group of commands, and registers the guards of the process before its first command.

Neighbours: `service` and the shop's bootstrap call it; `store.registration` keeps the row of the registration,
`strategies.registry` knows which strategies are compatible.
"""

from collections.abc import Collection, Iterable, Mapping

from stockade.core import GuardKind, Strategy
from stockade.store import SqlStore
from stockade.store.guards_in_use import GuardRefused, Use
from stockade.store.registration import Registration
from stockade.strategies import registry
from stockade.strategies.options import Options


class Unsuitable(ValueError):
    """A strategy that cannot be used on this database, beside another one, or at all.

    Attributes:
        group: of commands, for which it was chosen.
        reason: what follows the name of the strategy in the message.
    """

    def __init__(self, group: str, name: str, reason: str) -> None:
        super().__init__(f"strategy {name!r}{f' of {group}' if group else ''}{reason}")
        self.group, self.reason = group, reason


def create_strategies(
    store: SqlStore,
    chosen: Mapping[str, str],
    options: Options,
    *,
    allow_overselling: bool = False,
    own_queues: Collection[str] = (),
) -> dict[str, Strategy]:
    """The strategy of each group, checked against the database and against each other.

    There is one object per name, and one for each group that has a queue of its own.

    Args:
        store: that they write to.
        chosen: the name of a strategy for each group of commands.
        options: of all strategies.
        allow_overselling: whether strategies without protection may be used.
        own_queues: see `Application.own_queues`.

    Raises:
        Unsuitable: one cannot run on this database, protects nothing, or would not be right beside another one.
    """
    by_name: dict[str, Strategy] = {}
    by_group: dict[str, Strategy] = {}
    kind = store.database.dialect.name
    for group, name in chosen.items():
        if name not in registry.names():
            raise Unsuitable(group, name, f": must be one of {', '.join(registry.names())}")
        if name not in by_name:
            by_name[name] = registry.create(name, store, options)
        alone = group in own_queues and registry.find(name).may_be_several
        strategy = by_group[group] = registry.create(name, store, options) if alone else by_name[name]
        databases = strategy.guarantees.databases
        runs_here = kind in databases or (kind == "mysql" and "mariadb" in databases)
        if not runs_here or not store.supports(strategy.guard.kind):
            raise Unsuitable(group, name, f": does not run on {kind}, only on {', '.join(databases)}")
        if registry.oversells(strategy) and not allow_overselling:
            raise Unsuitable(group, name, " without a guard sells units more than once")
    if len(by_name) > 1:
        for group, strategy in by_group.items():
            if not strategy.guard.composes:
                reason = (
                    f": its guard {strategy.guard.kind.name} does not protect "
                    "rows from other strategies, so every group must use the same one"
                )
                raise Unsuitable(group, strategy.name, reason)
    return by_group


async def register(registration: Registration, strategies: Iterable[Strategy], *, allow_overselling: bool) -> None:
    """Register the strategies of this process.

    Args:
        registration: not open yet.
        strategies: of this process.
        allow_overselling: whether it may run beside others that may oversell.

    Raises:
        GuardRefused: an incompatible process is running; the message names it, and what works beside it.
        Busy, NotSupported: as `Registration.open`.
    """
    by_name = {each.name: each for each in strategies}  # several of one name have the same guard
    ordered = [by_name[name] for name in sorted(by_name)]
    names = ", ".join(each.name for each in ordered)
    guards = ", ".join(sorted({each.guard.kind.value for each in ordered}))
    unguarded = GuardKind.NONE in {each.guard.kind for each in ordered} and not allow_overselling
    use = Use(names, guards, registry.compatibility(ordered), allow_overselling)
    try:
        await registration.open(use, unguarded=unguarded)
    except GuardRefused as refused:
        beside = registry.works_beside(refused.other.strategy, refused.other.compatibility)
        raise GuardRefused(f"{refused}; {beside}", refused.other) from None
