"""The columns of the lab's table: head, width and cell of each, and those of a narrow terminal. Pure functions."""

import statistics
from collections.abc import Sequence

from stockade.lab.model.preset import Variant
from stockade.lab.reporting.column import NARROW, WIDE, Column, short, spread, verdict
from stockade.lab.reporting.payment_columns import payment_columns
from stockade.lab.reporting.summary import RunSummary

NAME_WIDTH = 12  # characters of the longest name of a strategy in its usual form


def columns(variant: Variant, width: int, name_width: int = NAME_WIDTH) -> list[Column]:
    """The columns for a variant in a terminal of this width; the shortest form needs 60 characters.

    Args:
        variant: some have further columns.
        width: characters of the terminal.
        name_width: characters of the longest strategy name.
    """
    wide, name_width = width >= WIDE, max(name_width, NAME_WIDTH)
    if variant.payment is not None:
        return payment_columns(width, name_width)
    if width < NARROW:
        return [
            Column("strategy", name_width, lambda run: run.strategy, left=True),
            Column("acc", 4, lambda run: str(run.accepted)),
            Column("rej", 4, lambda run: str(run.rejected)),
            Column("viol", 4, lambda run: str(len(run.violations))),
            Column("wall ms", 7, lambda run: short(statistics.median(run.wall_ms))),
            Column("verdict", 15, verdict, left=True),
        ]
    chosen = [
        Column("strategy", name_width, lambda run: run.strategy, left=True),
        Column(*(("accepted", 8) if wide else ("acc", 4)), lambda run: str(run.accepted)),
        Column(*(("rejected", 8) if wide else ("rej", 4)), lambda run: str(run.rejected)),
        Column(*(("failed", 6) if wide else ("fail", 4)), lambda run: str(run.failed)),
        Column("left", 6, lambda run: str(run.left)),
        Column(*(("violations", 10) if wide else ("viol", 4)), lambda run: str(len(run.violations))),
        Column("wall ms (range)", 16, lambda run: spread(run.wall_ms)),
    ]
    if variant.published_ms and wide:
        chosen.append(Column("published", 9, lambda run: short(run.published_ms) if run.published_ms else ""))
    if wide:
        chosen.append(Column("p50/p95/p99 ms", 14, lambda run: _three(run.latency_ms)))
        chosen.append(Column("attempts", 8, lambda run: f"{run.attempts_per_order:.2f}"))
    elif variant.deadlocks == "any" and name_width == NAME_WIDTH:
        chosen.append(Column("p99", 5, lambda run: short(run.latency_ms[2])))
    if variant.deadlocks != "any":
        chosen.append(Column(*(("deadlocks", 9) if wide else ("dead", 5)), lambda run: str(run.deadlocks)))
    return [*chosen, Column("verdict", 15, verdict, left=True)]


def log_lines(run: RunSummary) -> list[str]:
    """The lines below the row of a strategy over a log. The row itself shows the times until the decision."""
    log = run.log
    if log is None:
        return []
    accepted = (
        f"accepted {spread(log.accepted_wall_ms)} ms, p50/p95/p99 {_three(log.accepted_latency_ms)}; above: decided"
    )
    workers = "1 worker" if log.workers == 1 else f"{log.workers} workers"
    parts = "1 partition" if log.partitions == 1 else f"{log.partitions} partitions"
    size = f"{log.orders_per_transaction:.1f} orders per transaction"
    return [accepted, f"{parts}, {workers}, {size}, lag at most {log.lag}"]


def _three(values: Sequence[float]) -> str:
    return "/".join(map(short, values))
