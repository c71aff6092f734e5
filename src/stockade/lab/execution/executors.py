"""A crew carries the buyers: an open shop with the strategy under test.

`LocalCrew` is this process; `ProcessCrew` (in `processes`) is several. Both are asked the same way, so the runner does
not know which it has. The crew has connections of its own: what the runner prepares and reads costs it nothing.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from stockade.core import Command, Stats
from stockade.lab.execution.load import Barrier, Shot, fire
from stockade.shop.bootstrap import open_shop
from stockade.shop.config.settings import Settings
from stockade.shop.shop import Shop
from stockade.strategies.options import Options


@dataclass(frozen=True, slots=True)
class Team:
    """Everything a process needs to take orders.

    Attributes:
        url: of the database.
        strategy: its name in the registry.
        options: its parameters.
        pool_size: connections of each process.
    """

    url: str
    strategy: str
    options: Options = field(default_factory=Options)
    pool_size: int = 4


class Played(NamedTuple):
    """The answers of one repeat and the store's effort for it."""

    shots: list[Shot]
    effort: Stats


class Crew(Protocol):
    """Carries the buyers' commands out, all at once; `submit`: or only queues them, without waiting for decisions."""

    async def play(self, commands: Sequence[Command], *, submit: bool = False) -> Played: ...


class Worker:
    """One process's share of the work: fires commands at its shop and counts what that took."""

    def __init__(self, shop: Shop) -> None:
        self._shop = shop

    async def play(
        self, commands: Sequence[Command], *, submit: bool = False, barrier: Barrier | None = None
    ) -> Played:
        """Fire all commands at once, after the barrier if there is one."""
        stats = self._shop.store.stats
        before = stats.as_dict()
        shots = await fire(self._shop.submit if submit else self._shop.execute, commands, barrier)
        return Played(shots, Stats(**{name: count - before[name] for name, count in stats.as_dict().items()}))


@asynccontextmanager
async def at_work(team: Team, checkpoint: Callable[[str], None] | None = None) -> AsyncIterator[Worker]:
    """Open a shop without its background jobs; stop and close it again.

    Args:
        team: what to open.
        checkpoint: fault point of its store.
    """
    settings = Settings(
        database=team.url,
        strategy_stock=team.strategy,
        strategy_points=team.strategy,
        pool_size=team.pool_size,
        wait_s=team.options.wait_s,
        allow_overselling="yes",  # the lab's controls must be seen to fail
    )
    async with open_shop(settings, options=team.options, jobs=False, checkpoint=checkpoint) as shop:
        yield Worker(shop)
