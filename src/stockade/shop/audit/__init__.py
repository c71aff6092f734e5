"""Checks every invariant of a live database by summation in SQL; only violations leave the database.

One function for each rule. `audit` may run beside orders: see `finding.Scope.rows`. Neighbours: `store.tables` is what
it reads, `words` what it expects; the command line, HTTP and the lab report what it finds.
"""

from sqlalchemy import Connection

from stockade.shop.audit import counters, orders, payments, records
from stockade.shop.audit.finding import Rule, Scope, Violation
from stockade.shop.audit.summary import Summary, summary

# What a shopkeeper would notice first comes first.
RULES: tuple[Rule, ...] = (
    counters.oversold,
    counters.overspent,
    counters.below_zero,
    counters.ledger_sum,
    counters.repeated_version,
    counters.version_gap,
    counters.ledger_chain,
    counters.row_missing,
    orders.order_total,
    orders.order_status,
    orders.illegal_step,
    orders.paid_deducted_once,
    orders.reserved_held_once,
    orders.restored_once,
    orders.stray_movement,
    payments.payment_of_order,
    payments.payment_without_order,
    payments.points_of_payment,
    payments.stray_points,
    records.request_missing,
    records.refused_but_done,
    records.event_once,
    records.event_without_cause,
    records.stock_told,
)


def audit(conn: Connection, *, limit: int = 20) -> list[Violation]:
    """Check all rules.

    Args:
        conn: a connection to read on.
        limit: violations that one rule reports at most.

    Returns:
        What is wrong; nothing when all is well.
    """
    scope = Scope(limit)
    return [violation for rule in RULES for violation in rule(conn, scope)]


__all__ = ["RULES", "Summary", "Violation", "audit", "summary"]
