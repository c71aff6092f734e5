"""Distributions: of the times of all repeats, of the latencies of all buyers, and of every operation of histories."""

import statistics
from collections.abc import Sequence
from typing import Final

from stockade.lab.charts import Axis, Samples, Spec, Strip, steps, strips
from stockade.lab.history.history import History
from stockade.lab.report.documents import Source
from stockade.lab.report.groups import Group, Row, behind, compared, loads, rows, style_of
from stockade.lab.report.numbers import ms
from stockade.lab.report.page import Figure, Missing, Section, Table, slug
from stockade.lab.report.recordings import is_decision, label, looks_of
from stockade.lab.reporting.summary import percentile

MISSING: Final = Missing("distributions of latency", "stockade lab --database postgres --json lab.json")
HALF: Final = 50
SHARES: Final = (5, 25, HALF, 75, 95, 99)
MOST_PANELS: Final = 16  # of a figure; the table has all


def section(sources: Sequence[Source]) -> Section | None:
    """Of every group of runs, and of all histories together."""
    parts = [figure for group in compared(sources) for figure in _of_group(group, sources)]
    histories = [each.history for each in sources if each.history and _decided(each.history)]
    if histories:
        parts.append(_operations(histories))
    return Section("latency", "How the times are distributed", loads(sources), tuple(parts)) if parts else None


def _of_group(group: Group, sources: Sequence[Source]) -> tuple[Figure, Figure]:
    of = behind(group, sources)
    return _repeats(group, of), _buyers(group, of)


def _quantile_table(title: str, first: str, samples: Sequence[tuple[str, tuple[float, ...]]]) -> Table:
    return Table(
        title,
        (first, "samples", *(f"{share} % within ms" for share in SHARES), "longest ms"),
        tuple(
            (
                name,
                f"{len(values):,}",
                *(ms(_within(sorted(values), share)) for share in SHARES),
                ms(max(values)),
            )
            for name, values in samples
        ),
        numbers=frozenset(range(1, len(SHARES) + 3)),
        code=True,
    )


def _within(ordered: Sequence[float], share: int) -> float:
    """The time within which so many of 100 samples ended; for half of them the median, as in every other table."""
    return statistics.median(ordered) if share == HALF else percentile(ordered, share)


def _repeats(group: Group, of: str) -> Figure:
    shown = rows(group)
    samples = [(row.name, row.samples) for row in shown]
    return Figure(
        slug("steps", group.slug),
        f"Share of the repeats that ended within a time{of}",
        "A panel for each strategy: its steps rise from 0 to 100 % of its repeats, with those of all others in grey "
        f"behind. The steepest and leftmost is {shown[0].name}.",
        lambda width: _panels(samples, width),
        _quantile_table(f"Times of the repeats{of}", "strategy", samples),
        "A steep step: every repeat took as long. A long tail on the right: some repeats waited.",
    )


def _panels(samples: Sequence[tuple[str, tuple[float, ...]]], width: int) -> Spec:
    looks = style_of([name for name, _ in samples])
    panels = [Samples(name, looks[name], values) for name, values in samples[:MOST_PANELS]]
    return steps(panels, Axis("ms, logarithmic", log=True), width=width)


def _buyers(group: Group, of: str) -> Figure:
    shown = sorted(rows(group), key=lambda row: row.p50)
    return Figure(
        slug("latency", group.slug),
        f"How long a buyer waits for an answer{of}",
        f"Three marks for each strategy: half, 95 and 99 of 100 buyers have an answer. From {shown[0].name} with "
        f"{ms(shown[0].p50)} ms for half of them to {shown[-1].name} with {ms(shown[-1].p50)} ms.",
        lambda width: _three(shown, width),
        Table(
            f"Latencies of all buyers{of}",
            ("strategy", "p50 ms", "p95 ms", "p99 ms", "p99 / p50"),
            tuple(
                (row.name, ms(row.p50), ms(row.p95), ms(row.p99), f"{row.p99 / max(row.p50, 0.001):.1f}")
                for row in shown
            ),
            numbers=frozenset({1, 2, 3, 4}),
            code=True,
        ),
        "The filled mark: half of the buyers (p50); the bars to its right: 95 and 99 of 100 (p95, p99). A long line: "
        "some wait much longer than others.",
    )


def _three(shown: Sequence[Row], width: int) -> Spec:
    looks = style_of([row.name for row in shown])
    return strips(
        [
            Strip(row.name, looks[row.name], (), (row.p50, row.p95, row.p99), f"{ms(row.p50)} … {ms(row.p99)}")
            for row in shown
        ],
        Axis("ms until the answer, logarithmic", log=True),
        width=width,
    )


def _decided(history: History) -> tuple[float, ...]:
    """Latencies of all commands that were decided, in ms."""
    return tuple((each.return_ns - each.invoke_ns) / 1e6 for each in history.operations if is_decision(each))


def _operations(histories: Sequence[History]) -> Figure:
    samples = [(label(each, histories), _decided(each)) for each in histories]
    looks = looks_of(samples)
    return Figure(
        "operations",
        "Share of the recorded commands that were decided within a time",
        "A panel for each recording, with those of all others in grey behind.",
        lambda width: steps(
            [Samples(name, looks[name], values) for name, values in samples[:MOST_PANELS]],
            Axis("ms, logarithmic", log=True),
            width=width,
        ),
        _quantile_table("Latencies of all decided commands", "recording", samples),
        "Samples are the commands that were decided: accepted or refused. Reads, and what failed or is unknown, are "
        "none. Retries of a client are commands of their own. A time limit shows as a cliff on the right.",
    )
