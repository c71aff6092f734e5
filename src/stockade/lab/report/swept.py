"""The sweep of a document, as the sections need it: `stockade.lab.sweeps` computes it again from the samples.

So a report and `stockade lab sweep` cannot differ about what counts, where an order flips and how wide an interval is.
Neighbour: `documents.py` has the rest of a document.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from stockade.lab.errors import LabError
from stockade.lab.sweeps.analysis.crossovers import Crossover, crossovers
from stockade.lab.sweeps.analysis.statistics import Interval
from stockade.lab.sweeps.analysis.summary import FIGURES, PER_ORDER, PointResult, most_counted, servers_of
from stockade.lab.sweeps.axes import AXES, Setting
from stockade.lab.sweeps.reading import ReadSweep, read_sweep
from stockade.lab.sweeps.sample import Sample


class Complexity(msgspec.Struct, frozen=True):
    """What a strategy is to have: counted; older documents have no further failure modes."""

    strategy: str
    own_lines: int
    further_lines: int
    services: dict[str, Any]
    settings: tuple[str, ...]
    failure_modes: tuple[str, ...]
    dependencies: tuple[str, ...]
    further_failure_modes: tuple[str, ...] | None = None


class _Point(msgspec.Struct, frozen=True):
    axis: str
    value: float
    strategy: str
    setting: Setting
    samples: tuple[Sample, ...]


class _Shape(msgspec.Struct, frozen=True):
    """What a sweep must look like before it is computed with."""

    settings: dict[str, Any]
    points: tuple[_Point, ...]
    complexity: tuple[Complexity, ...]
    left_out: dict[str, str]
    complete: bool


@dataclass(frozen=True, slots=True)
class SweptPoint:
    """A strategy at one value of an axis.

    Attributes:
        result: everything that `stockade.lab.sweeps` knows of it.
        database: its dialect.
        figures: of a burst, by name; None: not measured.
        per_order: what one decided order used, by name; None: not measured.
    """

    result: PointResult
    database: str
    figures: Mapping[str, Interval | None]
    per_order: Mapping[str, Interval | None]

    @property
    def axis(self) -> str:
        """What changes."""
        return self.result.point.axis

    @property
    def value(self) -> float:
        """Of the axis."""
        return self.result.point.value

    @property
    def unit(self) -> str:
        """Of the values of the axis."""
        return AXES[self.axis].unit

    @property
    def strategy(self) -> str:
        """The name of the contender."""
        return self.result.contender.name

    @property
    def counts(self) -> bool:
        """Whether its figures may be compared."""
        return self.result.counts

    @property
    def processor_ms(self) -> float | None:
        """Processor time of an order, of the service and all servers, in ms; None: a part was not measured."""
        places = ["service", *servers_of(self.result.contender, self.database)]
        found = [self.per_order[f"{place}_cpu_ms"] for place in places]
        measured = [each.median for each in found if each is not None]
        return sum(measured) if len(measured) == len(found) else None


@dataclass(frozen=True, slots=True)
class Sweep:
    """The same orders under every strategy while one axis changes.

    Attributes:
        settings: of the sweep.
        complete: whether every turn was played.
        points: in the order of the document.
        crossovers: of all questions and axes.
        complexity: of the strategies.
        left_out: axes and strategies that were not played, with the reason.
    """

    settings: Mapping[str, Any]
    complete: bool
    points: tuple[SweptPoint, ...]
    crossovers: tuple[Crossover, ...]
    complexity: tuple[Complexity, ...]
    left_out: Mapping[str, str]

    @property
    def violated(self) -> list[SweptPoint]:
        """The points at which a strategy broke a rule that it claims to keep."""
        return [each for each in self.points if each.result.claim_violated]


def sweep_of(values: Mapping[str, Any], name: str) -> Sweep:
    """The sweep of a document, computed.

    Args:
        values: of the document.
        name: of the file, for errors.

    Raises:
        LabError: it is none, or of another version.
    """
    try:
        shape = msgspec.convert(_renewed(values["sweep"]), _Shape)
        return _computed(read_sweep(values), shape)
    except (ValueError, TypeError, AttributeError, ArithmeticError, LookupError, LabError) as error:
        raise LabError(f"{name}: has a sweep that cannot be read: {error}") from None


def _renewed(sweep: Any) -> Any:
    """With `round` where older files have `repeat`, as `Sample.from_json` reads them."""
    points = [
        {**point, "samples": [{"round": each.get("repeat"), **each} for each in point["samples"]]}
        for point in sweep["points"]
    ]
    return {**sweep, "points": points}


def _computed(read: ReadSweep, shape: _Shape) -> Sweep:
    database, results = str(read.settings["database"]), read.results
    points = tuple(
        SweptPoint(
            each,
            database,
            {figure: each.figure(figure) for figure in FIGURES},
            {used: each.per_order(used) for used in PER_ORDER},
        )
        for each in results
    )
    return Sweep(
        read.settings, read.complete, points, tuple(crossovers(results)), shape.complexity, dict(read.left_out)
    )


def usual(points: Sequence[SweptPoint]) -> list[SweptPoint]:
    """Those at the point that `stockade lab sweep` shows the costs of."""
    chosen = {each.point.id for each in most_counted([each.result for each in points])}
    return [each for each in points if each.counts and each.result.point.id in chosen]
