"""From measurements to advice: the fastest strategy that keeps its claim, its margin, and where another takes over.

Of strategies whose order is not clear and whose medians are close, the simplest is advised: the fewest services, then
the fewest lines. Never advised is one that did not keep a claim in any of the files, nor one at a load that does not
count.
Neighbours: `measurements.py` reads the files, `lines.py` makes sentences.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Final

from stockade.lab.advice.measurements import RESOURCES, Load, Measurements, Rate, rates_of
from stockade.lab.sweeps.analysis.crossovers import FLIPS, TRUSTED, between
from stockade.lab.sweeps.analysis.statistics import Interval, coverage
from stockade.lab.sweeps.axes import AXES, NO_SERVER
from stockade.lab.targets.target_database import SQLITE

NO_LOAD: Final = "no file has it"
LEAST_ROUNDS: Final = next(count for count in range(1, 100) if coverage(count, 0) >= TRUSTED)
EQUAL: Final = 1.1  # medians within 10 % of each other: simplicity is worth more


@dataclass(frozen=True, slots=True)
class Choice:
    """What is advised under one load.

    Attributes:
        load: which.
        advised: the strategy; None: nothing can be advised.
        others: that are as fast as it, as far as can be told: the order is not clear.
        second: the fastest of those that are clearly slower; None: there is none.
        margin: how many times as fast as the second.
        why_not: why nothing can be advised, or why something is missing; empty otherwise.
    """

    load: Load
    advised: Rate | None
    others: tuple[Rate, ...] = ()
    second: Rate | None = None
    margin: Interval | None = None
    why_not: str = ""

    @property
    def name(self) -> str:
        """Of the strategy that is advised; empty: none."""
        return self.advised.contender.name if self.advised else ""

    @property
    def names(self) -> set[str]:
        """Of all strategies that may be the fastest."""
        return {self.name, *(each.contender.name for each in self.others)} - {""}


@dataclass(frozen=True, slots=True)
class Flip:
    """Where another strategy takes over along an axis.

    Attributes:
        low: the last value where the one is advised.
        high: the first value where the other is.
        before: the one.
        after: the other.
        at: where they are equally fast, by interpolation; None: that cannot be said.
    """

    low: float
    high: float
    before: str
    after: str
    at: float | None = None


@dataclass(frozen=True, slots=True)
class AxisAdvice:
    """What is advised along one axis, and where it flips."""

    axis: str
    choices: tuple[Choice, ...]
    flips: tuple[Flip, ...]


@dataclass(frozen=True, slots=True)
class ResourceAdvice:
    """What is advised for one resource on one database.

    Attributes:
        resource: `stock`, `points` or `payment`.
        database: its dialect; empty: nothing was measured.
        axes: of sweeps.
        bursts: of presets.
        not_measured: by axis why nothing can be said about it.
        excluded: strategies that did not keep a claim, and where.
    """

    resource: str
    database: str
    axes: tuple[AxisAdvice, ...] = ()
    bursts: tuple[Choice, ...] = ()
    not_measured: Mapping[str, str] = field(default_factory=dict)
    excluded: Mapping[str, str] = field(default_factory=dict)


def advise(measured: Measurements) -> list[ResourceAdvice]:
    """What is advised for every resource, on every database that was measured."""
    found = list[ResourceAdvice]()
    for resource in RESOURCES:
        loads = [each for each in measured.loads if each.resource == resource]
        databases = list(dict.fromkeys(each.database for each in loads)) or [""]
        for database in databases:
            found.append(_advise(measured, resource, database, [each for each in loads if each.database == database]))
    return found


def _advise(measured: Measurements, resource: str, database: str, loads: Sequence[Load]) -> ResourceAdvice:
    choices = [_choose(load, rates, measured.complexity) for load, rates in rates_of(loads, measured.violated)]
    axes = list[AxisAdvice]()
    for axis in (name for name, each in AXES.items() if not each.strategies):  # of one strategy nothing is to choose
        along = [each for each in choices if each.load.point is not None and each.load.point.axis == axis]
        for file in dict.fromkeys(each.load.file for each in along):  # two machines are not one axis
            axes.append(_along(axis, [each for each in along if each.load.file == file]))
    swept = {each.axis for each in axes if any(choice.advised for choice in each.choices)}
    wanted = [axis for axis in AXES if axis not in swept and _concerns(axis, loads)]
    missing = {axis: _why_missing(axis, loads, choices, measured) for axis in wanted}
    return ResourceAdvice(
        resource,
        database,
        tuple(axes),
        tuple(each for each in choices if each.load.point is None),
        missing if resource != "payment" else {},
        dict(measured.violated),
    )


def _choose(load: Load, rates: Sequence[Rate], complexity: Mapping[str, Mapping[str, Any]]) -> Choice:
    """The simplest of those that may be the fastest.

    Args:
        load: which.
        rates: of strategies that may be advised, the fastest first.
        complexity: by strategy.
    """
    if not rates:
        reasons = dict.fromkeys(why for why in load.not_counted.values() if why != "negative control")
        return Choice(load, None, why_not="; ".join(reasons) or "no strategy was played")
    enough = [each for each in rates if each.rate.coverage >= TRUSTED]
    if not enough:
        return Choice(load, None, why_not=f"{rates[0].rate.samples} of at least {LEAST_ROUNDS} rounds")
    too_few = [
        f"{each.contender.name}: {each.rate.samples} of at least {LEAST_ROUNDS} rounds"
        for each in rates
        if each not in enough
    ]
    rates, fastest = enough, enough[0]
    if len(rates) == 1:
        return Choice(
            load, fastest, why_not="; ".join(["no other strategy counts here, so there is no margin", *too_few])
        )
    slower = [each for each in rates[1:] if _clearly_faster(fastest, each)]
    near = [fastest, *(each for each in rates[1:] if each not in slower)]
    equal = [each for each in near if fastest.rate.median <= EQUAL * each.rate.median]
    advised = min(equal, key=lambda each: (_simplicity(each, complexity), near.index(each)))
    second = next((each for each in slower if _clearly_faster(advised, each)), None)
    return Choice(
        load,
        advised,
        tuple(each for each in near if each is not advised),
        second,
        advised.ratio(second) if second is not None else None,
        "; ".join(too_few),
    )


def _clearly_faster(one: Rate, other: Rate) -> bool:
    ratio = one.ratio(other)
    return ratio is not None and ratio.coverage >= TRUSTED and ratio.low > 1


def _simplicity(rate: Rate, complexity: Mapping[str, Mapping[str, Any]]) -> tuple[int, int]:
    """Services to run, and lines beyond those that every strategy needs, its own ones too; less is simpler."""
    found = complexity.get(rate.contender.name)
    if found is None:
        return len(rate.contender.guarantees.needs), 0
    return sum(found["services"].values()), int(found["further_lines"])


def _along(axis: str, choices: Sequence[Choice]) -> AxisAdvice:
    """Flips are between neighbours whose advice differs and cannot be the same."""
    ordered = sorted(choices, key=_value)
    known, flips = [each for each in ordered if each.advised], list[Flip]()
    for low, high in pairwise(known):
        if low.names & high.names:  # one of them may be the fastest at both
            continue
        flips.append(Flip(_value(low), _value(high), low.name, high.name, _crossing(axis, known, low.name, high.name)))
    return AxisAdvice(axis, tuple(ordered), tuple(flips))


def _value(choice: Choice) -> float:
    assert choice.load.point is not None
    return choice.load.point.value


def _crossing(axis: str, choices: Sequence[Choice], before: str, after: str) -> float | None:
    """Where two strategies are equally fast, if a sweep says so once."""
    results = [rate.result for choice in choices for rate in choice.load.rates if rate.result is not None]
    found = [each for each in between(results, axis, before, after) if each.verdict == FLIPS]
    return found[0].at if len(found) == 1 else None


def _concerns(axis: str, loads: Sequence[Load]) -> bool:
    """Whether an axis says something about what was measured: that of one strategy does only if it took part."""
    own = AXES[axis].strategies
    played = [name for load in loads for name in (*(each.contender.name for each in load.rates), *load.not_counted)]
    return not own or any(name.partition(":")[0] in own for name in played)


def _why_missing(axis: str, loads: Sequence[Load], choices: Sequence[Choice], measured: Measurements) -> str:
    """Why nothing can be said about an axis."""
    own = AXES[axis].strategies
    if own and any(each.point is not None and each.point.axis == axis for each in loads):
        return f"only {', '.join(own)} takes part, so there is nothing to choose between"
    reasons = [each.why_not for each in choices if each.load.point is not None and each.load.point.axis == axis]
    left_out = [measured.left_out[each.file].get(axis, "") for each in loads if each.file in measured.left_out]
    found = dict.fromkeys(each for each in (*reasons, *left_out) if each)
    if not found and AXES[axis].servers and loads and all(each.database == SQLITE for each in loads):
        return NO_SERVER
    return "; ".join(found) or NO_LOAD
