"""What an order costs by the counters of a sweep, and what a strategy is to have. Neighbour: `cost.py` shows it."""

from collections.abc import Mapping, Sequence
from typing import Final

from stockade.lab.charts import Axis, Bar, Series, Spec, bars, lines
from stockade.lab.report.documents import Source
from stockade.lab.report.groups import style_of
from stockade.lab.report.numbers import few
from stockade.lab.report.page import Figure, Part, Table, Text, sentence, slug
from stockade.lab.report.sections.swept_axis import across, name_of, wide
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
LEAST_VALUES: Final = 2  # of an axis, to be shown over it
FAIRNESS: Final = {
    "p50_ms": "p50 ms",
    "p99_ms": "p99 ms",
    "longest_by_median": "longest / median",
    "inversions": "overtaken by later ones",
}


def costs(source: Source, sweep: Sweep) -> list[Part]:
    """The costs of an order at the usual load and over each axis, and the complexity of each strategy."""
    points = usual(sweep.points)
    parts: list[Part] = []
    if points:
        parts.append(_costs(source, points))
    for axis in dict.fromkeys(point.axis for point in sweep.points):
        found = _over(source, [point for point in sweep.points if point.axis == axis and point.counts])
        parts += [found] if found else []
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


def _over(source: Source, points: Sequence[SweptPoint]) -> Part | None:
    """The costs at every value of one axis; None where fewer than two values count."""
    if len({point.value for point in points}) < LEAST_VALUES:
        return None
    axis, unit = points[0].axis, points[0].unit
    heads = (unit, "strategy", *COSTS.values())
    table = Table(
        f"What an order costs by {name_of(axis)}: {points[0].database}",
        heads,
        tuple(
            (f"{point.value:g}", point.strategy, *(_median(point.per_order, name) for name in COSTS))
            for point in points
        ),
        numbers=frozenset({0, *range(2, len(heads))}),
    )
    drawn = [(point, found) for point in points if (found := point.processor_ms) is not None]
    if len({point.value for point, _ in drawn}) < LEAST_VALUES:
        return table
    last = max(point.value for point, _ in drawn)
    ends = sorted((found, point.strategy) for point, found in drawn if point.value == last)
    return Figure(
        slug("processor", source.name, axis),
        f"Processor time of an order by {name_of(axis)}: {points[0].database}",
        f"A line for each of {sentence(list(dict.fromkeys(point.strategy for point, _ in drawn)))}. At {last:g} {unit} "
        f"from {ends[0][1]} with {few(ends[0][0])} ms to {ends[-1][1]} with {few(ends[-1][0])} ms.",
        lambda width: _lines(drawn, width),
        table,
        "Of the service and all servers. The table has what else an order uses.",
    )


def _lines(drawn: Sequence[tuple[SweptPoint, float]], width: int) -> Spec:
    names = list(dict.fromkeys(point.strategy for point, _ in drawn))
    looks = style_of(names)
    series = [
        Series(
            name, looks[name], tuple(sorted((point.value, found) for point, found in drawn if point.strategy == name))
        )
        for name in names
    ]
    log = wide([found for _, found in drawn])
    x = across(drawn[0][0].axis, drawn[0][0].unit, [point.value for point, _ in drawn])
    y = Axis("ms of processor time for each order" + (", logarithmic" if log else ""), log=log)
    return lines(series, x, y, width=width)


def _complexity(found: Sequence[Complexity]) -> Table:
    rows: list[tuple[Text, ...]] = [
        (
            each.strategy,
            str(each.own_lines),
            str(each.further_lines),
            ", ".join(each.services) or "none",
            str(len(each.settings)),
            str(len(each.failure_modes)),
            "" if each.further_failure_modes is None else str(len(each.further_failure_modes)),
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
        "further ones",
        "dependencies",
    )
    return Table(
        "What a strategy is to have, counted", heads, tuple(rows), numbers=frozenset({1, 2, 4, 5, 6}), code=True
    )
