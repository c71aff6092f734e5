"""All rules of the audit, in the order in which they are checked and shown."""

from stockade.shop.audit import counters, orders, payments, records
from stockade.shop.audit.rule import Rule

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
