"""The comparison: every strategy on the same load, and the figures of the report beside ours."""

from collections.abc import Sequence
from typing import Final

from stockade.lab.charts import Axis, Spec, Strip, strips
from stockade.lab.report.documents import Source
from stockade.lab.report.groups import Group, Row, behind, compared, loads, rows, style_of
from stockade.lab.report.numbers import between, ms, trusted
from stockade.lab.report.page import (
    BAD,
    MEANT,
    OTHERS,
    QUIET,
    Cell,
    Figure,
    Missing,
    Part,
    Section,
    Table,
    Text,
    slug,
)
from stockade.lab.report.proof import broken_as_meant, kept, verdict_cell

MISSING: Final = Missing("every strategy on the same load", "stockade lab --database postgres --json lab.json")
NAMES: Final = {  # as the report calls them
    "pessimistic": "pessimistic lock",
    "redis-spin": "Lettuce spin lock",
    "redis-pubsub": "Redisson",
    "kafka": "Kafka",
}
HEADS: Final = (
    "strategy",
    "verdict",
    "accepted",
    "rejected",
    "failed",
    "left",
    "broken rules",
    "median ms",
    "range ms",
    "published ms",
)
NOTE: Final = (
    "Each tick is one repeat, the filled mark their median. A hollow diamond is what the Kotlin project published: one "
    "cold run on another machine. Compare the ranking, not the distance."
)


def section(sources: Sequence[Source]) -> Section | None:
    """Everything that was measured side by side."""
    found = compared(sources)
    if not found:
        return None
    parts = [part for group in found for part in _parts(group, behind(group, sources))]
    return Section("comparison", "The comparison", loads(sources), tuple(parts))


def _parts(group: Group, of: str) -> list[Part]:
    shown = rows(group)
    parts: list[Part] = [
        Figure(
            slug("wall", group.slug),
            f"Time until everybody has an answer{of}",
            _says(shown),
            lambda width: _drawn(shown, width),
            _table(shown, of, proof=group.proof),
            NOTE if any(row.published for row in shown) else NOTE.partition(" A hollow")[0],
            opened=True,
        )
    ]
    beside = _beside(group, shown, of)
    return [*parts, beside] if beside else parts


def _says(shown: Sequence[Row]) -> str:
    first, last = shown[0], shown[-1]
    return (
        f"Rows of marks, fastest first: from {first.name} with a median of {ms(first.middle.median)} ms "
        f"to {last.name} with {ms(last.middle.median)} ms."
    )


def _drawn(shown: Sequence[Row], width: int) -> Spec:
    looks = style_of([row.name for row in shown])
    values = [value for row in shown for value in row.samples]
    log = max(values) > 8 * max(min(values), 0.01)
    return strips(
        [
            Strip(
                row.name,
                looks[row.name],
                row.samples,
                (row.middle.median,),
                f"{ms(row.middle.median)} ms",
                row.published,
            )
            for row in shown
        ],
        Axis("ms until everybody has an answer" + (", logarithmic" if log else ""), log=log),
        width=width,
    )


def _table(shown: Sequence[Row], of: str, *, proof: bool) -> Table:
    columns = len(HEADS) if any(row.published for row in shown) else len(HEADS) - 1  # the last one is what is published
    return Table(
        f"Every strategy{of}",
        HEADS[:columns],
        tuple(_row(row, proof=proof)[:columns] for row in shown),
        numbers=frozenset({2, 3, 4, 5, 6, 7, 8, 9}),
        code=True,
    )


def _row(row: Row, *, proof: bool) -> tuple[Text, ...]:
    run = row.run
    return (
        row.name,
        verdict_cell(run, proof=proof),
        str(run.accepted),
        str(run.rejected),
        str(run.failed),
        str(run.left),
        Cell(str(len(run.violations)), (MEANT if broken_as_meant(run) else BAD) if run.violations else "plain"),
        ms(row.middle.median),
        f"{ms(min(row.samples))} to {ms(max(row.samples))}",
        Cell(ms(row.published), OTHERS) if row.published else "",
    )


def _beside(group: Group, shown: Sequence[Row], of: str) -> Table | None:
    """The Kotlin project's figures beside ours, in its order from fast to slow; accepted and decided apart."""
    ours = sorted((row for row in shown if row.published is not None), key=lambda each: each.published or 0)
    if not ours:
        return None
    lines: list[tuple[Text, ...]] = []
    for place, row in enumerate(ours, 1):
        lines.append(
            (
                NAMES.get(row.run.strategy, row.run.strategy),
                Cell(ms(row.published or 0), OTHERS),
                Cell(str(place), OTHERS),
                row.name,
                ms(row.middle.median),
                between(row.middle),
                _rank(row, ours),
            )
        )
        later = [each for each in shown if each.run is row.run and each is not row]
        lines += [
            (
                f"{NAMES.get(each.run.strategy, each.run.strategy)}, decided",
                Cell("not measured", QUIET),
                "",
                each.name,
                ms(each.middle.median),
                between(each.middle),
                "",
            )
            for each in later
        ]
    return Table(
        f"Published figures of the Kotlin project, beside ours{of}",
        ("published as", "published ms", "published rank", "here", "median ms", "interval ms (coverage)", "rank here"),
        tuple(lines),
        numbers=frozenset({1, 2, 4, 5, 6}),
    )


def _rank(row: Row, ours: Sequence[Row]) -> Text:
    """Its place among those that kept their promise, by the median."""
    if not kept(row.run):
        return Cell("none: kept no promise", BAD)
    if not trusted(row.middle):
        return Cell("none: too few repeats", QUIET)
    order = sorted(each.middle.median for each in ours if kept(each.run))
    return str(order.index(row.middle.median) + 1)
