"""Payments through a gateway: approvals by the gateway's own count, and what was held meanwhile."""

from collections.abc import Sequence
from typing import Final

from stockade.lab.report.documents import Run, Source
from stockade.lab.report.groups import Group, groups
from stockade.lab.report.page import BAD, Cell, Missing, Section, Table, Text
from stockade.lab.report.proof import verdict_cell

MISSING: Final = Missing(
    "payments through a gateway", "stockade lab --database postgres --preset payment-once --json payments.json"
)
HEADS: Final = (
    "strategy",
    "paid",
    "approvals per payment",
    "charged, not recorded",
    "recorded, not charged",
    "connections held",
    "wait for a connection, p95 ms",
    "payments per s",
    "verdict",
)


def section(sources: Sequence[Source]) -> Section | None:
    """Of every group of runs in which buyers pay."""
    found = [each for each in groups(sources) if any(run.payments for run in each.runs)]
    if not found:
        return None
    text = "The gateway's own count is the judge: more than one approval for a payment is a double charge."
    return Section("payments", "Payments", (text,), tuple(_table(each) for each in found))


def _table(group: Group) -> Table:
    under = f", under {group.fault}" if group.fault else ""
    rows = tuple(_row(run, proof=group.proof) for run in group.runs if run.payments)
    return Table(f"{group.what}{under}", HEADS, rows, numbers=frozenset(range(1, 8)), code=True)


def _row(run: Run, *, proof: bool) -> tuple[Text, ...]:
    assert run.payments is not None  # the caller looked
    found = run.payments
    return (
        run.strategy,
        str(run.accepted),
        _bad(f"{found.approvals_per_payment:.2f}", found.most_approvals > 1),
        _bad(str(found.charged_not_recorded), found.charged_not_recorded > 0),
        _bad(str(found.recorded_not_charged), found.recorded_not_charged > 0),
        str(found.connections_held),
        f"{found.pool_wait_ms:.1f}",
        f"{found.payments_s:.1f}",
        verdict_cell(run, proof=proof),
    )


def _bad(text: str, bad: bool) -> Text:
    return Cell(text, BAD) if bad else text
