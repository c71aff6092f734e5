"""What an order costs by the counters of a sweep, and what a strategy is to have. Neighbour: `cost.py` shows it."""

from collections.abc import Mapping, Sequence
from typing import Final

from stockade.lab.charts import Axis, Bar, Spec, bars
from stockade.lab.report.documents import Complexity, Interval, Point, Source, Sweep
from stockade.lab.report.groups import style_of
from stockade.lab.report.numbers import few
from stockade.lab.report.page import Figure, Part, Table, Text, slug

USUAL_BUYERS: Final = 30
COSTS: Final = {
    "transactions": "transactions",
    "connection_ms": "connection held ms",
    "pool_wait_ms": "wait for a connection ms",
    "blocked_ms": "blocked ms",
    "redis_commands": "Redis commands",
    "service_cpu_ms": "processor of the service ms",
    "database_cpu_ms": "of the database ms",
    "redis_cpu_ms": "of Redis ms",
    "kafka_cpu_ms": "of Kafka ms",
}
PROCESSORS: Final = ("service_cpu_ms", "database_cpu_ms", "redis_cpu_ms", "kafka_cpu_ms")
FAIRNESS: Final = {
    "p50_ms": "p50 ms",
    "p99_ms": "p99 ms",
    "longest_by_median": "longest / median",
    "inversions": "overtaken by later ones",
}


def usual(sweep: Sweep) -> list[Point]:
    """The points of the load that is nearest to the usual one: by number of buyers, or the first value there is."""
    axes = {point.axis for point in sweep.points}
    axis = "buyers" if "buyers" in axes else next(iter(axes), "")
    own = [point for point in sweep.points if point.axis == axis]
    if not own:
        return []
    value = min((point.value for point in own), key=lambda each: abs(each - USUAL_BUYERS))
    return [point for point in own if point.value == value]


def costs(source: Source, sweep: Sweep) -> list[Part]:
    """The costs of an order at the usual load, and the complexity of each strategy."""
    points = [point for point in usual(sweep) if point.counts]
    parts: list[Part] = []
    if points:
        parts.append(_figure(source, points))
    if sweep.complexity:
        parts.append(_complexity(sweep.complexity))
    return parts


def waits(sweep: Sweep) -> Table | None:
    """How unequal the waiting was at the usual load."""
    points = [point for point in usual(sweep) if point.counts]
    if not points:
        return None
    heads = ("strategy", *FAIRNESS.values())
    rows = tuple((p.strategy, *(_median(p.figures, name) for name in FAIRNESS)) for p in points)
    return Table(f"Waiting: {_load(points)}", heads, rows, numbers=frozenset(range(1, len(heads))), code=True)


def _load(points: Sequence[Point]) -> str:
    return f"{points[0].value:g} {points[0].unit}, {points[0].database}"


def _median(values: Mapping[str, Interval | None], name: str) -> str:
    found = values.get(name)
    return "" if found is None else few(found.median)


def _figure(source: Source, points: Sequence[Point]) -> Figure:
    shown = sorted(points, key=_processor)
    heads = ("strategy", *COSTS.values())
    return Figure(
        slug("processor", source.name),
        f"Processor time of an order, of the service and all servers: {_load(points)}",
        f"Bars from {shown[0].strategy} with {few(_processor(shown[0]))} ms to {shown[-1].strategy} with "
        f"{few(_processor(shown[-1]))} ms.",
        lambda width: _drawn(shown, width),
        Table(
            f"What an order costs: {_load(points)}",
            heads,
            tuple((point.strategy, *(_median(point.per_order, name) for name in COSTS)) for point in shown),
            numbers=frozenset(range(1, len(heads))),
            code=True,
        ),
        "An empty cell of the table was not measured.",
    )


def _processor(point: Point) -> float:
    return sum(found.median for name in PROCESSORS if (found := point.per_order.get(name)))


def _drawn(points: Sequence[Point], width: int) -> Spec:
    looks = style_of([point.strategy for point in points])
    return bars(
        [Bar(p.strategy, _processor(p), few(_processor(p)), looks[p.strategy].colour) for p in points],
        Axis("ms of processor time for each order"),
        width=width,
    )


def _complexity(found: Sequence[Complexity]) -> Table:
    rows: list[tuple[Text, ...]] = [
        (
            each.strategy,
            str(each.own_lines + each.further_lines),
            ", ".join(each.services) or "none",
            str(len(each.settings)),
            str(len(each.failure_modes)),
            ", ".join(each.dependencies) or "none",
        )
        for each in found
    ]
    heads = ("strategy", "lines of its own", "services to run", "settings", "failure modes", "dependencies")
    return Table("What a strategy is to have, counted", heads, tuple(rows), numbers=frozenset({1, 3, 4}), code=True)
