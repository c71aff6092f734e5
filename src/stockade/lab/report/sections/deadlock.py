"""Deadlocks: each experiment, the rates under load, and who waited for whom."""

from collections.abc import Sequence
from typing import Final

from stockade.lab.charts import Axis, Bar, Spec, bars
from stockade.lab.report.documents import Deadlock, Experiment, Source
from stockade.lab.report.page import BAD, GOOD, Cell, Figure, Listing, Missing, Part, Section, Table, slug

MISSING: Final = Missing("deadlocks and their cures", "stockade lab deadlock --json deadlock.json")
RATE: Final = "baskets_s"
WITH_DEADLOCKS, WITHOUT = "#aa4a86", "#0072b2"
SHOWN_GRAPHS: Final = 4


def section(sources: Sequence[Source]) -> Section | None:
    """Of every document of the deadlock bench."""
    found = [(each, each.document.deadlock) for each in sources if each.document and each.document.deadlock]
    if not found:
        return None
    text = (
        "A deadlock needs mutual exclusion, hold and wait, no preemption, and circular wait. Each experiment takes one "
        "of them away; one that takes nothing away is the control, which must deadlock."
    )
    parts = [part for source, each in found for part in _parts(source, each)]
    return Section("deadlock", "Deadlocks", (text,), tuple(parts))


def _parts(source: Source, found: Deadlock) -> list[Part]:
    parts: list[Part] = []
    under_load = [each for each in found.experiments if isinstance(each.figures.get(RATE), int | float)]
    if under_load:
        parts.append(_figure(source, found, under_load))
    parts.append(
        Table(
            f"Experiments on {found.database}",
            ("experiment", "condition taken away", "expected", "observed", "as expected"),
            tuple(
                (
                    f"{each.part}: {each.name}",
                    each.removed or "none",
                    each.expected,
                    each.observed,
                    Cell("yes", GOOD) if each.held else Cell("NO", BAD),
                )
                for each in found.experiments
            ),
        )
    )
    if found.left_out:
        parts.append(Table("What was not played", ("reason",), tuple((each,) for each in found.left_out)))
    graphs = list(found.graphs.items())[:SHOWN_GRAPHS]
    parts += [Listing(f"Who waits for whom: {name}", graph.drawing) for name, graph in graphs]
    return parts


def _figure(source: Source, found: Deadlock, under_load: Sequence[Experiment]) -> Figure:
    rated = [(each.name, float(each.figures[RATE]), _number(each, "deadlocks")) for each in under_load]
    rated.sort(key=lambda each: each[1], reverse=True)
    wasted = {each.name: each.figures.get("wasted_share") for each in under_load}
    return Figure(
        slug("baskets", source.name, found.database),
        f"Baskets of several rows done per second, by the way the rows are taken: {found.database}",
        f"Bars from {rated[0][0]} with {rated[0][1]:.0f} to {rated[-1][0]} with {rated[-1][1]:.1f} per second.",
        lambda width: _drawn(rated, width),
        Table(
            f"Under load on {found.database}",
            ("way to take the rows", "baskets per s", "deadlock victims", "share of statements wasted"),
            tuple(
                (
                    name,
                    f"{rate:.1f}",
                    f"{victims:.0f}",
                    f"{share:.0%}" if isinstance(share := wasted[name], int | float) else "",
                )
                for name, rate, victims in rated
            ),
            numbers=frozenset({1, 2, 3}),
        ),
        "Beside each bar: the rate, and the deadlock victims if there were any.",
    )


def _number(each: Experiment, what: str) -> float:
    value = each.figures.get(what)
    return float(value) if isinstance(value, int | float) else 0.0


def _drawn(rated: Sequence[tuple[str, float, float]], width: int) -> Spec:
    return bars(
        [
            Bar(
                name,
                rate,
                f"{rate:.1f}" + (f", {victims:.0f} victims" if victims else ""),
                WITH_DEADLOCKS if victims else WITHOUT,
            )
            for name, rate, victims in rated
        ],
        Axis("baskets per second"),
        width=width,
    )
