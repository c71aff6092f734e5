"""What a user asked the lab to do, and which strategies that means. Values and pure choices."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from stockade.core import Promise
from stockade.lab.errors import LabError
from stockade.lab.preset import Arm
from stockade.strategies import registry

WARM_UPS = 2


@dataclass(frozen=True, slots=True)
class Plan:
    """A lab run. None means: as the preset says.

    Attributes:
        arms: names and arms, in the order to run.
        strategies: names; None for every one that can run here.
        database: `sqlite`, `postgres`, `mariadb`, or a URL.
        processes: how many take orders.
        buyers: how many come at once.
        stock: units, or points in the account, before they come.
        repeats: timed repeats of each run.
        pool_size: connections of each process.
        wait_s: longest time one command may wait for its turn (seeds: 5 s).

    Raises:
        LabError: a strategy that does not exist.
    """

    arms: Sequence[tuple[str, Arm]]
    strategies: Sequence[str] | None = None
    database: str = "sqlite"
    processes: int = 1
    buyers: int | None = None
    stock: int | None = None
    repeats: int | None = None
    pool_size: int = 4
    wait_s: float = 5.0

    def __post_init__(self) -> None:
        known = registry.names()
        for name in self.strategies or ():
            if name not in known:
                raise LabError(f"unknown strategy {name!r}; there are: {', '.join(known)}")


class Choice(NamedTuple):
    """The strategies that run on an arm, and those left out with the reason."""

    run: list[str]
    left_out: list[tuple[str, str]]


def choose(arm: Arm, wanted: Sequence[str] | None, database: str) -> Choice:
    """Which strategies to run on this arm and database.

    Args:
        arm: may be meant for some strategies or databases only.
        wanted: names, or None for all.
        database: name of the dialect.
    """
    if database in arm.not_on:
        return Choice([], [("all", f"not applicable on {database}")])
    choice = Choice([], [])
    for name in wanted or registry.names():
        why = _why_not(arm, name, registry.promise(name), database)
        if not why:
            choice.run.append(name)
        elif wanted or name in arm.strategies or not arm.strategies:
            choice.left_out.append((name, why))
    return choice


def _why_not(arm: Arm, name: str, promise: Promise, database: str) -> str:
    if arm.strategies and name not in arm.strategies:
        return f"this preset is for {', '.join(arm.strategies)}"
    if ("mariadb" if database == "mysql" else database) not in promise.databases:
        return f"runs on {', '.join(promise.databases)}, not on {database}"
    if promise.needs:
        return f"needs {', '.join(promise.needs)}"
    return ""
