"""Sweeps: rates over buyers, keys, lengths of a section and the other axes, and where the order of two flips."""

from collections.abc import Sequence
from typing import Final

from stockade.lab.charts import Axis, Event, Series, Spec, lines
from stockade.lab.report.documents import Source
from stockade.lab.report.groups import style_of
from stockade.lab.report.numbers import between, few
from stockade.lab.report.page import BAD, GOOD, MEANT, QUIET, Cell, Figure, Missing, Part, Section, Table, Text, slug
from stockade.lab.report.sections.swept_axis import across, name_of, wide
from stockade.lab.report.swept import Sweep, SweptPoint
from stockade.lab.sweeps.analysis.crossovers import FLIPS, METRIC, NONE, NOT_MEASURED, Crossover
from stockade.lab.sweeps.analysis.statistics import Interval
from stockade.lab.sweeps.plan import CONTROL

MISSING: Final = Missing(
    "crossover curves", "stockade lab sweep --database postgres --buyers 5,30,120 --json sweep.json"
)
MOST_BANDS: Final = 3  # of a chart, for the fastest: more hide each other, and the table has the intervals


def section(sources: Sequence[Source]) -> Section | None:
    """Of every document of a sweep."""
    found = [(each, each.sweep) for each in sources if each.sweep]
    if not found:
        return None
    parts: list[Part] = []
    for source, sweep in found:
        for axis in dict.fromkeys(point.axis for point in sweep.points):
            figure = _figure(source, sweep, axis)
            parts += [figure] if figure else []
        if sweep.crossovers:
            parts.append(_crossovers(sweep))
        if sweep.left_out:
            rows = tuple(sweep.left_out.items())
            parts.append(Table("What was not played, and why", ("what", "reason"), rows))
    text = (
        "A point counts only where the negative control failed at the same load. Bands are intervals of the median, "
        f"drawn for the fastest {MOST_BANDS}; "
        "the table has them all, with the probability with which each covers it: few rounds have less than 95 %."
    )
    unfinished = (
        () if all(each.complete for _, each in found) else ("A sweep was interrupted: some points are missing.",)
    )
    return Section("sweeps", "Where the order flips", (text, *unfinished), tuple(parts))


def flips(sweep: Sweep) -> list[str]:
    """Each flip of a sweep, in a sentence."""
    return [_said(each) for each in sweep.crossovers if each.verdict == FLIPS]


def unturned(found: Sequence[Crossover]) -> str:
    """What can be said of pairs of which no order flips, in a sentence; empty: none was compared."""
    asked = [each for each in found if each.verdict != NOT_MEASURED]
    same = [each for each in asked if each.verdict == NONE]
    if not asked:
        return ""
    if not same:
        return "Which of two is faster is too close to call."
    whose = (
        "Of each two that were compared" if len(same) == len(asked) else f"In {len(same)} of {len(asked)} comparisons"
    )
    rest = "" if len(same) == len(asked) else "; the others are too close to call"
    return f"{whose} the same one is faster throughout{rest}."


def _said(each: Crossover) -> str:
    where = f"near {each.at or 0:g}" if each.low is None else f"between {each.low:g} and {each.high:g}"
    return f"from {each.before} to {each.after} {where} ({each.axis})"


def _figure(source: Source, sweep: Sweep, axis: str) -> Figure | None:
    points = [point for point in sweep.points if point.axis == axis and point.figures.get(METRIC)]
    counting = [point for point in points if point.counts]
    if not counting:
        return None
    unit = counting[0].unit
    title = f"Decisions per second by {name_of(axis)}: {counting[0].database}"
    flipped = [each for each in sweep.crossovers if each.axis == axis and each.verdict == FLIPS]
    names = sentence_of(counting)
    none = unturned([each for each in sweep.crossovers if each.axis == axis])
    none = none or "No two strategies of a question were compared."
    said = f"The order flips {'; '.join(map(_said, flipped))}." if flipped else none
    return Figure(
        slug("sweep", source.name, axis),
        title,
        f"A line for each of {names}, over {len({p.value for p in counting})} values. {said}",
        lambda width: _drawn(counting, flipped, width),
        Table(
            title,
            (unit, "strategy", "decisions per s", "interval (coverage)", "p50 ms", "p99 ms", "counts"),
            tuple(_row(point) for point in points),
            numbers=frozenset({0, 2, 3, 4, 5}),
        ),
        "Shaded: where the order of two flips." if flipped else "",
    )


def sentence_of(points: Sequence[SweptPoint]) -> str:
    """The strategies of the points."""
    return ", ".join(dict.fromkeys(point.strategy for point in points))


def _row(point: SweptPoint) -> tuple[Text, ...]:
    rate = point.figures[METRIC]
    return (
        f"{point.value:g}",
        point.strategy,
        _shown(rate),
        between(rate),
        _shown(point.figures.get("p50_ms")),
        _shown(point.figures.get("p99_ms")),
        _counts(point),
    )


def _counts(point: SweptPoint) -> Text:
    if point.counts:
        return Cell("yes", GOOD)
    if point.strategy == CONTROL and point.result.control_failed:
        return Cell(f"control: failed in {point.result.control}, as meant", MEANT)
    if point.result.is_control and point.result.violations:  # a bare lock
        return Cell("broke a rule, as meant", MEANT)
    return Cell(f"no: {point.result.why_not}", BAD if point.result.claim_violated else QUIET)


def _shown(value: Interval | None) -> str:
    return few(value.median) if value else ""


def _median(point: SweptPoint) -> float:
    rate = point.figures[METRIC]
    return rate.median if rate else 0.0


def _drawn(points: Sequence[SweptPoint], flipped: Sequence[Crossover], width: int) -> Spec:
    names = list(dict.fromkeys(point.strategy for point in points))
    looks = style_of(names)
    best = {name: max(_median(point) for point in points if point.strategy == name) for name in names}
    banded = sorted(names, key=lambda name: -best[name])[:MOST_BANDS]
    series = []
    for name in names:
        own = [(point.value, rate) for point in points if point.strategy == name and (rate := point.figures[METRIC])]
        own.sort(key=lambda each: each[0])
        series.append(
            Series(
                name,
                looks[name],
                tuple((value, rate.median) for value, rate in own),
                tuple((value, rate.low, rate.high) for value, rate in own) if name in banded else (),
            )
        )
    values = [point.value for point in points]
    medians = [value for each in series for _, value in each.points]
    log_y = wide(medians)
    events = [Event(each.low, f"{each.before} → {each.after}", each.high) for each in flipped if each.low is not None]
    x = across(points[0].axis, points[0].unit, values)
    y = Axis("decisions per second" + (", logarithmic" if log_y else ""), log=log_y)
    return lines(series, x, y, width=width, events=events)


def _crossovers(sweep: Sweep) -> Table:
    order = {FLIPS: 0, NONE: 1, NOT_MEASURED: 3}  # the rest, not clear, is 2
    found = sorted(sweep.crossovers, key=lambda each: order.get(each.verdict, 2))
    rows: list[tuple[Text, ...]] = [(each.question, each.axis, _verdict(each), each.reason) for each in found]
    return Table("Crossovers", ("question", "axis", "answer", "values that do not count, and why"), tuple(rows))


def _verdict(each: Crossover) -> Text:
    if each.verdict == FLIPS:
        at = f", at about {few(each.at)}" if each.at is not None else ""
        return Cell(f"flips {_said(each)}{at}", MEANT)
    if each.verdict == NONE:
        values = ", ".join(f"{compared.value:g}" for compared in each.compared)
        return f"none: {each.before} is faster at {values}"
    return Cell(each.verdict, QUIET)
