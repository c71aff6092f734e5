"""Throughput over time: a chart for each history, with its faults marked."""

from collections import Counter
from collections.abc import Sequence
from typing import Final

from stockade.lab.charts import Axis, Event, Series, Spec, lines, styles
from stockade.lab.checkers.exposure import not_exposed
from stockade.lab.history.history import History
from stockade.lab.history.operation import TYPES
from stockade.lab.report.documents import Source
from stockade.lab.report.page import BAD, MEANT, QUIET, Cell, Figure, Missing, Part, Section, Table, Text, slug
from stockade.lab.report.proof import claims_of
from stockade.lab.report.recordings import bin_s, events, is_decision, label, rates

MISSING: Final = Missing(
    "throughput over time with faults",
    "stockade lab record --database postgres --fault database-kill --history history.jsonl",
)
MOST_CHARTS: Final = 12  # histories with a chart; the table has all


def section(sources: Sequence[Source]) -> Section | None:
    """Of every history."""
    histories = [each.history for each in sources if each.history]
    if not histories:
        return None
    parts: list[Part] = [_summary([each for each in sources if each.history], histories)]
    parts += [_figure(each, label(each, histories), number) for number, each in enumerate(histories[:MOST_CHARTS], 1)]
    return Section("throughput", "Throughput over time, with the faults", parts=tuple(parts))


def _summary(sources: Sequence[Source], histories: Sequence[History]) -> Table:
    rows: list[tuple[Text, ...]] = []
    for source, each in zip(sources, histories, strict=True):
        types = Counter(operation.type for operation in each.operations)
        name = label(each, histories)
        faults = ", ".join(each.faults) or "none"
        rows.append(
            (
                name,
                f"{each.workload} on {each.database}",
                faults,
                str(each.seed),
                *(f"{types[type_]:,}" for type_ in TYPES),
                f"{sum(is_decision(operation) for operation in each.operations):,}",
                _broken(source, each),
            )
        )
    heads = ("recording", "workload", "faults", "seed", *TYPES, "decided, without reads", "broken rules")
    return Table("The recordings", heads, tuple(rows), numbers=frozenset({3, 4, 5, 6, 7, 8}), code=True)


def _broken(source: Source, history: History) -> Text:
    if source.violations is None:
        return Cell("not judged here: stockade lab judge FILE", QUIET)
    if source.violations:
        found = Counter(each.rule for each in source.violations)
        return Cell(", ".join(f"{rule} {n}" for rule, n in found.items()), BAD if claims_of(history) else MEANT)
    missed = not_exposed(history)
    return Cell(f"none, and nothing was shown: {'; '.join(missed)}", QUIET) if missed else "none"


def _figure(history: History, name: str, number: int) -> Figure:
    decided, lost = rates(history)
    marked = events(history)
    under = f" under {', '.join(history.faults)}" if history.faults else ""
    low = min(decided, key=lambda point: point[1])
    says = (
        f"Decided commands per second over {decided[-1][0]:.0f} seconds; least at {low[0]:.1f} s with {low[1]:.0f} per "
        f"second. {_said(marked)}"
    )
    table = Table(
        f"Commands per second: {name}{under}",
        ("second", "decided per s", "failed or unknown per s", "faults at that time"),
        tuple(
            (f"{at:.2f}", f"{value:.0f}", f"{missed:.0f}", _active(marked, at, bin_s(history)))
            for (at, value), (_, missed) in zip(decided, lost, strict=True)
        ),
        numbers=frozenset({0, 1, 2}),
    )
    return Figure(
        slug("throughput", str(number), history.strategy, *history.faults),
        f"{history.strategy}: {history.workload} on {history.database}{under}",
        says,
        lambda width: _drawn(decided, lost, marked, width),
        table,
        "The shaded time: from the injection of a fault until it is healed.",
    )


def _said(marked: Sequence[Event]) -> str:
    said = [
        f"{each.label} at {each.at:.1f} s" + ("" if each.until is None else f" until {each.until:.1f} s")
        for each in marked
    ]
    return f"Faults: {'; '.join(said)}." if said else "No fault."


def _active(marked: Sequence[Event], at: float, length: float) -> str:
    begin, end = at - length / 2, at + length / 2
    return ", ".join(each.label for each in marked if each.at < end and (each.until or each.at) >= begin)


def _drawn(
    decided: Sequence[tuple[float, float]], lost: Sequence[tuple[float, float]], marked: Sequence[Event], width: int
) -> Spec:
    names = ("decided", "failed or unknown")
    looks = styles(names)
    series = [Series(name, looks[name], tuple(points)) for name, points in zip(names, (decided, lost), strict=True)]
    return lines(series, Axis("seconds of load"), Axis("commands per second"), width=width, height=220, events=marked)
