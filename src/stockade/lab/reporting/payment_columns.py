"""The columns of the payment presets. Pure functions. Neighbour: `columns.py` has those of all other presets."""

from stockade.lab.reporting.column import NARROW, WIDE, Column, short, spread, verdict
from stockade.lab.reporting.summary import PaymentSummary, RunSummary


def payment_columns(width: int, name_width: int) -> list[Column]:
    """The columns in a terminal of this width.

    Args:
        width: characters of the terminal.
        name_width: characters of the longest strategy name.
    """
    name = Column("strategy", name_width, lambda run: run.strategy, left=True)
    approvals = Column("appr/pay", 8, lambda run: f"{_of(run).approvals_per_payment:.2f}")
    last = Column("verdict", 15, verdict, left=True)
    if width < NARROW:
        return [
            name,
            approvals,
            Column("unrec", 5, lambda run: str(_of(run).charged_not_recorded)),
            Column("held", 4, lambda run: str(_of(run).connections_held)),
            last,
        ]
    if width < WIDE:
        return [
            name,
            Column("paid", 4, lambda run: str(run.accepted)),
            approvals,
            Column("unrec", 5, lambda run: str(_of(run).charged_not_recorded)),
            Column("held", 4, lambda run: str(_of(run).connections_held)),
            Column("wait", 4, lambda run: short(_of(run).pool_wait_ms)),
            Column("pay/s", 5, lambda run: short(_of(run).payments_s)),
            Column("viol", 4, lambda run: str(len(run.violations))),
            last,
        ]
    return [
        name,
        Column("paid", 4, lambda run: str(run.accepted)),
        Column("failed", 6, lambda run: str(run.failed)),
        approvals,
        Column("unrecorded", 10, lambda run: str(_of(run).charged_not_recorded)),
        Column("uncharged", 9, lambda run: str(_of(run).recorded_not_charged)),
        Column("held", 4, lambda run: str(_of(run).connections_held)),
        Column("pool wait ms", 12, lambda run: short(_of(run).pool_wait_ms)),
        Column("payments/s", 10, lambda run: short(_of(run).payments_s)),
        Column("wall ms (range)", 16, lambda run: spread(run.wall_ms)),
        last,
    ]


def _of(run: RunSummary) -> PaymentSummary:
    assert run.payments is not None  # of a payment preset
    return run.payments
