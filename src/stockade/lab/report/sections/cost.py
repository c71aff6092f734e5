"""What an order costs: transactions, batches, deadlocks, and what a lag is."""

from collections.abc import Sequence
from typing import Final

from stockade.lab.charts import Axis, Bar, Spec, bars
from stockade.lab.report.documents import Run, Source
from stockade.lab.report.groups import Group, behind, compared, loads, style_of
from stockade.lab.report.page import BAD, Cell, Figure, Missing, Part, Section, Table, Text, slug
from stockade.lab.report.sections.swept_cost import costs

MISSING: Final = Missing("cost per order", "stockade lab --database postgres --json lab.json")


def section(sources: Sequence[Source]) -> Section | None:
    """Of every group and every sweep."""
    parts: list[Part] = [_transactions(group, behind(group, sources)) for group in compared(sources)]
    for source in sources:
        if source.sweep:
            parts += costs(source, source.sweep)
    return Section("cost", "What an order costs", loads(sources), tuple(parts)) if parts else None


def _transactions(group: Group, of: str) -> Figure:
    runs = sorted(group.runs, key=lambda run: run.attempts_per_order)
    first, last = runs[0], runs[-1]
    return Figure(
        slug("transactions", group.slug),
        f"Transactions for each order{of}",
        f"Bars from {first.strategy} with {first.attempts_per_order:.2f} to {last.strategy} with "
        f"{last.attempts_per_order:.2f} transactions.",
        lambda width: _drawn(runs, width),
        Table(
            f"Costs{of}",
            ("strategy", "transactions per order", "orders per transaction", "deadlock victims", "most in the backlog"),
            tuple(_row(run) for run in runs),
            numbers=frozenset({1, 2, 3, 4}),
            code=True,
        ),
        "Above 1 are retries: work that was thrown away. Below 1 is batching: several orders in one transaction.",
    )


def _row(run: Run) -> tuple[Text, ...]:
    per = 1 / run.attempts_per_order if run.attempts_per_order else 0.0
    return (
        run.strategy,
        f"{run.attempts_per_order:.2f}",
        f"{run.log.orders_per_transaction if run.log else per:.1f}",
        Cell(str(run.deadlocks), BAD) if run.deadlocks else "0",
        str(run.log.lag) if run.log else "",
    )


def _drawn(runs: Sequence[Run], width: int) -> Spec:
    looks = style_of([run.strategy for run in runs])
    return bars(
        [
            Bar(run.strategy, run.attempts_per_order, f"{run.attempts_per_order:.2f}", looks[run.strategy].colour)
            for run in runs
        ],
        Axis("transactions for each order"),
        width=width,
    )
