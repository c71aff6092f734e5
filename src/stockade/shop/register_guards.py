"""Registers the guards of a process before its first command, or refuses to start beside an incompatible process.

Neighbours: `bootstrap` calls it for shops and workers, `store.registration` keeps the row, `strategies.registry` knows
which strategies are compatible.
"""

from collections.abc import Sequence

from stockade.core import GuardKind, Strategy
from stockade.shop.config.settings import BadSetting, Settings
from stockade.store.guards_in_use import GuardRefused, Use
from stockade.store.registration import Registration
from stockade.strategies import registry


async def register(registration: Registration, settings: Settings, strategies: Sequence[Strategy]) -> None:
    """Register the strategies of this process.

    Args:
        registration: not open yet.
        settings: say whether overselling is allowed.
        strategies: of this process.

    Raises:
        BadSetting: an incompatible process is running; the message names it.
        Busy, NotSupported: as `Registration.open`.
    """
    allowed = settings.allow_overselling == "yes"
    ordered = sorted(strategies, key=lambda each: each.name)
    compatibility = registry.compatibility(ordered)
    names = ", ".join(each.name for each in ordered)
    guards = ", ".join(sorted({each.guard.kind.value for each in ordered}))
    try:
        await registration.open(
            Use(names, guards, compatibility, allowed),
            unguarded=GuardKind.NONE in {each.guard.kind for each in strategies} and not allowed,
        )
    except GuardRefused as refused:
        beside = registry.works_beside(refused.other.strategy, refused.other.compatibility)
        raise BadSetting(f"{refused}; {beside}") from None
