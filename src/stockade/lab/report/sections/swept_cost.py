"""What an order costs by the counters of a sweep, and what a strategy is to have. Neighbour: `cost.py` shows it."""

from collections.abc import Mapping, Sequence
from typing import Final

from stockade.lab.charts import Axis, Bar, Spec, bars
from stockade.lab.report.documents import Source
from stockade.lab.report.groups import style_of
from stockade.lab.report.numbers import few
from stockade.lab.report.page import Figure, Part, Table, Text, sentence, slug
from stockade.lab.report.swept import Complexity, Sweep, SweptPoint, usual
from stockade.lab.sweeps.analysis.statistics import Interval

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
FAIRNESS: Final = {
    "p50_ms": "p50 ms",
    "p99_ms": "p99 ms",
    "longest_by_median": "longest / median",
    "inversions": "overtaken by later ones",
}


def costs(source: Source, sweep: Sweep) -> list[Part]:
    """The costs of an order at the usual load, and the complexity of each strategy."""
    points = usual(sweep.points)
    parts: list[Part] = []
    if points:
        parts.append(_costs(source, points))
    if sweep.complexity:
        parts.append(_complexity(sweep.complexity))
    return parts


def waits(sweep: Sweep) -> Table | None:
    """How unequal the waiting was at the usual load."""
    points = usual(sweep.points)
    if not points:
        return None
    heads = ("strategy", *FAIRNESS.values())
    rows = tuple((p.strategy, *(_median(p.figures, name) for name in FAIRNESS)) for p in points)
    return Table(f"Waiting: {_load(points)}", heads, rows, numbers=frozenset(range(1, len(heads))), code=True)


def _load(points: Sequence[SweptPoint]) -> str:
    return f"{points[0].value:g} {points[0].unit}, {points[0].database}"


def _median(values: Mapping[str, Interval | None], name: str) -> str:
    found = values.get(name)
    return "" if found is None else few(found.median)


def _costs(source: Source, points: Sequence[SweptPoint]) -> Part:
    """The table of all, under the bars of those whose processor time was measured everywhere."""
    drawn = sorted(
        ((point.strategy, found) for point in points if (found := point.processor_ms) is not None),
        key=lambda each: each[1],
    )
    places = {name: place for place, (name, _) in enumerate(drawn)}
    shown = sorted(points, key=lambda point: places.get(point.strategy, len(drawn)))
    heads = ("strategy", *COSTS.values())
    table = Table(
        f"What an order costs: {_load(points)}",
        heads,
        tuple((point.strategy, *(_median(point.per_order, name) for name in COSTS)) for point in shown),
        numbers=frozenset(range(1, len(heads))),
        code=True,
    )
    if not drawn:
        return table
    (least, low), (most, high) = drawn[0], drawn[-1]
    left = [point.strategy for point in shown if point.strategy not in places]
    missing = f" Not drawn, because a part of it was not measured: {sentence(left)}." if left else ""
    return Figure(
        slug("processor", source.name),
        f"Processor time of an order, of the service and all servers: {_load(points)}",
        f"Bars from {least} with {few(low)} ms to {most} with {few(high)} ms.{missing}",
        lambda width: _drawn(drawn, width),
        table,
        f"An empty cell of the table was not measured.{missing}",
    )


def _drawn(found: Sequence[tuple[str, float]], width: int) -> Spec:
    looks = style_of([name for name, _ in found])
    return bars(
        [Bar(name, value, few(value), looks[name].colour) for name, value in found],
        Axis("ms of processor time for each order"),
        width=width,
    )


def _complexity(found: Sequence[Complexity]) -> Table:
    rows: list[tuple[Text, ...]] = [
        (
            each.strategy,
            str(each.own_lines),
            str(each.further_lines),
            ", ".join(each.services) or "none",
            str(len(each.settings)),
            str(len(each.failure_modes)),
            ", ".join(each.dependencies) or "none",
        )
        for each in found
    ]
    heads = (
        "strategy",
        "lines of its own",
        "further lines",
        "services to run",
        "settings",
        "failure modes",
        "dependencies",
    )
    return Table("What a strategy is to have, counted", heads, tuple(rows), numbers=frozenset({1, 2, 4, 5}), code=True)
